"""What a client may name as a place to send to (T43, on create and on change)."""

import pytest

from rewards.core.errors import InvalidField
from rewards.infra.settings import Settings
from rewards.infra.targets import FORBIDDEN, Targets
from tests.infra.forbidden import (
    ADDRESSES,
    ADMITTED,
    ALL,
    NUMBERS,
    PORTS,
    SCHEMES,
    SPELLINGS,
    TARGETS,
)

OURS = Settings(public_url="https://rewards.example.com/base")


def refusal(targets: Targets, url: str) -> str | None:
    """The rule it breaks, in a message that does not repeat it."""
    try:
        targets.check("Url", url)
    except InvalidField as refused:
        return refused.message.removeprefix("Invalid Url: ")
    return None


def test_the_whole_list_is_refused() -> None:
    assert len(ALL) > 120
    targets = Targets()
    assert [url for url in ALL if refusal(targets, url) is None] == []


def test_each_is_refused_for_its_reason() -> None:
    targets = Targets()
    assert {refusal(targets, url) for url in TARGETS} == {"target"}
    assert {refusal(targets, url) for url in SCHEMES} == {"https"}
    assert {refusal(targets, url) for url in PORTS} == {"port"}
    assert {refusal(targets, url) for url in SPELLINGS} <= {"url", "target", "https"}
    assert refusal(targets, "https://example.com/" + "a" * 2_048) == "max"


def test_public_machines_may_be_named() -> None:
    targets = Targets()
    assert [url for url in ADMITTED if refusal(targets, url)] == []
    assert targets.check("Url", "https://Example.com/x") == ("https", "example.com", 443)
    assert targets.check("Url", "https://example.com:8443") == ("https", "example.com", 8443)


@pytest.mark.parametrize("local", [False, True])
def test_our_own_name_is_refused(local: bool) -> None:
    targets = Targets.from_settings(OURS.model_copy(update={"webhook_local": local}))
    for url in ("https://rewards.example.com/x", "https://REWARDS.example.com:443/"):
        assert refusal(targets, url) == "target"
    assert refusal(targets, "https://other.rewards.example.com/") is None
    # Elsewhere on our host: only where everything is on one machine.
    assert refusal(targets, "https://rewards.example.com:8443/") == (None if local else "target")


def test_the_setting_opens_this_machine_and_private_networks_alone() -> None:
    targets = Targets.from_settings(Settings(webhook_local=True))
    opened = (
        *("http://127.0.0.1:9000/", "http://localhost:9000/hook", "http://sink/", "http://[::1]/"),
        *("http://10.1.2.3/", "https://192.168.1.1/", "http://[fd12::1]:8080/", "http://nas.lan/"),
    )
    assert [url for url in opened if refusal(targets, url)] == []
    assert refusal(targets, "http://127.0.0.1:8000/") == "target", "that is us"
    closed = (
        *("http://169.254.169.254/", "http://0.0.0.0:9000/", "http://[fd00:ec2::254]/"),
        *("http://[::ffff:127.0.0.1]:9000/", "http://[64:ff9b::7f00:1]/", "http://[fe80::1]/"),
        *(f"http://{number}/" for number in NUMBERS),
    )
    assert [url for url in closed if refusal(targets, url) != "target"] == []
    assert refusal(targets, "http://127.0.0.1:5432/") == "port"
    assert refusal(targets, "ftp://127.0.0.1/") == "https"


@pytest.mark.parametrize("address", ADDRESSES)
def test_no_connection_may_be_made_to_a_forbidden_address(address: str) -> None:
    assert not Targets().admits(address)


def test_the_edges_of_every_network() -> None:
    """Its first and its last address are refused; what is no address is as well."""
    targets = Targets()
    for network in FORBIDDEN:
        assert not targets.admits(str(network[0])), network
        assert not targets.admits(str(network[-1])), network
    for text in ("", "example.com", "fe80::1%eth0", "2606:4700::1%1", "8.8.8.8:80", "::ffff"):
        assert not targets.admits(text)
    for text in ("8.8.8.8", "2606:4700::1111", "172.15.255.255", "192.0.1.1", "2001:200::1"):
        assert targets.admits(text)
