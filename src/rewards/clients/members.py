"""What a client's people do among themselves: let in, change, prove again, change a password.

Every change is announced, so that each process obeys it within a second. Audit rows are the
caller's to write, in the same transaction.
"""

from datetime import datetime
from uuid import UUID

from rewards.clients import sql_members, sql_sessions
from rewards.clients.model import CHANGES_TOPIC, Scope
from rewards.clients.model_members import (
    MEMBERS_MAX,
    ClientLogin,
    LoginNotFound,
    MemberChange,
    MembersFull,
    WrongPassword,
    decide_change,
)
from rewards.core.errors import Forbidden, Refusal
from rewards.infra.changes import announce
from rewards.infra.db import Tx


async def read(tx: Tx, login_id: int) -> ClientLogin:
    """One login, whosever. Raises LoginNotFound."""
    login = await sql_members.read_login(tx, login_id)
    if login is None:
        raise LoginNotFound
    return login


async def hold(
    tx: Tx, client_id: int, login_id: int, password_hash: str, scope: Scope | None
) -> ClientLogin:
    """Who proved their password with `Sessions.confirm`; everybody of the client is held still.

    Raises WrongPassword for somebody who was deactivated or has another password since then, and
    Forbidden for one whose role has `scope` no more.
    """
    people = await sql_members.lock_logins(tx, client_id)
    if await sql_members.hold_login(tx, login_id, password_hash) is None:
        raise WrongPassword
    if scope is not None and scope not in people[login_id].scopes:
        raise Forbidden
    return people[login_id]


async def check_room(tx: Tx, client_id: int) -> None:
    """Raises MembersFull when the client has as many people as may be."""
    if len(await sql_members.read_logins(tx, [client_id])) >= MEMBERS_MAX:
        raise MembersFull


async def change(
    tx: Tx, client_id: int, ask: MemberChange, at: datetime
) -> tuple[ClientLogin, ClientLogin]:
    """Change a member's role, password, or whether they may log in; before and after.

    Everybody of the client is locked: of two owners who demote each other one is refused. Raises
    MemberNotFound, LastOwner.
    """
    people = await sql_members.lock_logins(tx, client_id)
    after = decide_change(people, ask)
    if isinstance(after, Refusal):
        raise after
    before = people[after.id]
    if after != before:
        await sql_members.update_standing(tx, after)
    if ask.password_hash is not None:
        await sql_members.update_password(tx, after.id, ask.password_hash)
    if ask.password_hash is not None or (before.active and not after.active):
        await sql_sessions.revoke_login(tx, after.id, at)
    if ask.password_hash is not None or after != before:
        await announce(tx, CHANGES_TOPIC, [client_id])
    return before, after


async def change_own_password(
    tx: Tx, login: ClientLogin, password_hash: str, family: UUID, at: datetime
) -> None:
    """Set another password's digest for somebody who was held; only this session of theirs stays.

    The password was checked (clients/passwords.py) by whoever made its digest.
    """
    await sql_members.update_password(tx, login.id, password_hash)
    await sql_sessions.revoke_login(tx, login.id, at, but=family)
    await announce(tx, CHANGES_TOPIC, [login.client_id])
