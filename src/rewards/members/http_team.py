"""`/me` and `/members` of the clients' API: who is signed in, and who else may."""

from datetime import datetime
from typing import Any

import msgspec
from litestar import Request, Response, Router, get, patch, post
from litestar.params import FromPath

from rewards.clients import members
from rewards.clients import service as clients
from rewards.clients.auth import BEARER_ONLY, SECURITY, person, principal_of, requires
from rewards.clients.model import ClientStatus, Scope
from rewards.clients.model_members import (
    ClientLogin,
    MemberChange,
    MemberNotFound,
    MemberRole,
    role_of,
)
from rewards.clients.passwords import check_password
from rewards.core.errors import Unauthorized
from rewards.infra.db import Tx
from rewards.infra.http import decode, encode, path_id
from rewards.infra.openapi import answers, takes
from rewards.members import acts
from rewards.members.given import (
    GivenClock,
    GivenDatabase,
    GivenDirectory,
    GivenPasswords,
    GivenSessions,
    Proof,
    person_of,
)

CHANGED = "Password changed; your other sessions have ended"
ENDED = "This session has ended"


class CompanyOut(msgspec.Struct):
    id: int
    name: str
    status: ClientStatus


class MemberOut(msgspec.Struct):
    """One person who may, or might, log in."""

    id: int
    username: str
    role: MemberRole
    active: bool
    created_at: datetime

    @classmethod
    def of(cls, login: ClientLogin) -> "MemberOut":
        return cls(login.id, login.username, login.role, login.active, login.created_at)


class KeyOut(msgspec.Struct):
    id: int
    name: str | None
    api_key: str


class DoneOut(msgspec.Struct):
    message: str


class MeOut(msgspec.Struct):
    """Who calls: a person (`member`) or an API key (`credential`), and what they may do."""

    client: CompanyOut
    member: MemberOut | None
    credential: KeyOut | None
    scopes: list[str]


class PasswordIn(msgspec.Struct, forbid_unknown_fields=True):
    """8 to 128 characters, and no obvious guess."""

    current_password: str = ""
    new_password: str = ""

    def __repr__(self) -> str:
        return "PasswordIn([redacted])"


class NewMemberIn(msgspec.Struct, forbid_unknown_fields=True):
    """`role`: owner, developer, finance or viewer. `password` is theirs, to be changed by them."""

    username: str = ""
    password: str = ""
    role: str = ""
    current_password: str = ""

    def __repr__(self) -> str:
        return "NewMemberIn([redacted])"


class MemberChangeIn(msgspec.Struct, forbid_unknown_fields=True):
    """What is left out stays as it is. `password`: another one for them, to be changed by them."""

    role: str | None = None
    active: bool | None = None
    password: str | None = None
    current_password: str = ""

    def __repr__(self) -> str:
        return "MemberChangeIn([redacted])"


PASSWORD = msgspec.json.Decoder(PasswordIn)
NEW_MEMBER = msgspec.json.Decoder(NewMemberIn)
MEMBER_CHANGE = msgspec.json.Decoder(MemberChangeIn)


@get(
    "/me",
    guards=[requires(None)],
    security=SECURITY,
    operation_id="getMe",
    summary="Say who calls",
    responses=answers(MeOut, 401, 503, told="Who you are and what you may do"),
)
async def get_me(request: Request[Any, Any, Any], db: GivenDatabase) -> Response[bytes]:
    """Who this token or key stands for, for which company, and its scopes."""
    who = principal_of(request)
    async with db.connection() as connection:
        [company] = await clients.read(connection, [who.client_id])
        if company is None:
            raise Unauthorized
        member = key = None
        if who.login_id is not None:
            member = MemberOut.of(await members.read(connection, who.login_id))
        elif who.credential_id is not None:
            held = await acts.owned(connection, who.client_id, who.credential_id)
            key = KeyOut(held.id, held.name, held.api_key)
    company_out = CompanyOut(company.id, company.name, company.status)
    return encode(MeOut(company_out, member, key, sorted(who.scopes)))


@post(
    "/me/password",
    status_code=200,
    guards=[person(None)],
    security=BEARER_ONLY,
    operation_id="changeMyPassword",
    summary="Change your password",
    operation_class=takes(PasswordIn, needs=("current_password", "new_password")),
    responses=answers(DoneOut, 400, 401, 403, 429, 503, told="Changed"),
)
async def change_my_password(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    sessions: GivenSessions,
    passwords: GivenPasswords,
    directory: GivenDirectory,
) -> Response[bytes]:
    """Change the password of who is signed in; this session goes on, their others end at once.

    403 `WRONG_PASSWORD` when the current one is wrong; ten tries a minute.
    """
    body, who = decode(PASSWORD, await request.body()), person_of(request)
    async with db.connection() as connection:
        login = await members.read(connection, who.login_id)
    check_password(body.new_password, login.username)
    proof = Proof(db, sessions, clock)
    shown = await proof.show(who, body.current_password)
    digest = await passwords.digest(body.new_password)

    async def work(tx: Tx, held: ClientLogin, at: datetime) -> None:
        await acts.change_own_password(tx, held, digest, who.family, who.actor, at)

    await proof.held(who, shown, None, work)
    directory.expire()
    return encode(DoneOut(CHANGED))


@post(
    "/me/logout",
    status_code=200,
    guards=[person(None)],
    security=BEARER_ONLY,
    operation_id="endMySession",
    summary="End this session",
    responses=answers(DoneOut, 401, 403, 503, told="Ended"),
)
async def end_my_session(
    request: Request[Any, Any, Any], sessions: GivenSessions, directory: GivenDirectory
) -> Response[bytes]:
    """End this session, with its access and refresh tokens; nobody else's.

    `POST /auth/logout` ends all of yours; of an owner, those of everybody in the company.
    """
    who = person_of(request)
    await sessions.leave(who.client_id, who.family)
    directory.expire()
    return encode(DoneOut(ENDED))


@get(
    "/members",
    guards=[person(Scope.MEMBERS_READ)],
    security=BEARER_ONLY,
    operation_id="listMembers",
    summary="List members",
    responses=answers(list[MemberOut], 401, 403, 503, told="Your people"),
)
async def list_members(request: Request[Any, Any, Any], db: GivenDatabase) -> Response[bytes]:
    """Everybody who may log in for your company, and who might no more, by id."""
    async with db.connection() as connection:
        [found] = await clients.logins_of(connection, [principal_of(request).client_id])
    return encode([MemberOut.of(login) for login in found])


@post(
    "/members",
    status_code=201,
    guards=[person(Scope.MEMBERS_WRITE)],
    security=BEARER_ONLY,
    operation_id="addMember",
    summary="Add a member",
    operation_class=takes(NewMemberIn, needs=("username", "password", "role", "current_password")),
    responses=answers(MemberOut, 400, 401, 403, 409, 429, 503, status=201, told="Added"),
)
async def add_member(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    sessions: GivenSessions,
    passwords: GivenPasswords,
) -> Response[bytes]:
    """Let somebody log in for your company. `current_password` is yours, asked for again.

    Owners do everything; developers orders, keys and webhooks; finance sees money and sets who is
    told of it; viewers look. Codes are shown to owners and developers.
    """
    body, who = decode(NEW_MEMBER, await request.body()), person_of(request)
    proof, role = Proof(db, sessions, clock), role_of(body.role)
    shown = await proof.show(who, body.current_password)
    new = await clients.prepare_login(passwords, who.client_id, body.username, body.password, role)

    async def work(tx: Tx, _held: ClientLogin, at: datetime) -> ClientLogin:
        await members.check_room(tx, who.client_id)
        added = await clients.add_login(tx, new, at)
        await acts.note_added(tx, added, who.actor, at, who.login_id)
        return added

    added = await proof.held(who, shown, Scope.MEMBERS_WRITE, work)
    return encode(MemberOut.of(added), 201)


@patch(
    "/members/{member_id:str}",
    guards=[person(Scope.MEMBERS_WRITE)],
    security=BEARER_ONLY,
    operation_id="changeMember",
    summary="Change a member",
    operation_class=takes(MemberChangeIn, needs=("current_password",)),
    responses=answers(MemberOut, 400, 401, 403, 404, 409, 429, 503, told="As they are now"),
)
async def change_member(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    sessions: GivenSessions,
    passwords: GivenPasswords,
    directory: GivenDirectory,
    member_id: FromPath[str],
) -> Response[bytes]:
    """Change a member's role, their password, or whether they may log in; within a second.

    Somebody deactivated, or with another password, is signed out everywhere. The last active owner
    stays one (409).
    """
    body, who = decode(MEMBER_CHANGE, await request.body()), person_of(request)
    role = None if body.role is None else role_of(body.role)
    number, digest = path_id(member_id, MemberNotFound), None
    proof = Proof(db, sessions, clock)
    shown = await proof.show(who, body.current_password)
    if body.password is not None:
        async with db.connection() as connection:
            [people] = await clients.logins_of(connection, [who.client_id])
        name = next((login.username for login in people if login.id == number), None)
        if name is None:
            raise MemberNotFound
        check_password(body.password, name)
        digest = await passwords.digest(body.password)
    ask = MemberChange(number, role, body.active, digest)

    async def work(tx: Tx, _held: ClientLogin, at: datetime) -> ClientLogin:
        return await acts.change_member(tx, who.client_id, ask, who.actor, at, who.login_id)

    after = await proof.held(who, shown, Scope.MEMBERS_WRITE, work)
    directory.expire()
    return encode(MemberOut.of(after))


ROUTER = Router(
    path="/",
    tags=["Team"],
    route_handlers=[
        get_me,
        change_my_password,
        end_my_session,
        list_members,
        add_member,
        change_member,
    ],
)
