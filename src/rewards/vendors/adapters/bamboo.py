"""Bamboo Card Portal: Basic credentials, orders that always take a while, read under our GUID.

Paths and shapes are the vendor's documentation's. Not seen there, and so read with care: what a
catalogue, order or 429 says outside the documented fields, the zone of an expiry date (taken as
UTC), the spelling of what the notification URL receives, the name of the order event.
"""

import base64
import hmac
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from rewards.core.clock import Clock, SystemClock
from rewards.vendors import svix
from rewards.vendors.adapters import bamboo_wire as wire_format
from rewards.vendors.amounts import NUMBERS, decimal_of, minor_of
from rewards.vendors.model import (
    Balance,
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
from rewards.vendors.port import AdapterKind, Field, VendorRefused, keeps_no_book
from rewards.vendors.throttle import Rate
from rewards.vendors.wire import Answer, Wire

# Of brands; a page holds all products of each.
PAGE = 100
PAGES_MAX = 1_000
JSON = {"Content-Type": "application/json"}


class BambooVendor:
    """One account of one Bamboo client."""

    # The number of cards an order may have is not published; more is CardsLimitExceeded.
    capabilities = Capabilities(quantity_max=100, callbacks=True, expected_s=60)

    def __init__(
        self,
        config: Mapping[str, str],
        secrets: Mapping[str, str],
        wire: Wire,
        clock: Clock | None = None,
    ) -> None:
        self._account_id = int(config["account_id"])
        pair = f"{secrets['client_id']}:{secrets['client_secret']}"
        self._headers = {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
        self._notification_secret = secrets.get("notification_secret", "")
        self._svix_secret = secrets.get("svix_secret", "")
        self._wire = wire
        self._clock = clock or SystemClock()

    book = keeps_no_book

    def key(self, fresh: UUID) -> str:
        return str(fresh)

    async def place(self, key: str, line: Line) -> Outcome:
        try:
            product = {
                "ProductId": int(line.sku),
                "Quantity": line.quantity,
                "Value": decimal_of(line.face_minor, line.currency),
            }
        except (ValueError, KeyError):
            return Refused(Reason.VENDOR_CONFIG, "Bamboo has no such product or currency")
        body = {"RequestId": key, "AccountId": self._account_id, "Products": [product]}
        return await of_placing(self._place(key, NUMBERS.encode(body)))

    async def _place(self, key: str, body: bytes) -> Outcome:
        path = "/api/integration/v1.0/orders/checkout"
        return wire_format.placed(key, await self._ask("place", "POST", path, body=body))

    async def read(self, purchase: Purchase) -> Outcome:
        return await of_reading(self._read(purchase))

    async def _read(self, purchase: Purchase) -> Outcome:
        path = f"/api/integration/v1.0/orders/{purchase.key}"
        answer = await self._ask("read", "GET", path)
        return wire_format.order(purchase.key, purchase.line, answer)

    async def balances(self) -> Sequence[Balance]:
        """Of the one account that orders are paid from."""
        content = await self._told("accounts", "/api/integration/v1.0/accounts")
        with making_sense():
            found = [
                Balance(row["currency"], minor_of(row["balance"], row["currency"]))
                for row in content["accounts"]
                if row["id"] == self._account_id and row["isActive"]
            ]
        if not found:
            raise VendorRefused("the vendor has no such account, or it is switched off")
        return found

    async def catalogue(self) -> AsyncIterator[Offer]:
        for page in range(PAGES_MAX):
            query = {"PageSize": str(PAGE), "PageIndex": str(page)}
            content = await self._told("catalogue", "/api/integration/v2.0/catalog", query)
            with making_sense():
                brands = content["items"]
                # The vendor's own size: it may give less than was asked for.
                more = len(brands) >= int(content["pageSize"]) > 0
                offers = [o for brand in brands for o in wire_format.offers(brand)]
            for offer in offers:
                yield offer
            if not more:
                return

    def callback(self, headers: Mapping[str, str], body: bytes) -> Callback:
        """Of either system: a Svix message, or a body that repeats the secret we gave."""
        if "svix-id" in headers:
            message_id = svix.verify(headers, body, self._svix_secret, self._clock.now())
            return wire_format.hint(wire_format.event_data(body), message_id)
        content = wire_format.json_object(body)
        secret = self._notification_secret.encode()
        told = str(content.get("secretKey", "")).encode(errors="replace")
        if not secret or not hmac.compare_digest(secret, told):
            raise CallbackRefused("the secret does not fit")
        return wire_format.hint(content)

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
        headers = self._headers | JSON if body else self._headers
        return await self._wire.call(call, method, path, query=query, headers=headers, body=body)


def _build(config: Mapping[str, str], secrets: Mapping[str, str], wire: Wire) -> BambooVendor:
    return BambooVendor(config, secrets, wire)


KIND = AdapterKind(
    name="bamboo",
    build=_build,
    config=(
        Field(
            "base_url",
            "the same for live and sandbox: the credentials decide",
            "https://api.bamboocardportal.com",
        ),
        Field("account_id", "the account that pays; sandbox and live accounts have their own"),
    ),
    secrets=(
        Field("client_id", "of the portal's integration page"),
        Field("client_secret", "of the same page; a new one ends the old one at once"),
        Field("notification_secret", "what the notification URL was set up with", ""),
        Field("svix_secret", "whsec_… of the portal's webhook endpoint", ""),
    ),
    safe=frozenset(
        [
            *("RequestId", "AccountId", "ProductId", "Quantity", "Value", "PageSize", "PageIndex"),
            *("requestId", "orderId", "orderType", "status", "createdDate", "total", "currency"),
            *("brandCode", "productId", "productFaceValue", "quantity", "countryCode"),
            *("currencyCode", "balance", "isActive", "sandboxMode", "minFaceValue", "maxFaceValue"),
            *("count", "pageIndex", "pageSize", "modifiedDate"),
        ]
    ),
    # The documented limits, each in a tenth more time: calls arrive closer together than they left.
    rates={
        "place": Rate(2, 1.1),
        "read": Rate(120, 66.0),
        "accounts": Rate(1, 1.1),
        "catalogue": Rate(1, 1.1),
    },
    capabilities=BambooVendor.capabilities,
)
