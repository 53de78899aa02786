"""The sandbox vendor: a plain JSON protocol, for demonstrations and tests."""

import hashlib
import hmac
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from rewards.vendors.model import (
    Accepted,
    Balance,
    BookLine,
    Callback,
    CallbackRefused,
    Capabilities,
    Card,
    Cost,
    Delivered,
    Line,
    NotKnown,
    Offer,
    Outcome,
    Purchase,
    Reason,
    Refused,
    SaleState,
    Stage,
    Unknown,
)
from rewards.vendors.outcome import making_sense, of_placing, of_reading
from rewards.vendors.port import AdapterKind, Field, VendorRefused
from rewards.vendors.throttle import Rate
from rewards.vendors.wire import Answer, Wire

PAGE = 100
PAGES_MAX = 1_000
REASONS = {
    "out_of_stock": Reason.OUT_OF_STOCK,
    "no_balance": Reason.INSUFFICIENT_VENDOR_BALANCE,
    "bad_value": Reason.BAD_DENOMINATION,
    "inactive": Reason.PRODUCT_INACTIVE,
    "price_changed": Reason.PRICE_CHANGED,
    "bad_recipient": Reason.BAD_RECIPIENT,
}
SALES = {"DONE": SaleState.SOLD, "PARTIAL": SaleState.SOLD, "FAILED": SaleState.FAILED}
STAGES = {"QUEUED": Stage.QUEUED, "RUNNING": Stage.IN_HAND}


class SandboxVendor:
    """Bearer key; orders are created and read under our key.

    A message is signed with the key: `X-Signature`, HMAC-SHA256 of the body in hexadecimal.
    """

    capabilities = Capabilities(
        quantity_max=1_000,
        sync_quantity_max=10,
        recharges=True,
        callbacks=True,
        book=True,
        expected_s=5,
        not_found_grace_s=120,
    )

    def __init__(self, api_key: str, wire: Wire, callback_url: str = "") -> None:
        self._key = api_key.encode()
        self._callback_url = callback_url
        self._headers = {"Authorization": f"Bearer {api_key}"}
        self._wire = wire

    def key(self, fresh: UUID) -> str:
        return str(fresh)

    async def place(self, key: str, line: Line) -> Outcome:
        body = {
            "key": key,
            "sku": line.sku,
            "face_minor": line.face_minor,
            "quantity": line.quantity,
            **({"mobile": dict(line.mobile)} if line.mobile else {}),
            **({"callback_url": self._callback_url} if self._callback_url else {}),
        }
        raw = msgspec.json.encode(body)
        return await of_placing(self._place(raw))

    async def read(self, purchase: Purchase) -> Outcome:
        return await of_reading(self._read(purchase.key))

    async def balances(self) -> Sequence[Balance]:
        answer = await self._wire.call("balance", "GET", "/balance", headers=self._headers)
        if answer.status != 200:
            raise VendorRefused(f"balance: {answer.status}")
        with making_sense():
            return [Balance(row["currency"], row["balance_minor"]) for row in answer.json()]

    async def catalogue(self) -> AsyncIterator[Offer]:
        for page in range(PAGES_MAX):
            query = {"offset": str(page * PAGE), "limit": str(PAGE)}
            answer = await self._wire.call(
                "catalogue", "GET", "/products", query=query, headers=self._headers
            )
            if answer.status != 200:
                raise VendorRefused(f"catalogue: {answer.status}")
            with making_sense():
                offers = [
                    Offer(**{**row, "fixed_minor": tuple(row["fixed_minor"])})
                    for row in answer.json()
                ]
            for offer in offers:
                yield offer
            if len(offers) < PAGE:
                return

    async def book(self, since: datetime, until: datetime) -> AsyncIterator[BookLine]:
        for page in range(PAGES_MAX):
            query = {
                "since": since.isoformat(),
                "until": until.isoformat(),
                "offset": str(page * PAGE),
                "limit": str(PAGE),
            }
            answer = await self._wire.call(
                "book", "GET", "/orders", query=query, headers=self._headers
            )
            if answer.status != 200:
                raise VendorRefused(f"book: {answer.status}")
            with making_sense():
                lines = [_book_line(row) for row in answer.json()]
            for line in lines:
                yield line
            if len(lines) < PAGE:
                return

    def callback(self, headers: Mapping[str, str], body: bytes) -> Callback:
        right = hmac.new(self._key, body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(headers.get("x-signature", "").encode(), right.encode()):
            raise CallbackRefused("the signature is wrong")
        try:
            told = msgspec.json.decode(body, type=_Message)
        except msgspec.MsgspecError:
            raise CallbackRefused("the message makes no sense") from None
        return Callback(told.key, told.ref, told.message_id)

    async def _place(self, body: bytes) -> Outcome:
        answer = await self._wire.call("place", "POST", "/orders", headers=self._headers, body=body)
        if answer.status == 422:
            reason = answer.json()["reason"]
            return Refused(REASONS[reason], str(reason))
        return _told(answer)

    async def _read(self, key: str) -> Outcome:
        return _told(await self._wire.call("read", "GET", f"/orders/{key}", headers=self._headers))


class _Message(msgspec.Struct):
    key: str
    ref: str
    message_id: str


def _told(answer: Answer) -> Outcome:
    if answer.status == 429:
        return Refused(Reason.THROTTLED, "asked too often", answer.retry_after_s)
    if answer.status == 409:
        return Unknown("the key is known already")
    if answer.status in (401, 403):
        return Refused(Reason.BAD_CREDENTIALS, f"the vendor answers {answer.status}")
    content = answer.json()
    if answer.status == 404 and content["reason"] == "not_found":
        return NotKnown()
    if answer.status not in (200, 201):
        return Unknown(f"an unexpected status {answer.status}")
    return _state(content)


def _state(content: Any) -> Outcome:
    cost = Cost(int(content["cost_minor"]), str(content["currency"]))
    ref = str(content["ref"])
    if content["state"] in STAGES:
        return Accepted(ref, cost, STAGES[content["state"]])
    if content["state"] == "FAILED":
        reason = REASONS.get(content["reason"], Reason.OTHER)
        return Refused(reason, "the vendor could not deliver")
    if content["state"] not in ("DONE", "PARTIAL"):
        return Unknown("a state without sense")
    return Delivered(tuple(_card(card) for card in content["cards"]), ref, cost)


def _book_line(row: Mapping[str, Any]) -> BookLine:
    state = SALES.get(row["state"], SaleState.OPEN)
    cost = Cost(int(row["cost_minor"]), str(row["currency"]))
    return BookLine(str(row["key"]), str(row["ref"]), state, int(row["delivered"]), cost)


def _card(card: Mapping[str, Any]) -> Card:
    fields = {
        "card_number": str(card["code"]),
        "pin_code": str(card["pin"]),
        "voucher_reference_number": str(card["serial"]),
    }
    expires_at = datetime.fromisoformat(card["expires_at"])
    return Card(fields, expires_at, int(card["face_minor"]), str(card["currency"]))


def _build(config: Mapping[str, str], secrets: Mapping[str, str], wire: Wire) -> SandboxVendor:
    return SandboxVendor(secrets["api_key"], wire, config.get("callback_url", ""))


KIND = AdapterKind(
    name="sandbox",
    build=_build,
    config=(
        Field("base_url", "where the simulator listens"),
        Field("callback_url", "where it tells that an order changed; empty: nowhere", ""),
    ),
    secrets=(Field("api_key", "any text"),),
    safe=frozenset(
        [
            "key",
            "sku",
            "name",
            "face_minor",
            "quantity",
            "ref",
            "currency",
            "cost_minor",
            "state",
            "reason",
            "offset",
            "limit",
            "since",
            "until",
            "delivered",
            "min_minor",
            "max_minor",
            "fixed_minor",
            "stock",
            "active",
            "balance_minor",
        ]
    ),
    rates={"*": Rate(200, 1.0)},
    capabilities=SandboxVendor.capabilities,
)
