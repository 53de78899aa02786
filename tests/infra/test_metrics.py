"""Figures: bounded, told in both text forms, and cheap enough to be counted for every order."""

import pytest

from rewards.infra import metrics
from rewards.infra.address import parse_address
from rewards.infra.metrics import CHILDREN_MAX, OTHER, Counter, Gauge, Histogram
from rewards.infra.scraping import Door
from rewards.infra.settings import Settings


def test_what_nobody_bounded_counts_under_one_name() -> None:
    wild = Counter("test_wild_total", "Labels as many as callers.", "who")
    for number in range(CHILDREN_MAX + 50):
        wild.add(str(number))
    assert metrics.value("test_wild_total", who=str(CHILDREN_MAX - 1)) == 1
    assert metrics.value("test_wild_total", who=str(CHILDREN_MAX)) == 0
    assert metrics.value("test_wild_total", who=OTHER) == 50


async def test_both_text_forms_are_told() -> None:
    Counter("test_told_total", "Counted once.").add()
    Histogram("test_told_seconds", "Seen once.", "route", ends=(1.0, 2.0)).observe(1.5, "GET /")
    plain, plain_type = await metrics.exposition("")
    assert plain_type.startswith("text/plain")
    assert b"rewards_test_told_total 1.0" in plain
    assert b'rewards_test_told_seconds_bucket{le="2.0",route="GET /"} 1.0' in plain
    assert b"_created" not in plain
    openly, open_type = await metrics.exposition("application/openmetrics-text; version=1.0.0")
    assert open_type.startswith("application/openmetrics-text")
    assert openly.endswith(b"# EOF\n")


def test_what_is_no_more_is_told_no_more() -> None:
    depth = Gauge("test_depth", "Of shelves.", "shelf")
    depth.replace({("one",): 1, ("two",): 2})
    depth.replace({("two",): 3})
    assert metrics.REGISTRY.get_sample_value("rewards_test_depth", {"shelf": "one"}) is None
    assert metrics.value("test_depth", shelf="two") == 3


@pytest.mark.parametrize(
    ("networks", "token", "address", "shown", "opens"),
    [
        ((), "", "127.0.0.1", "", False),
        ((), "", "127.0.0.1", "Bearer ", False),
        (("10.0.0.0/8",), "", "10.1.2.3", "", True),
        (("10.0.0.0/8",), "", "11.1.2.3", "", False),
        (("10.0.0.0/8",), "", None, "", False),
        ((), "secret", "192.0.2.7", "Bearer secret", True),
        ((), "secret", None, "bearer secret", True),
        ((), "secret", "192.0.2.7", "Bearer Secret", False),
        ((), "secret", "192.0.2.7", "Basic secret", False),
        ((), "secret", "192.0.2.7", "secret", False),
        ((), "secret", "192.0.2.7", "Bearer sécret", False),
        ((), "secret", "192.0.2.7", "Bearer s\udce9cret", False),
        (("10.0.0.0/8",), "secret", "10.1.2.3", "Bearer wrong", True),
    ],
)
def test_the_door_opens_for_networks_and_the_token(
    networks: tuple[str, ...], token: str, address: str | None, shown: str, opens: bool
) -> None:
    door = Door(Settings(metrics_networks=networks, metrics_token=token))
    assert door.opens(parse_address(address) if address else None, shown) is opens


def test_a_network_that_is_none_is_told_of_at_the_start() -> None:
    with pytest.raises(ValueError, match="inside"):
        Door(Settings(metrics_networks=("inside",)))
