"""What replies mean, what is kept of them, plurals, masks: the decisions."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.notices.catalogue import LANGUAGES, PLURALS, words_of
from rewards.notices.model import (
    ATTEMPT_MAX,
    NoticeState,
    Outcome,
    Reply,
    kept_text,
    mask,
    reply_of,
    settle,
)
from rewards.notices.rendering import Look, contrast

STAGES = ("MAIL", "RCPT", "DATA")


@given(st.sampled_from(STAGES), st.integers(400, 599), st.text())
def test_a_4xx_is_tried_again_and_a_5xx_is_not(stage: str, code: int, text: str) -> None:
    reply = reply_of(stage, code, text)
    settled = settle(1, reply)
    again = code < 500 or code in (530, 534, 535, 538)
    assert (settled.state is NoticeState.QUEUED) == again
    assert (settled.wait_s > 0) == again
    assert reply.outcome is not Outcome.NO_MAILBOX or stage == "RCPT"
    assert stage != "DATA" or reply.text is None


@given(st.sampled_from(Outcome), st.integers(1, ATTEMPT_MAX))
def test_it_ends_after_the_last_attempt(outcome: Outcome, attempts: int) -> None:
    settled = settle(attempts, Reply(outcome))
    again = settled.state is NoticeState.QUEUED
    assert again == (
        outcome in (Outcome.DEFERRED, Outcome.LOST, Outcome.UNREACHED, Outcome.TURNED_AWAY)
        and attempts < ATTEMPT_MAX
    )
    assert (settled.reason is None) == (settled.state is NoticeState.SENT)


@given(st.text(), st.from_regex(r"[a-z.]{1,20}@[a-z]{1,10}\.example", fullmatch=True), st.text())
def test_no_address_is_kept(before: str, address: str, after: str) -> None:
    assert address not in kept_text(f"{before} <{address}> {after}")


@pytest.mark.parametrize(
    ("address", "masked"),
    [("jane@x.example", "j***@x.example"), ("j@x.example", "j***@x.example"), ("odd", "***")],
)
def test_a_masked_address_is_known_by_whoever_knows_it(address: str, masked: str) -> None:
    assert mask(address) == masked


def test_every_language_says_everything_with_the_same_blanks() -> None:
    def blanks(text: str) -> set[str]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    english = LANGUAGES["en"].messages
    for language, words in LANGUAGES.items():
        assert words.messages.keys() == english.keys()
        categories = {PLURALS[language](count) for count in range(1, 200)}
        for key, message in words.messages.items():
            first = english[key]
            wanted = blanks(first if isinstance(first, str) else first["other"])
            if isinstance(message, dict):
                assert message.keys() == categories, (language, key)
                assert all(blanks(text) <= wanted | {"count"} for text in message.values())
                assert wanted - {"count"} <= blanks(message["other"])
            else:
                assert blanks(message) == wanted, (language, key)
                assert isinstance(first, str), f"{key} has plurals in English"


@pytest.mark.parametrize(
    ("asked", "got"), [("ar", "ar"), ("ar-EG", "ar"), ("AR_sa", "ar"), ("de", "en"), ("", "en")]
)
def test_a_language_nobody_wrote_falls_back(asked: str, got: str) -> None:
    assert words_of(asked).language == got


@pytest.mark.parametrize(
    ("count", "category"),
    [
        *((1, "one"), (2, "two"), (3, "few"), (10, "few"), (11, "many"), (99, "many")),
        *((100, "other"), (102, "other"), (103, "few"), (111, "many")),
    ],
)
def test_arabic_counts_as_it_does(count: int, category: str) -> None:
    assert PLURALS["ar"](count) == category


@given(st.from_regex(r"#[0-9a-f]{6}", fullmatch=True))
def test_ink_can_be_read_on_every_accent(accent: str) -> None:
    """WCAG AA: 4.5 to 1."""
    assert contrast(accent, Look("x", accent).on_accent) >= 4.5
