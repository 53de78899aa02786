"""EZ PIN (EZPayPin) vendors API v2: a token, orders under our UUID, codes by another call.

Its cards carry our very field names. Nobody published: limits, what a repeated `reference_code`
answers, what an unknown one answers (taken as Django's 404 with a `detail`), the currency of
`total_customer_cost` (so no cost is told), how many cards an immediate order may have, what is sent
to a notification endpoint (so there are no callbacks). Larger orders would go as pre-orders, which
are not bought. One text spells a field `pre_oder`; we send `pre_order`.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from rewards.core.currency import CURRENCIES
from rewards.vendors.adapters import ezpin_wire as wire_format
from rewards.vendors.amounts import NUMBERS, decimal_of, minor_of
from rewards.vendors.model import (
    Balance,
    BookLine,
    Callback,
    CallbackRefused,
    Capabilities,
    Line,
    Offer,
    Outcome,
    Purchase,
    Reason,
    Refused,
)
from rewards.vendors.outcome import making_sense, of_placing, of_reading
from rewards.vendors.port import AdapterKind, Field, SignInRefused, VendorRefused
from rewards.vendors.tokens import Token, Tokens
from rewards.vendors.wire import Answer, NotSent, Wire

PAGE = 100
PAGES_MAX = 1_000
DAY = timedelta(days=1)
JSON = {"Content-Type": "application/json"}


class EzPinVendor:
    """One client of EZ PIN; with a terminal where the client has them."""

    # Ours: what an immediate order may have at most is not published.
    capabilities = Capabilities(quantity_max=10, book=True, expected_s=10, verified=False)

    def __init__(self, config: Mapping[str, str], secrets: Mapping[str, str], wire: Wire) -> None:
        self._sign_in = {"client_id": secrets["client_id"], "secret_key": secrets["secret_key"]}
        terminal = {
            "terminal_id": config.get("terminal_id", ""),
            "terminal_pin": secrets.get("terminal_pin", ""),
        }
        self._terminal = {name: value for name, value in terminal.items() if value}
        self._wire = wire
        self._tokens = Tokens(self._fetch_token)

    def key(self, fresh: UUID) -> str:
        return str(fresh)

    async def place(self, key: str, line: Line) -> Outcome:
        try:
            price = decimal_of(line.face_minor, line.currency)
        except KeyError:
            return Refused(Reason.VENDOR_CONFIG, "not a currency")
        body = {
            "sku": line.sku,
            "quantity": line.quantity,
            "pre_order": False,
            "price": price,
            "delivery_type": wire_format.NO_DELIVERY,
            "destination": "",
            "reference_code": key,
            **self._terminal,
        }
        return await of_placing(self._place(key, NUMBERS.encode(body)))

    async def _place(self, key: str, body: bytes) -> Outcome:
        # A 401 comes before anything is looked at, so asking once more cannot buy twice.
        return wire_format.placed(key, await self._ask("place", "POST", "/orders/", body=body))

    async def read(self, purchase: Purchase) -> Outcome:
        return await of_reading(self._read(purchase))

    async def _read(self, purchase: Purchase) -> Outcome:
        path = f"/orders/{purchase.key}/"
        answer = await self._ask("read", "GET", path)
        so_far = wire_format.order(purchase.key, answer)
        if not isinstance(so_far, wire_format.Ready):
            return so_far
        cards = await self._ask("cards", "GET", f"{path}cards/")
        return wire_format.cards(so_far, purchase.line, cards)

    async def balances(self) -> Sequence[Balance]:
        content = await self._told("balance", "/balance/")
        with making_sense():
            return [
                Balance(row["currency"], minor_of(row["balance"], row["currency"]))
                for row in content
                if row["currency"] in CURRENCIES
            ]

    async def catalogue(self) -> AsyncIterator[Offer]:
        # On by what came: a vendor may give less than was asked for.
        offset = 0
        for _ in range(PAGES_MAX):
            query = {"limit": str(PAGE), "offset": str(offset)}
            content = await self._told("catalogue", "/catalogs/", query)
            with making_sense():
                rows, count = content["results"], int(content["count"])
                offers = wire_format.offers(rows)
            for offer in offers:
                yield offer
            offset += len(rows)
            if not rows or offset >= count:
                return

    async def book(self, since: datetime, until: datetime) -> AsyncIterator[BookLine]:
        # The vendor's days are of a time zone that nobody names: a day more on either side.
        first, last = (since - DAY).date().isoformat(), (until + DAY).date().isoformat()
        offset = 0
        for _ in range(PAGES_MAX):
            query = {"limit": str(PAGE), "offset": str(offset)}
            query |= {"start_date": first, "end_date": last}
            content = await self._told("book", "/orders/", query)
            with making_sense():
                rows, count = content["results"], int(content["count"])
                lines = [wire_format.book_line(row) for row in rows]
            for line in lines:
                yield line
            offset += len(rows)
            if not rows or offset >= count:
                return

    def callback(self, headers: Mapping[str, str], body: bytes) -> Callback:
        raise CallbackRefused("what this vendor sends is not published")

    async def _told(self, call: str, path: str, query: Mapping[str, str] | None = None) -> Any:
        answer = await self._ask(call, "GET", path, query=query)
        if answer.status != 200:
            raise VendorRefused(f"{call}: {answer.status}")
        return answer.json()

    async def _ask(
        self,
        call: str,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """With a token; a rejected one is renewed once."""

        async def send(token: Token) -> Answer:
            return await self._sent(token, call, method, path, query, body)

        return await self._tokens.call(send, lambda answer: answer.status == 401)

    async def _sent(
        self,
        token: Token,
        call: str,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: bytes | None,
    ) -> Answer:
        headers = {"Authorization": f"Bearer {token.text}"} | (JSON if body else {})
        return await self._wire.call(call, method, path, query=query, headers=headers, body=body)

    async def _fetch_token(self) -> Token:
        body = NUMBERS.encode(self._sign_in)
        answer = await self._wire.call("token", "POST", "/auth/token/", headers=JSON, body=body)
        if answer.status == 429:
            raise NotSent("signed in too often", throttled=True)
        if answer.status in (400, 401):
            raise SignInRefused(Reason.BAD_CREDENTIALS, "the client id or key is not right")
        if answer.status == 403:
            raise SignInRefused(Reason.IP_NOT_ALLOWED, "our address is not on the vendor's list")
        with making_sense():
            content = answer.json()
            return Token(str(content["access"]), wire_format.lives_s(content["expire"]))


def _build(config: Mapping[str, str], secrets: Mapping[str, str], wire: Wire) -> EzPinVendor:
    return EzPinVendor(config, secrets, wire)


KIND = AdapterKind(
    name="ezpin",
    build=_build,
    config=(
        Field("base_url", "with the version", "https://api.ezpaypin.com/vendors/v2"),
        Field("terminal_id", "where orders are placed for a terminal", ""),
    ),
    secrets=(
        Field("client_id", "of the vendor's panel"),
        Field("secret_key", "of the vendor's panel"),
        Field("terminal_pin", "of that terminal", ""),
    ),
    # Not `code`: it is the number of an error, and the name of a currency, and could be a card's.
    safe=frozenset(
        [
            *("sku", "quantity", "pre_order", "price", "delivery_type", "reference_code"),
            *("terminal_id", "order_id", "status", "created_time", "count", "is_completed"),
            *("total_face_value", "total_fees", "total_discounts", "total_customer_cost"),
            *("currency", "balance", "limit", "offset", "min_price", "max_price", "upc", "expire"),
            *("start_date", "end_date"),
        ]
    ),
    capabilities=EzPinVendor.capabilities,
)
