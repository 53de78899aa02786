"""Every end of an SMTP dialogue: taken, put off, lost, refused, and what is done of it."""

import asyncio
import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from rewards.infra.crypto import SealBroken
from rewards.notices import service
from rewards.notices.model import ATTEMPT_MAX, WAITS_S, Notice, NoticeState, Outcome
from tests.notices.certificates import server_tls
from tests.notices.mailroom import CUSTOMER, Mailroom, open_mailroom
from tests.notices.postoffice import PostOffice, post_office, text_of
from tests.shop import STAFF

SENT, QUEUED, FAILED = NoticeState.SENT, NoticeState.QUEUED, NoticeState.FAILED


async def one_order(room: Mailroom, email: str = CUSTOMER) -> Notice:
    """An order whose mail is queued."""
    product = room.shop.parts.catalog.product(6) or await room.shop.product()
    await room.shop.stock(product, 1)
    placed = await room.order(product, email=email)
    await room.read_causes()
    return await room.notice(order_id=placed.order.id)


async def seen(room: Mailroom, notice: Notice) -> Notice:
    return await room.notice(order_id=notice.order_id)


@pytest.mark.parametrize(
    ("stage", "said", "outcome", "code"),
    [
        ("MAIL", "451 4.3.0 try later", Outcome.DEFERRED, 451),
        ("RCPT", "450 4.2.1 mailbox busy", Outcome.DEFERRED, 450),
        ("DATA", "452 4.3.1 no room", Outcome.DEFERRED, 452),
        ("MAIL", "421 4.7.0 too many", Outcome.DEFERRED, 421),
        ("MAIL", "drop", Outcome.LOST, None),
        ("RCPT", "drop", Outcome.LOST, None),
        ("DATA", "drop", Outcome.LOST, None),
    ],
)
async def test_what_may_pass_is_tried_again(
    room: Mailroom, office: PostOffice, stage: str, said: str, outcome: Outcome, code: int | None
) -> None:
    office.fail(stage, said)
    queued = await one_order(room)
    await room.tasks.send()
    waiting = await seen(room, queued)
    assert (waiting.state, waiting.attempts, waiting.reason) == (QUEUED, 1, outcome)
    waits_s = (waiting.next_at - queued.created_at).total_seconds()
    assert waits_s >= WAITS_S[0] * 0.9 - 1
    await room.tasks.send()
    assert office.taken == []
    await room.pass_waits()
    await room.tasks.send()
    assert (await seen(room, queued)).state is SENT
    [first, second] = await room.attempts(queued.id)
    assert (first.reply.outcome, first.reply.stage) == (outcome, stage)
    assert first.reply.code == code or outcome is Outcome.LOST
    assert second.reply.outcome is Outcome.ACCEPTED
    assert [mail["Message-ID"] for mail in office.taken] == [queued.message_id]
    assert await room.shop.broken() == {}


@pytest.mark.parametrize(
    ("stage", "said", "outcome"),
    [
        ("MAIL", "550 5.7.1 not you", Outcome.REFUSED),
        ("RCPT", "550 5.7.1 policy", Outcome.REFUSED),
        ("RCPT", "550 no", Outcome.REFUSED),
        ("DATA", "554 5.6.0 spam", Outcome.REFUSED),
        ("DATA", "550 5.1.1 no such mailbox after all", Outcome.REFUSED),
        ("RCPT", "550 5.1.1 <jane.doe@customer.example> unknown", Outcome.NO_MAILBOX),
        ("RCPT", "553 mailbox name not allowed", Outcome.NO_MAILBOX),
    ],
)
async def test_what_is_refused_for_good_is_given_up(
    room: Mailroom, office: PostOffice, stage: str, said: str, outcome: Outcome
) -> None:
    office.fail(stage, said)
    queued = await one_order(room)
    await room.tasks.send()
    over = await seen(room, queued)
    assert (over.state, over.reason, over.attempts) == (FAILED, outcome, 1)
    [attempt] = await room.attempts(queued.id)
    assert attempt.reply.outcome is outcome
    assert CUSTOMER not in (attempt.reply.text or "")
    await room.pass_waits()
    await room.tasks.send()
    assert office.taken == []
    assert await room.shop.broken() == {}


async def test_a_mailbox_that_is_none_gets_nothing_more_until_staff_ask(
    room: Mailroom, office: PostOffice
) -> None:
    office.fail("RCPT", "550 5.1.1 unknown")
    first = await one_order(room)
    await room.tasks.send()
    second = await one_order(room, CUSTOMER.upper())
    other = await one_order(room, "john@customer.example")
    await room.tasks.send()
    assert (await seen(room, second)).state is NoticeState.SUPPRESSED
    assert (await seen(room, other)).state is SENT
    async with room.shop.parts.db.transaction() as tx:
        await service.resend(
            tx, first.id, STAFF, "they made one", room.shop.parts.settings, room.shop.now
        )
    await room.tasks.send()
    third = await one_order(room)
    await room.tasks.send()
    assert (await seen(room, third)).state is SENT
    assert office.recipients.count(CUSTOMER) == 2
    assert await room.shop.broken() == {}


async def test_a_reply_that_was_lost_is_a_second_mail_that_says_it_is_the_first(
    room: Mailroom, office: PostOffice
) -> None:
    office.fail("DATA", "torn")
    queued = await one_order(room)
    await room.tasks.send()
    assert (await seen(room, queued)).reason == Outcome.LOST
    await room.pass_waits()
    await room.tasks.send()
    assert (await seen(room, queued)).state is SENT
    ids = [mail["Message-ID"] for mail in office.taken]
    assert ids == [queued.message_id] * 2
    assert office.taken[0]["Date"] == office.taken[1]["Date"]


async def test_a_slow_server_is_waited_for_no_longer_than_said(
    dsn: str, tmp_path: Path, office: PostOffice
) -> None:
    async with open_mailroom(dsn, tmp_path, office.port, mail_timeout_s=0.3) as room:
        office.fail("RCPT", "slow")
        queued = await one_order(room)
        await asyncio.wait_for(room.tasks.send(), 20)
        assert (await seen(room, queued)).reason == Outcome.LOST


async def test_nobody_there_is_tried_again_and_the_rest_is_not_counted(
    room: Mailroom, office: PostOffice
) -> None:
    for _ in range(3):
        await one_order(room)
    away = room.other(mail_port=1, mail_connections=1)
    await away.send()
    states = [(notice.attempts, notice.reason) for notice in await room.notices()]
    assert sorted(states, key=str) == [(0, None), (0, None), (1, Outcome.UNREACHED)]
    await room.pass_waits()
    await room.tasks.send()
    assert len(office.taken) == 3


async def test_it_is_given_up_after_the_last_wait(room: Mailroom, office: PostOffice) -> None:
    office.fail("MAIL", "451 never", times=100)
    queued = await one_order(room)
    for _ in range(len(WAITS_S) + 3):
        await room.tasks.send()
        await room.pass_waits()
    over = await seen(room, queued)
    assert (over.state, over.attempts) == (FAILED, len(WAITS_S) + 1)
    assert len(await room.attempts(queued.id)) == len(WAITS_S) + 1


async def test_one_refused_among_many_keeps_no_other(room: Mailroom, office: PostOffice) -> None:
    office.fail("RCPT", "550 5.7.1 no", to="no@customer.example")
    office.fail("RCPT", "450 4.2.0 later", to="later@customer.example")
    for name in ("a", "no", "b", "later", "c"):
        await one_order(room, f"{name}@customer.example")
    await room.other(mail_connections=1).send()
    assert sorted(name[0] for name in office.recipients) == ["a", "b", "c"]


async def test_without_a_relay_notices_say_so(room: Mailroom, office: PostOffice) -> None:
    queued = await one_order(room)
    await room.other(mail_host="").send()
    over = await seen(room, queued)
    assert (over.state, over.reason) == (NoticeState.SKIPPED, "NO_RELAY")


async def test_a_sender_that_died_is_followed_by_another_within_its_lease(
    room: Mailroom, office: PostOffice
) -> None:
    """It took the mail and died: its lease ends, by the database's clock."""
    queued = await one_order(room)
    taken = await room.tasks.sending.db.run(lambda tx: room.tasks.sending._take(uuid4(), tx))
    assert [notice.id for notice in taken] == [queued.id]
    await room.tasks.send()
    assert office.taken == []
    await room.pass_waits()
    await room.tasks.send()
    over = await seen(room, queued)
    assert (over.state, over.attempts) == (SENT, 2)
    assert await room.shop.broken() == {}


async def test_a_mail_that_cannot_be_made_keeps_no_other_waiting(
    room: Mailroom, office: PostOffice
) -> None:
    """Its voucher's seal is broken: a bug or worse, told as one, and given up in the end."""
    broken = await one_order(room, "broken@customer.example")
    async with room.shop.parts.db.transaction() as tx:
        await tx.execute(
            "UPDATE units SET sealed = set_byte(sealed, 30, get_byte(sealed, 30) # 1)"
            " WHERE id = (SELECT unit_id FROM order_items WHERE order_id = $1)",
            broken.order_id,
        )
    await one_order(room, "a@customer.example")
    await one_order(room, "b@customer.example")
    alone = room.other(mail_connections=1)
    with pytest.raises(SealBroken):
        await alone.send()
    async with room.shop.parts.db.transaction() as tx:
        await tx.execute("UPDATE notices SET next_at = now() WHERE lease IS NULL")
    await alone.send()
    assert sorted(office.recipients) == ["a@customer.example", "b@customer.example"]
    for _ in range(ATTEMPT_MAX - 1):
        await room.pass_waits()
        with pytest.raises(SealBroken):
            await alone.send()
    await room.pass_waits()
    await alone.send()
    over = await seen(room, broken)
    assert (over.state, over.reason) == (FAILED, "NEVER_SETTLED")


@pytest.mark.parametrize("implicit", [False, True])
async def test_mail_goes_encrypted_and_logged_in(dsn: str, tmp_path: Path, implicit: bool) -> None:
    tls, authority = server_tls(tmp_path)
    chosen: dict[str, Any] = {
        "mail_tls": "TLS" if implicit else "STARTTLS",
        "mail_ca_file": authority,
        "mail_username": "rewards",
        "mail_password": "open sesame",
    }
    async with (
        post_office(tls, implicit=implicit, login=True) as office,
        open_mailroom(dsn, tmp_path, office.port, **chosen) as room,
    ):
        queued = await one_order(room)
        await room.tasks.send()
        assert (await seen(room, queued)).state is SENT
        assert office.encrypted == [True] or implicit


@pytest.mark.parametrize(
    ("chosen", "stage", "code"),
    [
        ({"mail_tls": "STARTTLS"}, "TLS", None),  # nobody vouches for the server
        ({"mail_password": "close sesame"}, "CONNECT", 535),
        ({"mail_tls": "NONE", "mail_username": ""}, "MAIL", 530),  # the server wants TLS
    ],
)
async def test_a_relay_that_will_not_have_us_is_nobodys_fault_but_ours(
    dsn: str, tmp_path: Path, chosen: dict[str, Any], stage: str, code: int | None
) -> None:
    tls, authority = server_tls(tmp_path)
    usual: dict[str, Any] = {
        "mail_tls": "STARTTLS",
        "mail_username": "rewards",
        "mail_timeout_s": 1.0,
    }
    if "mail_tls" not in chosen:
        usual["mail_ca_file"] = authority
    async with (
        post_office(tls, login=True) as office,
        open_mailroom(dsn, tmp_path, office.port, **(usual | chosen)) as room,
    ):
        queued = await one_order(room)
        await room.tasks.send()
        [attempt] = await room.attempts(queued.id)
        assert office.taken == []
        reply = attempt.reply
        assert (reply.outcome, reply.stage, reply.code) == (Outcome.TURNED_AWAY, stage, code)
        assert (await seen(room, queued)).state is QUEUED


async def test_starttls_is_never_fallen_back_from(
    dsn: str, tmp_path: Path, office: PostOffice
) -> None:
    """A server, or somebody on the way to it, that offers none gets no mail."""
    async with open_mailroom(dsn, tmp_path, office.port, mail_tls="STARTTLS") as room:
        queued = await one_order(room)
        await room.tasks.send()
        assert office.taken == []
        assert (await seen(room, queued)).reason == Outcome.TURNED_AWAY


async def test_no_code_and_no_address_is_written_down(room: Mailroom, office: PostOffice) -> None:
    """Not even when the server quotes the mail that it will not have."""
    office.fail("DATA", "554 5.6.0 {content}")
    office.fail("RCPT", "450 4.2.0 <jane.doe@customer.example> is away")
    with capture_logs() as lines:
        await one_order(room)
        await one_order(room, "john.roe@customer.example")
        for _ in range(3):
            await room.tasks.send()
            await room.pass_waits()
    assert lines
    written = json.dumps(lines, default=str)
    async with room.shop.parts.db.connection() as connection:
        for table in ("notices", "notice_attempts", "pgqueuer", "pgqueuer_log", "audit_entries"):
            rows = await connection.fetch(f"SELECT t::text AS row FROM {table} AS t")
            told = "\n".join(row["row"] for row in rows)
            written += told if table != "notices" else told.replace(CUSTOMER, "")
    assert "CANARY" not in written
    assert CUSTOMER not in written
    assert len(office.taken) == 1
    assert "CANARY" in text_of(office.taken[0])
