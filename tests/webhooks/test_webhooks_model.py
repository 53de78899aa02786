"""What becomes of an endpoint when it is changed, whatever it was and whatever is asked."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.core.errors import InvalidField
from rewards.webhooks.model import DisabledReason, Endpoint, EndpointStatus, EventType
from rewards.webhooks.model_endpoints import (
    EVENTS_MAX,
    EVERY_EVENT,
    SUBSCRIBABLE,
    EndpointChange,
    check_name,
    decide_change,
    differences,
    event_types,
    told,
)

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
LATER = datetime(2026, 11, 22, tzinfo=UTC)
URLS = st.sampled_from(
    ["https://a.example/x?token=4711", "https://a.example/y", "https://b.example"]
)
NAMES = st.sampled_from(["", "Shop"])
EVENTS = st.one_of(st.just([EVERY_EVENT]), st.lists(st.sampled_from(SUBSCRIBABLE), min_size=1))


@st.composite
def endpoints(draw: st.DrawFn) -> Endpoint:
    reason = draw(st.none() | st.sampled_from(DisabledReason))
    return Endpoint(
        id=1,
        client_id=1,
        name=draw(NAMES),
        url=draw(URLS),
        event_types=event_types(draw(EVENTS)),
        credential_id=None,
        previous_until=None,
        status=EndpointStatus.DISABLED if reason else EndpointStatus.ENABLED,
        disabled_reason=reason,
        disabled_at=AT if reason else None,
        failing_since=draw(st.none() | st.just(AT)),
        created_at=AT,
        updated_at=AT,
    )


def changes() -> st.SearchStrategy[EndpointChange]:
    none = st.none()
    status = st.sampled_from(EndpointStatus)
    return st.builds(EndpointChange, none | URLS, none | NAMES, none | EVENTS, none | status)


@given(endpoints(), changes(), st.sampled_from([DisabledReason.CLIENT, DisabledReason.STAFF]))
def test_a_change_does_what_was_asked_and_nothing_else(
    before: Endpoint, wanted: EndpointChange, by: DisabledReason
) -> None:
    after = decide_change(before, wanted, by, LATER)
    assert after.url == (before.url if wanted.url is None else wanted.url)
    assert after.name == (before.name if wanted.name is None else wanted.name)
    if wanted.events is not None:
        assert after.event_types == event_types(wanted.events)
    assert after.status is (wanted.status or before.status)
    # It says why it is disabled exactly while it is, and who disabled it first.
    assert (after.disabled_reason is None) == (after.status is EndpointStatus.ENABLED)
    assert (after.disabled_at is None) == (after.disabled_reason is None)
    if before.disabled_reason and after.disabled_reason:
        assert (after.disabled_reason, after.disabled_at) == (before.disabled_reason, AT)
    elif after.disabled_reason:
        assert (after.disabled_reason, after.disabled_at) == (by, LATER)
    enabled = before.disabled_reason is not None and after.disabled_reason is None
    forgiven = enabled or after.url != before.url
    assert after.failing_since == (None if forgiven else before.failing_since)
    # What changes nothing leaves no trace; what changes something always does.
    same = replace(after, updated_at=before.updated_at) == before
    assert (after == before) == same
    assert after.updated_at == (AT if same else LATER)
    assert same or differences(before, after)
    # Asked for again it is a change of nothing.
    assert decide_change(after, wanted, by, LATER) == after
    assert "4711" not in f"{told(after)}{differences(before, after)}{wanted}"


@given(st.lists(st.sampled_from([*SUBSCRIBABLE, *map(str.upper, SUBSCRIBABLE)]), min_size=1))
def test_types_are_kept_once_and_in_our_order(events: list[str]) -> None:
    if len(events) > EVENTS_MAX:
        with pytest.raises(InvalidField, match="max"):
            event_types(events)
        return
    kept = event_types(events)
    assert kept is not None
    assert set(kept) == {name.lower() for name in events}
    assert list(kept) == [name for name in SUBSCRIBABLE if name in kept]


def test_every_type_but_the_test_can_be_subscribed_to() -> None:
    assert set(SUBSCRIBABLE) == set(EventType) - {EventType.WEBHOOK_TEST}
    assert event_types([EVERY_EVENT, EVERY_EVENT]) is None


@given(st.text())
def test_what_is_no_type_is_refused(name: str) -> None:
    if name.lower() not in SUBSCRIBABLE and name != EVERY_EVENT:
        with pytest.raises(InvalidField, match="oneof"):
            event_types([name])


def test_a_name_may_be_left_out() -> None:
    assert check_name("") == ""
    assert check_name("Größe") == "Größe"
