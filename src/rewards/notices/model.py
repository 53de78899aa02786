"""Notices: what somebody is told by mail, how that stands, and how the mail looks; pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from rewards.core.errors import Conflict, InvalidField, NotFound

ADDRESS = re.compile(r"[^\s<>()\[\]@,;:]+@[^\s<>()\[\]@,;:]+")


class NoticeKind(StrEnum):
    ORDER_DELIVERED = "ORDER_DELIVERED"  # also a part of it
    ORDER_CANCELLED = "ORDER_CANCELLED"  # or failed for good
    LOW_BALANCE = "LOW_BALANCE"
    ENDPOINT_FAILING = "ENDPOINT_FAILING"
    ENDPOINT_DISABLED = "ENDPOINT_DISABLED"


class Audience(StrEnum):
    CUSTOMER = "CUSTOMER"  # whom the order's `email` names
    CLIENT = "CLIENT"  # the contacts of the client's settings


class NoticeState(StrEnum):
    QUEUED = "QUEUED"  # also between attempts
    SENT = "SENT"
    FAILED = "FAILED"
    SUPPRESSED = "SUPPRESSED"  # its mailbox was refused before
    SKIPPED = "SKIPPED"  # there is nothing to say any more, or nobody to say it through


class Outcome(StrEnum):
    """What one attempt met."""

    ACCEPTED = "ACCEPTED"
    DEFERRED = "DEFERRED"  # a 4xx
    LOST = "LOST"  # the connection broke: it may have arrived
    UNREACHED = "UNREACHED"  # no connection
    TURNED_AWAY = "TURNED_AWAY"  # the relay will not talk to us: TLS, authentication
    REFUSED = "REFUSED"  # a 5xx
    NO_MAILBOX = "NO_MAILBOX"  # a 5xx that says there is no such mailbox


@dataclass(frozen=True, slots=True)
class NewNotice:
    """`cause` names what happened; the same cause, kind and address are one notice."""

    client_id: int
    kind: NoticeKind
    audience: Audience
    address: str = field(repr=False)
    cause: str
    order_id: int | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    resend_of: int | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    id: int
    client_id: int
    kind: NoticeKind
    audience: Audience
    address: str = field(repr=False)
    cause: str
    order_id: int | None
    facts: Mapping[str, Any]
    message_id: str
    resend_of: int | None
    state: NoticeState
    attempts: int
    next_at: datetime
    reason: str | None
    created_at: datetime
    finished_at: datetime | None

    @property
    def masked(self) -> str:
        return mask(self.address)


@dataclass(frozen=True, slots=True)
class Reply:
    """How one attempt went. `text` is fit to be kept: see `kept_text`."""

    outcome: Outcome
    stage: str | None = None
    code: int | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    number: int
    reply: Reply
    started_at: datetime
    took_ms: int


@dataclass(frozen=True, slots=True)
class Settled:
    """Where a notice goes after an attempt; `wait_s` where it stays QUEUED."""

    state: NoticeState
    reason: str | None = None
    wait_s: int = 0


@dataclass(frozen=True, slots=True)
class Logo:
    """A picture that travels with the mail."""

    type: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class NoticeSettings:
    """How a client's mail looks and who of it gets some; None takes what the deployment says."""

    client_id: int
    brand_name: str | None = None
    accent: str = "#3d3dd8"
    logo_url: str | None = None
    logo: Logo | None = None
    sender_name: str | None = None
    sender_address: str | None = None
    reply_to: str | None = None
    footer: str | None = None
    language: str = "en"
    contacts: tuple[str, ...] = ()
    muted: tuple[NoticeKind, ...] = ()
    changed_at: datetime | None = None


class NoticeNotFound(NotFound):
    code = "NOTICE_NOT_FOUND"
    default_message = "Notice not found"


class NoticeStillQueued(Conflict):
    """It, or an earlier resend of it, has yet to be sent."""

    code = "NOTICE_STILL_QUEUED"
    default_message = "Notice is still queued"


# Seconds to the next attempt after each failed one: two days in all, so that a relay may be mended.
WAITS_S = (60, 300, 900, 3_600, 14_400, 43_200, 86_400)
ATTEMPT_MAX = len(WAITS_S) + 1
FOR_GOOD = frozenset({Outcome.REFUSED, Outcome.NO_MAILBOX})


def settle(attempts: int, reply: Reply) -> Settled:
    """Where a notice goes that was tried so often and met this the last time."""
    if reply.outcome is Outcome.ACCEPTED:
        return Settled(NoticeState.SENT)
    if reply.outcome in FOR_GOOD or attempts >= ATTEMPT_MAX:
        return Settled(NoticeState.FAILED, str(reply.outcome))
    return Settled(NoticeState.QUEUED, str(reply.outcome), WAITS_S[attempts - 1])


# Bad destination mailbox, system or syntax, mailbox disabled or moved: RFC 3463, 5.1.x and 5.2.1.
MAILBOX_STATUS = re.compile(r"^5\.(1\.(1|2|3|6|10)|2\.1)\b")
# A server without enhanced codes says 550 of policy as well as of mailboxes: only these are plain.
MAILBOX_CODES = frozenset({551, 553})
# Authentication or TLS is missing or weak (RFC 4954): ours to mend, and no fault of the mail's.
NOT_LET_IN = frozenset({530, 534, 535, 538})


def reply_of(stage: str, code: int, text: str) -> Reply:
    """What a server's answer means (RFC 5321 §4.2, RFC 3463).

    Only what it says of the recipient tells that there is no such mailbox. Of what it says after it
    has seen the mail nothing is kept but the number: a server may quote what it was sent.
    """
    kept = kept_text(text) if stage in ("MAIL", "RCPT") else None
    if 400 <= code < 500:
        return Reply(Outcome.DEFERRED, stage, code, kept)
    if code in NOT_LET_IN:
        return Reply(Outcome.TURNED_AWAY, stage, code)
    gone = code in MAILBOX_CODES or bool(MAILBOX_STATUS.match(text))
    outcome = Outcome.NO_MAILBOX if stage == "RCPT" and gone else Outcome.REFUSED
    return Reply(outcome, stage, code, kept)


REPLY_CHARS_MAX = 300
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]+")


def kept_text(text: str) -> str:
    """A server's words in one line, without addresses."""
    told = ADDRESS.sub("[address]", UNPRINTABLE.sub(" ", text))
    return told[:REPLY_CHARS_MAX]


def mask(address: str) -> str:
    """`j***@example.com`: enough to recognise for who knows it, nothing for who does not."""
    name, at, domain = address.rpartition("@")
    return f"{name[:1]}***{at}{domain}" if at else "***"


def again(notice: Notice, number: int) -> NewNotice:
    """The same once more, since somebody asked for it the `number`-th time."""
    return NewNotice(
        notice.client_id,
        notice.kind,
        notice.audience,
        notice.address,
        f"resend {number} of {notice.id}",
        notice.order_id,
        notice.facts,
        notice.id,
    )


LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}")
ACCENT = re.compile(r"#[0-9a-f]{6}")
CONTACTS_MAX = 10
LOGO_BYTES_MAX = 64 * 1024
NAME_CHARS_MAX = 100
FOOTER_CHARS_MAX = 500
URL_CHARS_MAX = 500
# What a picture begins with, by what it is: mail programs show no other kind.
PICTURES: Mapping[str, tuple[bytes, ...]] = {
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/gif": (b"GIF87a", b"GIF89a"),
}


def logo_of(data: bytes) -> Logo:
    """The picture in these bytes. Refuses one that is too big, or no PNG, JPEG or GIF."""
    if len(data) > LOGO_BYTES_MAX:
        raise InvalidField("Logo", "max")
    for kind, beginnings in PICTURES.items():
        if data.startswith(beginnings):
            return Logo(kind, data)
    raise InvalidField("Logo", "image")


def or_defaults(found: NoticeSettings | None, client_id: int) -> NoticeSettings:
    """The client's settings; the usual ones where it has none."""
    return found or NoticeSettings(client_id)
