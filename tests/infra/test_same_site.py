"""Which forms come from a page of ours, as a browser tells it."""

from typing import Any

import pytest
from litestar import Request
from litestar.types import Scope

from rewards.infra.pages.forms import ForeignForm, check_site

OURS = "https://rewards.example.com"
HERE = {"Host": "rewards.example.com"}


def asked(**headers: str) -> Request[Any, Any, Any]:
    told = {name.replace("_", "-"): value for name, value in headers.items()} | HERE
    raw = [(name.lower().encode(), value.encode()) for name, value in told.items()]
    scope: Scope = {"type": "http", "method": "POST", "headers": raw}  # type: ignore[typeddict-item]
    return Request(scope)


@pytest.mark.parametrize(
    ("headers", "public_url"),
    [
        ({"Origin": OURS}, OURS),
        ({"Origin": OURS, "Sec_Fetch_Site": "same-origin"}, OURS),
        ({"Origin": "null", "Sec_Fetch_Site": "same-origin"}, OURS),
        # A tunnel: the browser, that knows better, says that it is one and the same.
        ({"Origin": "http://rewards.example.com", "Sec_Fetch_Site": "same-origin"}, OURS),
        # Nobody was told of the proxy that speaks TLS.
        ({"Origin": OURS}, "http://127.0.0.1:8080"),
        ({"Origin": "http://rewards.example.com"}, "http://127.0.0.1:8080"),
    ],
)
def test_a_page_of_ours_is_heard(headers: dict[str, str], public_url: str) -> None:
    check_site(asked(**headers), public_url)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://rewards.example.com"},
        {"Origin": "ftp://rewards.example.com"},
        {"Origin": "//rewards.example.com"},
        {"Origin": "http://rewards.example.com", "Sec_Fetch_Site": "cross-site"},
        {"Origin": "http://rewards.example.com", "Sec_Fetch_Site": "same-site"},
        {"Origin": "https://rewards.example.com:8443"},
        {"Origin": "null"},
        {},
    ],
)
def test_a_plain_page_of_our_name_is_not(headers: dict[str, str]) -> None:
    with pytest.raises(ForeignForm):
        check_site(asked(**headers), OURS)
