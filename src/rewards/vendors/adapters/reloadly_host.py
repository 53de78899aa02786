"""One of Reloadly's hosts: its token, its pages, and looking before buying."""

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

import msgspec

from rewards.vendors.adapters.reloadly_wire import floor_of, refusal, rows
from rewards.vendors.model import Balance, BookLine, Reason, Refused, Unknown
from rewards.vendors.outcome import making_sense
from rewards.vendors.port import Field, SignInRefused, VendorRefused
from rewards.vendors.throttle import Rate
from rewards.vendors.tokens import Token, Tokens
from rewards.vendors.wire import Answer, NoAnswer, NotSent, Wire

AUTH_URL = "https://auth.reloadly.com"
PAGE = 100
PAGES_MAX = 1_000
DAY = timedelta(days=1)
TIME = "%Y-%m-%d %H:%M:%S"
# A product is looked at again after this long.
LOOK_S = 600.0
LOOKS_MAX = 1_000
REJECTED_TOKENS = frozenset({"INVALID_TOKEN", "TOKEN_EXPIRED"})

CONFIG = (
    Field("auth_url", "where tokens come from", AUTH_URL),
    Field("audience", "what the token is for; empty: the base URL", ""),
)
SECRETS = (
    Field("client_id", "API client id of the dashboard"),
    Field("client_secret", "API client secret; sandbox and live have their own"),
    Field("webhook_secret", "signing secret of the webhook; empty: none is believed", ""),
)
# `code` and `message` are not here: a PIN is called `code`, and messages may name a phone number.
SAFE = frozenset(
    [
        *("grant_type", "audience", "expires_in", "token_type", "scope"),
        *("page", "size", "totalPages", "totalElements", "last", "errorCode", "timeStamp"),
        *("startDate", "endDate"),
        *("transactionId", "customIdentifier", "status", "transactionDate", "balance"),
        *("amount", "discount", "fee", "smsFee", "totalFee", "currencyCode", "cost", "oldBalance"),
        *("newBalance", "senderCurrencyCode", "denominationType", "countryCode", "isoName"),
    ]
)
# None is documented; this is what we ask for ourselves.
RATES = {"*": Rate(20, 1.0)}


class Reloadly:
    """One of Reloadly's hosts, with a token for its audience."""

    def __init__(
        self,
        config: Mapping[str, str],
        secrets: Mapping[str, str],
        wire: Wire,
        *,
        accept: str,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._wire = wire
        self._auth_url = config.get("auth_url") or AUTH_URL
        self._asked = {
            "client_id": secrets["client_id"],
            "client_secret": secrets["client_secret"],
            "grant_type": "client_credentials",
            "audience": config.get("audience") or wire.base_url,
        }
        self.webhook_secret = secrets.get("webhook_secret", "")
        self._accept = accept
        self._now = now
        self._tokens = Tokens(self._fetch_token, now)
        # What was looked at, with the time it is good for.
        self._looked: dict[str, tuple[float, Mapping[str, Any]]] = {}

    async def ask(
        self,
        call: str,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """The answer to a call with a token; once more when that was rejected.

        A rejected token proves that nothing was done, also when placing. Raises as the wire does,
        and SignInRefused.
        """

        async def send(token: Token) -> Answer:
            return await self._sent(token, call, method, path, query, body)

        return await self._tokens.call(send, _rejects_token)

    async def _sent(
        self,
        token: Token,
        call: str,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: bytes | None,
    ) -> Answer:
        headers = {"Authorization": f"Bearer {token.text}", "Accept": self._accept}
        if body is not None:
            headers["Content-Type"] = "application/json"
        return await self._wire.call(call, method, path, query=query, headers=headers, body=body)

    async def _fetch_token(self) -> Token:
        answer = await self._wire.call(
            *("token", "POST", "/oauth/token"),
            headers={"Content-Type": "application/json", "Accept": "application/json"},
            body=msgspec.json.encode(self._asked),
            base_url=self._auth_url,
        )
        if answer.status == 429:
            wait_s = answer.retry_after_s or 0.0
            raise NotSent("tokens are asked for too often", throttled=True, retry_after_s=wait_s)
        if answer.status == 403:
            raise SignInRefused(Reason.IP_NOT_ALLOWED, "no token (403)")
        if answer.status != 200:
            raise SignInRefused(Reason.BAD_CREDENTIALS, f"no token ({answer.status})")
        with making_sense():
            content = answer.json()
            text, lives_s = content["access_token"], content["expires_in"]
            if not isinstance(text, str) or not isinstance(lives_s, int) or lives_s <= 0:
                raise TypeError("no token")
            return Token(text, lives_s)

    async def look(self, path: str) -> Mapping[str, Any] | Refused:
        """What the vendor says of a product or operator before one is bought; kept for a while.

        One that is out of stock disappears: 400 or 404. Raises NotSent: nothing was bought yet.
        """
        kept = self._looked.get(path)
        if kept is not None and self._now() < kept[0]:
            return kept[1]
        try:
            answer = await self.ask("product", "GET", path)
            content = answer.json()
        except NoAnswer as trouble:
            raise NotSent(f"no look at the product: {trouble}") from None
        if answer.status in (400, 404):
            return Refused(Reason.PRODUCT_INACTIVE, "the vendor has no such product now")
        if answer.status != 200:
            no = refusal(answer)
            return no if isinstance(no, Refused) else Refused(Reason.VENDOR_DOWN, "no product")
        if not isinstance(content, dict):
            raise NotSent("no look at the product: it makes no sense")
        if len(self._looked) >= LOOKS_MAX:
            self._looked.clear()
        self._looked[path] = (self._now() + LOOK_S, content)
        return content

    async def find(self, path: str, key: str) -> Mapping[str, Any] | Unknown | None:
        """The row of a report with our identifier; None when the vendor has none."""
        answer = await self.ask("report", "GET", path, query={"customIdentifier": key})
        if answer.status != 200:
            return Unknown(f"the report answers {answer.status}")
        listed = rows(answer.json())
        ours = [row for row in listed if row.get("customIdentifier") == key]
        if len(ours) > 1:
            return Unknown("several orders under one identifier")
        if listed and not ours:
            return Unknown("the report was not filtered by our identifier")
        return ours[0] if ours else None

    async def book(
        self, path: str, since: datetime, until: datetime, line: Callable[[Any], BookLine]
    ) -> AsyncIterator[BookLine]:
        """The rows of a report of that time, each as `line` reads it."""
        # The vendor's times are of a zone that nobody names: a day more on either side.
        bounds = {"startDate": since - DAY, "endDate": until + DAY}
        query = {name: at.astimezone(UTC).strftime(TIME) for name, at in bounds.items()}
        async for row in self.pages("book", path, query):
            with making_sense():
                told = line(row)
            yield told

    async def pages(self, call: str, path: str, query: Mapping[str, str]) -> AsyncIterator[Any]:
        """The rows of a paged list, each page read whole before its first row is given."""
        for page in range(1, PAGES_MAX + 1):
            paged = {**query, "size": str(PAGE), "page": str(page)}
            content = await self.tell(call, path, paged)
            with making_sense():
                listed = rows(content)
                last = isinstance(content, list) or not listed or content["last"]
            for row in listed:
                yield row
            if last:
                return

    async def balance(self) -> Balance:
        """What the account has at least: fractions of a minor unit do not count."""
        content = await self.tell("balance", "/accounts/balance")
        with making_sense():
            currency = str(content["currencyCode"])
            return Balance(currency, floor_of(content["balance"], currency))

    async def tell(self, call: str, path: str, query: Mapping[str, str] | None = None) -> Any:
        """What has no outcome. Raises VendorRefused."""
        answer = await self.ask(call, "GET", path, query=query)
        if answer.status != 200:
            raise VendorRefused(f"{call}: {answer.status}")
        return answer.json()


def _rejects_token(answer: Answer) -> bool:
    if answer.status != 401:
        return False
    content = answer.json()
    return isinstance(content, dict) and content.get("errorCode") in REJECTED_TOKENS
