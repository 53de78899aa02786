"""How a client's mail looks and who of it gets some, as staff set it."""

import base64
import binascii
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec
from litestar import Request, Response, Router, get, put
from litestar.params import FromPath

from rewards.audit import service as audit
from rewards.audit.model import AuditFact
from rewards.clients import service as clients
from rewards.clients.model import ClientNotFound
from rewards.core.errors import InvalidField
from rewards.core.text import printable
from rewards.infra.db import Tx
from rewards.infra.http import decode, encode, member_of, path_id
from rewards.infra.openapi import answers, takes
from rewards.notices import service as notices
from rewards.notices.model import (
    ACCENT,
    CONTACTS_MAX,
    FOOTER_CHARS_MAX,
    LANGUAGE,
    NAME_CHARS_MAX,
    URL_CHARS_MAX,
    Logo,
    NoticeKind,
    NoticeSettings,
    logo_of,
)
from rewards.orders.request import EMAIL, EMAIL_LENGTH_MAX
from rewards.staff.auth import caller, requires
from rewards.staff.given import GivenClock, GivenDatabase, reason_told
from rewards.staff.model import Permission

USUAL = NoticeSettings(0)


class NoticeSettingsIn(msgspec.Struct, forbid_unknown_fields=True):
    """The settings whole: what is left out is as usual again.

    `logo`: a PNG, JPEG or GIF of at most 64 KiB in base64, sent inside each mail; or `logo_url`,
    which whoever reads the mail asks for. `sender_address` must be one that the relay may send for.
    `contacts`: the client's own addresses, for low balances, cancelled orders and endpoints in
    trouble. `muted`: kinds that are not sent. `reason`: why, for the trail.
    """

    brand_name: str | None = None
    accent: str = USUAL.accent
    logo: str | None = None
    logo_url: str | None = None
    sender_name: str | None = None
    sender_address: str | None = None
    reply_to: str | None = None
    footer: str | None = None
    language: str = USUAL.language
    contacts: list[str] = []
    muted: list[str] = []
    reason: str | None = None


class NoticeSettingsOut(msgspec.Struct):
    """As they are; `logo` in base64. `changed_at` is null where none were ever set."""

    client_id: int
    brand_name: str | None
    accent: str
    logo: str | None
    logo_type: str | None
    logo_url: str | None
    sender_name: str | None
    sender_address: str | None
    reply_to: str | None
    footer: str | None
    language: str
    contacts: list[str]
    muted: list[NoticeKind]
    changed_at: datetime | None

    @classmethod
    def of(cls, chosen: NoticeSettings) -> "NoticeSettingsOut":
        logo = chosen.logo
        return cls(
            client_id=chosen.client_id,
            brand_name=chosen.brand_name,
            accent=chosen.accent,
            logo=base64.b64encode(logo.data).decode() if logo else None,
            logo_type=logo.type if logo else None,
            logo_url=chosen.logo_url,
            sender_name=chosen.sender_name,
            sender_address=chosen.sender_address,
            reply_to=chosen.reply_to,
            footer=chosen.footer,
            language=chosen.language,
            contacts=list(chosen.contacts),
            muted=list(chosen.muted),
            changed_at=chosen.changed_at,
        )


SETTINGS = msgspec.json.Decoder(NoticeSettingsIn)


def _address(field: str, given: str) -> str:
    if len(given) > EMAIL_LENGTH_MAX or not EMAIL.fullmatch(given):
        raise InvalidField(field, "email")
    return given


def _logo(given: str | None) -> Logo | None:
    if given is None:
        return None
    try:
        return logo_of(base64.b64decode(given, validate=True))
    except (binascii.Error, ValueError):
        raise InvalidField("Logo", "base64") from None


def _logo_url(given: str | None) -> str | None:
    if given is None:
        return None
    url = printable("LogoUrl", given, URL_CHARS_MAX)
    try:
        parts = urlsplit(url)
    except ValueError:
        raise InvalidField("LogoUrl", "url") from None
    if parts.scheme != "https" or not parts.hostname or " " in url:
        raise InvalidField("LogoUrl", "url")
    return url


def _chosen(client_id: int, body: NoticeSettingsIn) -> NoticeSettings:
    """The settings that the body asks for; refuses the first that cannot be."""
    accent = body.accent.lower()
    if not ACCENT.fullmatch(accent):
        raise InvalidField("Accent", "format")
    logo, logo_url = _logo(body.logo), _logo_url(body.logo_url)
    if logo is not None and logo_url is not None:
        raise InvalidField("LogoUrl", "excluded")
    if not LANGUAGE.fullmatch(body.language):
        raise InvalidField("Language", "format")
    if len(body.contacts) > CONTACTS_MAX:
        raise InvalidField("Contacts", "max")
    contacts = dict.fromkeys(_address("Contacts", each) for each in body.contacts)
    muted = dict.fromkeys(member_of("Muted", NoticeKind, each) for each in body.muted)
    name, sender = body.brand_name, body.sender_name
    address, reply = body.sender_address, body.reply_to
    return NoticeSettings(
        client_id=client_id,
        brand_name=None if name is None else printable("BrandName", name, NAME_CHARS_MAX),
        accent=accent,
        logo_url=logo_url,
        logo=logo,
        sender_name=None if sender is None else printable("SenderName", sender, NAME_CHARS_MAX),
        sender_address=None if address is None else _address("SenderAddress", address),
        reply_to=None if reply is None else _address("ReplyTo", reply),
        footer=None if body.footer is None else printable("Footer", body.footer, FOOTER_CHARS_MAX),
        language=body.language,
        contacts=tuple(contacts),
        muted=tuple(muted),
    )


@get(
    "/clients/{client_id:str}/notice-settings",
    operation_id="getNoticeSettings",
    guards=[requires(Permission.CLIENTS_READ)],
    responses=answers(NoticeSettingsOut, 401, 403, 404),
)
async def get_notice_settings(client_id: FromPath[str], db: GivenDatabase) -> Response[bytes]:
    """How a client's mail looks, in which language, and who of it gets some."""
    number = path_id(client_id, ClientNotFound)
    async with db.connection() as connection:
        await clients.check_there(connection, number)
        chosen = await notices.read_settings(connection, number)
    return encode(NoticeSettingsOut.of(chosen))


@put(
    "/clients/{client_id:str}/notice-settings",
    operation_id="putNoticeSettings",
    guards=[requires(Permission.CLIENTS_WRITE)],
    operation_class=takes(NoticeSettingsIn),
    responses=answers(NoticeSettingsOut, 400, 401, 403, 404),
)
async def put_notice_settings(
    request: Request[Any, Any, Any], db: GivenDatabase, clock: GivenClock, client_id: FromPath[str]
) -> Response[bytes]:
    """Set them whole; counts for every mail that is sent from now on.

    A language that nobody has written the words for falls back to its base, then to English.
    """
    body = decode(SETTINGS, await request.body())
    number = path_id(client_id, ClientNotFound)
    chosen, reason = _chosen(number, body), reason_told(body.reason)

    async def work(tx: Tx) -> NoticeSettings:
        await clients.check_there(tx, number)
        at = clock.now()
        before = await notices.set_settings(tx, chosen, at)
        after = await notices.read_settings(tx, number)
        old, new = _told(before), _told(after)
        facts = {key: {"from": old[key], "to": new[key]} for key in new if old[key] != new[key]}
        who = caller(request).actor
        action = "client.notice_settings_set"
        fact = AuditFact(who, number, action, "client", number, facts, reason)
        await audit.record(tx, [fact], at)
        return after

    return encode(NoticeSettingsOut.of(await db.run(work)))


def _told(chosen: NoticeSettings) -> dict[str, object]:
    """As the trail tells it: of a picture only how big it is."""
    told = msgspec.structs.asdict(NoticeSettingsOut.of(chosen))
    told["logo"] = len(chosen.logo.data) if chosen.logo else None
    return {key: value for key, value in told.items() if key not in ("client_id", "changed_at")}


ROUTER = Router(
    path="/admin/api/v1",
    tags=["Notices (staff)"],
    route_handlers=[get_notice_settings, put_notice_settings],
)
