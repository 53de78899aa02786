"""What others may do with staff: let people in, change what they are, end their sessions."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from rewards.audit import service as audit
from rewards.audit.model import AuditFact
from rewards.clients.passwords import (
    PASSWORD_CHARS_MAX,
    check_password,
    check_username,
    is_username,
    normal_username,
)
from rewards.core.actor import SYSTEM, Actor
from rewards.core.errors import InvalidField, Refusal
from rewards.core.text import printable
from rewards.infra import changes
from rewards.infra.db import Database, Tx
from rewards.staff import hands, sessions, sql
from rewards.staff.model import (
    CHANGES_TOPIC,
    PASSWORD_CHARS_MIN,
    Login,
    NewStaff,
    Staff,
    StaffChange,
    UsernameTaken,
    decide_change,
)
from rewards.staff.model_sessions import EndReason, NewSession, StaffSession


async def create_staff(
    tx: Tx,
    asks: Sequence[NewStaff],
    digests: Sequence[str],
    at: datetime,
    actor: Actor = SYSTEM,
) -> list[Staff | Refusal]:
    """Let people in, in order, with an audit row each; `digests`: of their passwords, in order,
    made before the transaction, for they are slow on purpose.

    Refused: a username or password that breaks a rule (`Invalid Username: …`), a username that is
    taken, also by an earlier ask.
    """
    answers: list[Staff | Refusal | None] = [_check(ask) for ask in asks]
    names: dict[str, int] = {}
    for turn, ask in enumerate(asks):
        name = normal_username(ask.username)
        if answers[turn] is None and names.setdefault(name, turn) != turn:
            answers[turn] = UsernameTaken()
    rows = [(name, asks[turn].role, digests[turn]) for name, turn in names.items()]
    added = await sql.add(tx, rows, at) if rows else {}
    for name, turn in names.items():
        answers[turn] = added.get(name) or UsernameTaken()
    people = [answer for answer in answers if isinstance(answer, Staff)]
    await hands.note(tx, [person.id for person in people], actor, at)
    whys = [asks[names[person.username]].reason for person in people]
    told = [_created(person, actor, why) for person, why in zip(people, whys, strict=True)]
    await audit.record(tx, told, at)
    return [answer for answer in answers if answer is not None]


def _check(ask: NewStaff) -> Refusal | None:
    try:
        check_username(normal_username(ask.username))
        check_password_of(ask.username, ask.password)
    except InvalidField as refusal:
        return refusal
    return None


def check_password_of(username: str, password: str) -> None:
    """Refuses a password that breaks a rule: `Invalid Password: …`."""
    check_password(password, username)
    printable("Password", password, PASSWORD_CHARS_MAX)
    if len(password) < PASSWORD_CHARS_MIN:
        raise InvalidField("Password", "min")


def _created(person: Staff, actor: Actor, reason: str | None) -> AuditFact:
    facts = {"username": person.username, "role": person.role}
    return AuditFact(actor, None, "staff.created", "staff", person.id, facts, reason)


async def change_staff(
    tx: Tx,
    asks: Sequence[StaffChange],
    digests: Sequence[str | None],
    at: datetime,
    actor: Actor = SYSTEM,
) -> list[Staff | Refusal]:
    """Change roles, passwords, and who is active; one answer each, in order, with an audit row.

    A new password or a deactivation ends every session; a role counts from the next request, in
    every process within a second. Refused: an unknown id, a bad password, and leaving no active
    admin. At most one ask for each person; `digests`: of the new passwords, in order, None where
    there is none.
    """
    assert len({ask.staff_id for ask in asks}) == len(asks), "one change for each person"
    people = await sql.lock_all(tx)
    before = dict(people)
    answers: list[Staff | Refusal] = []
    for ask in asks:
        answer = _decide(people, ask)
        answers.append(answer)
        if isinstance(answer, Staff):
            people[ask.staff_id] = answer
    changed = [
        (ask, answer, digest)
        for ask, answer, digest in zip(asks, answers, digests, strict=True)
        if isinstance(answer, Staff)
    ]
    await sql.change(tx, [(person, digest) for _, person, digest in changed])
    await changes.announce(tx, CHANGES_TOPIC, [person.id for _, person, _ in changed])
    await _end_sessions(tx, [person for _, person, _ in changed], before, at, actor)
    facts = [_changed(before[ask.staff_id], person, ask, actor) for ask, person, _ in changed]
    await hands.note(tx, [each.subject_id for each in facts if each.facts], actor, at)
    await audit.record(tx, facts, at)
    return answers


async def _end_sessions(
    tx: Tx, changed: Sequence[Staff], before: Mapping[int, Staff], at: datetime, actor: Actor
) -> None:
    voided = [one for one in changed if one.token_epoch != before[one.id].token_epoch]
    for reason, active in ((EndReason.PASSWORD_CHANGED, True), (EndReason.DEACTIVATED, False)):
        who = [one.id for one in voided if one.active is active]
        await sessions.end(tx, who, reason, actor, at)


def _decide(people: Mapping[int, Staff], ask: StaffChange) -> Staff | Refusal:
    person = people.get(ask.staff_id)
    if person is not None and ask.password is not None:
        try:
            check_password_of(person.username, ask.password)
        except InvalidField as refusal:
            return refusal
    return decide_change(people, ask)


def _changed(before: Staff, after: Staff, ask: StaffChange, actor: Actor) -> AuditFact:
    facts: dict[str, object] = {}
    if after.role is not before.role:
        facts["role"] = {"from": before.role, "to": after.role}
    if after.active != before.active:
        facts["active"] = {"from": before.active, "to": after.active}
    if ask.password is not None:
        facts["password_changed"] = True
    return AuditFact(actor, None, "staff.changed", "staff", after.id, facts, ask.reason)


async def find_login(db: Database, username: str, address: str | None) -> Login:
    """What a login needs to know; also for a name that nobody has, without saying so."""
    name = normal_username(username)
    if not is_username(name):
        # Nobody has it, and a database text may not even hold it.
        return Login(name, None, None, False)
    async with db.connection() as connection:
        return await sql.read_login(connection, name, address)


async def begin_session(tx: Tx, new: NewSession, actor: Actor, at: datetime) -> StaffSession:
    """A session for somebody who proved who they are, with an audit row.

    Remembers the address as one where this person is at home. The caller holds the person's row.
    """
    if actor.address is not None:
        await sql.remember_address(tx, new.staff_id, actor.address)
    session = await sessions.begin(tx, new, at)
    facts = {"session": session.id, "proof": new.proof}
    fact = AuditFact(actor, None, "staff.logged_in", "staff", new.staff_id, facts)
    await audit.record(tx, [fact], at)
    return session


async def change_own_password(
    tx: Tx, person: Staff, digest: str, session_id: int, at: datetime, actor: Actor
) -> None:
    """Set the digest of a password that `check_password_of` let pass; ends the other sessions.

    The caller holds the person's row.
    """
    await sql.change(tx, [(person, digest)])
    facts = {"password_changed": True}
    await audit.record(tx, [AuditFact(actor, None, "staff.changed", "staff", person.id, facts)], at)
    await sessions.end(tx, [person.id], EndReason.PASSWORD_CHANGED, actor, at, keep=session_id)


async def list_staff(tx: Tx, limit: int, offset: int) -> tuple[list[Staff], int]:
    """A page of people in order of id, and how many there are."""
    return await sql.read_all(tx, limit, offset)


async def read_staff(tx: Tx, staff_ids: Sequence[int]) -> list[Staff | None]:
    """People by id, in order; None where there is nobody."""
    found = await sql.read(tx, staff_ids)
    return [found.get(staff_id) for staff_id in staff_ids]


async def find_staff(tx: Tx, username: str) -> Staff | None:
    """Whoever has this username, in any case."""
    name = normal_username(username)
    return await sql.find(tx, name) if is_username(name) else None
