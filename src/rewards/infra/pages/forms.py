"""Forms as browsers send them, and whether a page of ours sent them."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from litestar import Request

from rewards.core.errors import Refusal

FORM_BYTES_MAX = 128 * 1024
FIELDS_MAX = 600
FORM_TYPE = "application/x-www-form-urlencoded"


class ForeignForm(Refusal):
    """Another site sent it, or a page of another session."""

    status = 403
    error = "Forbidden"
    code = "FORM_NOT_OURS"
    default_message = "This form did not come from a page of your session"


class Form:
    """What was filled in; of a name with several values `get` gives the last."""

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self._pairs = list(pairs)
        self._last = dict(pairs)

    def get(self, name: str, default: str = "") -> str:
        return self._last.get(name, default)

    def all(self, name: str) -> list[str]:
        """Every value of this name, in order: ticked boxes."""
        return [value for each, value in self._pairs if each == name]

    def chosen(self, *names: str) -> dict[str, str]:
        """Those of these fields that say something, without the spaces around it."""
        found = {name: self._last.get(name, "").strip() for name in names}
        return {name: value for name, value in found.items() if value}

    def __contains__(self, name: object) -> bool:
        return name in self._last


def read_form(raw: bytes, *, fields_max: int = FIELDS_MAX) -> Form:
    """The fields of a form; none where it is no form, or has too many."""
    try:
        pairs = parse_qsl(
            raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=fields_max
        )
    except ValueError:
        return Form([])
    return Form(pairs)


def check_site(request: Request[Any, Any, Any], public_url: str) -> None:
    """Refuse what another site had the browser send (ForeignForm).

    A browser says where a request comes from: `Sec-Fetch-Site` over TLS and on this machine, and
    `Origin` with every POST. Whoever says neither is no browser with a page of ours. The first
    tells also a plain page of our name from one over TLS; where it is missing the second must.
    """
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if site is not None and site != "same-origin":
        raise ForeignForm
    if origin is None or origin == "null":
        # A browser may hide the origin from us, but then it says at least that it is the same.
        if site is None:
            raise ForeignForm
        return
    ours, theirs = urlsplit(public_url), urlsplit(origin)
    if theirs.netloc not in {ours.netloc, request.headers.get("Host", "")}:
        raise ForeignForm
    if site is None and ours.scheme == "https" != theirs.scheme:
        raise ForeignForm
