"""Usernames and passwords of clients, as staff hand them out."""

from datetime import datetime
from typing import Any

import msgspec
from litestar import Request, Response, Router, get, patch, post
from litestar.params import FromPath

from rewards.audit import service as audit
from rewards.audit.model import AuditFact
from rewards.clients import service as clients
from rewards.clients.model import ClientNotFound
from rewards.clients.model_members import ClientLogin, LoginNotFound, MemberRole, role_of
from rewards.clients.passwords import check_password
from rewards.infra.db import Tx
from rewards.infra.http import decode, encode, page_answer, path_id
from rewards.infra.openapi import answers, asks, takes
from rewards.staff.auth import caller, requires
from rewards.staff.given import PAGED, GivenClock, GivenDatabase, GivenPasswords, paged, reason_told
from rewards.staff.model import Permission


class NewLoginIn(msgspec.Struct, forbid_unknown_fields=True):
    """`role`: owner, developer, finance or viewer; an owner may do everything a client may.

    `reason`: why, for the trail.
    """

    username: str
    password: str
    role: str = MemberRole.OWNER.value
    reason: str | None = None

    def __repr__(self) -> str:
        return "NewLoginIn([redacted])"


class PasswordIn(msgspec.Struct, forbid_unknown_fields=True):
    """`reason`: why, for the trail."""

    password: str
    reason: str | None = None

    def __repr__(self) -> str:
        return "PasswordIn([redacted])"


class LoginOut(msgspec.Struct):
    id: int
    client_id: int
    username: str
    role: MemberRole
    active: bool
    created_at: datetime

    @classmethod
    def of(cls, login: ClientLogin) -> "LoginOut":
        return cls(
            login.id,
            login.client_id,
            login.username,
            login.role,
            login.active,
            login.created_at,
        )


NEW_LOGIN = msgspec.json.Decoder(NewLoginIn)
PASSWORD = msgspec.json.Decoder(PasswordIn)


@get(
    "/clients/{client_id:str}/logins",
    operation_id="listLogins",
    operation_class=asks(PAGED),
    guards=[requires(Permission.CLIENTS_READ)],
    responses=answers(list[LoginOut], 400, 401, 403, 404),
)
async def list_logins(
    request: Request[Any, Any, Any], client_id: FromPath[str], db: GivenDatabase
) -> Response[bytes]:
    """A client's usernames by id."""
    number, ask = path_id(client_id, ClientNotFound), paged(request)
    async with db.connection() as connection:
        await clients.check_there(connection, number)
        page = await clients.list_logins(connection, number, ask)
    return page_answer(request, page, [LoginOut.of(login) for login in page.items])


@post(
    "/clients/{client_id:str}/logins",
    status_code=201,
    operation_id="addLogin",
    guards=[requires(Permission.CREDENTIALS_ISSUE, proof=True)],
    operation_class=takes(NewLoginIn),
    responses=answers(LoginOut, 400, 401, 403, 404, 409, status=201, told="Added"),
)
async def add_login(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    passwords: GivenPasswords,
    client_id: FromPath[str],
) -> Response[bytes]:
    """Add a username and password for the client's `POST /auth/login`. 409 when it is taken."""
    body = decode(NEW_LOGIN, await request.body())
    number, role = path_id(client_id, ClientNotFound), role_of(body.role)
    reason = reason_told(body.reason)
    new = await clients.prepare_login(passwords, number, body.username, body.password, role)

    async def work(tx: Tx) -> ClientLogin:
        at = clock.now()
        login = await clients.add_login(tx, new, at)
        await _record(tx, request, "login.created", login, at, reason, role=login.role)
        return login

    return encode(LoginOut.of(await db.run(work)), 201)


@patch(
    "/clients/{client_id:str}/logins/{login_id:str}",
    operation_id="changeLogin",
    guards=[requires(Permission.CREDENTIALS_ISSUE, proof=True)],
    operation_class=takes(PasswordIn),
    responses=answers(LoginOut, 400, 401, 403, 404),
)
async def change_login(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    passwords: GivenPasswords,
    client_id: FromPath[str],
    login_id: FromPath[str],
) -> Response[bytes]:
    """Set another password; every token of the client ends within a second, its keys stay."""
    body = decode(PASSWORD, await request.body())
    reason = reason_told(body.reason)
    owner, number = path_id(client_id, ClientNotFound), path_id(login_id, LoginNotFound)
    async with db.connection() as connection:
        [held] = await clients.logins_of(connection, [owner])
    name = next((login.username for login in held if login.id == number), None)
    if name is None:
        raise LoginNotFound
    check_password(body.password, name)
    digest = await passwords.digest(body.password)

    async def work(tx: Tx) -> ClientLogin:
        at = clock.now()
        login = await clients.change_password(tx, number, digest, at)
        await _record(tx, request, "login.password_changed", login, at, reason)
        return login

    return encode(LoginOut.of(await db.run(work)))


async def _record(
    tx: Tx,
    request: Request[Any, Any, Any],
    action: str,
    login: ClientLogin,
    at: datetime,
    reason: str | None,
    **more: object,
) -> None:
    facts = {"username": login.username, **more}
    actor = caller(request).actor
    await audit.record(
        tx, [AuditFact(actor, login.client_id, action, "login", login.id, facts, reason)], at
    )


ROUTER = Router(
    path="/admin/api/v1",
    tags=["Clients (staff)"],
    route_handlers=[list_logins, add_login, change_login],
)
