"""What the guide tells a receiver to do is right."""

import base64
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import time_machine

from rewards.webhooks import signing
from rewards.webhooks.model import EventType

GUIDE = (Path(__file__).parents[2] / "docs/webhooks.md").read_text()
NOW_S = 1_795_259_095
KEYS = (bytes(range(32)), bytes(range(1, 33)))
BODY = b'{"id":"evt_4711"}'

Check = Callable[[str, dict[str, str], bytes], bool]


@pytest.fixture(scope="module")
def is_ours() -> Check:
    """The function, as it stands in the guide."""
    [code] = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    place: dict[str, Check] = {}
    exec(compile(code, "docs/webhooks.md", "exec"), place)
    return place["is_ours"]


def secret_of(key: bytes) -> str:
    return signing.SECRET_PREFIX + base64.b64encode(key).decode()


def test_what_we_sign_the_guide_believes(is_ours: Check) -> None:
    headers = signing.headers(KEYS, "evt_4711", NOW_S, BODY)
    with time_machine.travel(NOW_S + 300, tick=False):
        assert all(is_ours(secret_of(key), headers, BODY) for key in KEYS)
        assert not is_ours(secret_of(bytes(32)), headers, BODY)
        assert not is_ours(secret_of(KEYS[0]), headers, BODY + b" ")
        assert not is_ours(secret_of(KEYS[0]), headers | {"webhook-id": "evt_4712"}, BODY)
    with time_machine.travel(NOW_S + 301, tick=False):
        assert not is_ours(secret_of(KEYS[0]), headers, BODY)


def test_the_guide_names_every_event() -> None:
    assert {kind.value for kind in EventType} <= set(re.findall(r"`([a-z_.]+)`", GUIDE))
