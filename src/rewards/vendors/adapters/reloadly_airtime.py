"""Reloadly airtime: recharges one number at an operator, taken at once and done later.

The sku is the operator's number. The amount is in the account's currency, or in the operator's
own where it takes local amounts. What the vendor calls PENDING we read as queued, PROCESSING as in
the hands of the operator; the vendor does not say so. A PIN operator brings a PIN instead of
credit, valid for a time from its first use, so it gets no expiry here. An operator that is down is
told with 503, which by itself means nothing: the report says that nothing was placed.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from time import monotonic
from typing import Any
from uuid import UUID

from rewards.vendors.adapters.reloadly_host import CONFIG, RATES, SAFE, SECRETS, Reloadly
from rewards.vendors.adapters.reloadly_wire import (
    DONE,
    FAILED,
    book_line,
    cost_of,
    failed,
    hint,
    ref_of,
    refusal,
    sayable,
    within,
)
from rewards.vendors.amounts import NUMBERS, minor_of
from rewards.vendors.model import (
    Accepted,
    Balance,
    BookLine,
    Callback,
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
    Stage,
    Unknown,
)
from rewards.vendors.outcome import making_sense, of_placing, of_reading
from rewards.vendors.port import AdapterKind, Field
from rewards.vendors.wire import Wire

STAGES = {"PENDING": Stage.QUEUED, "PROCESSING": Stage.IN_HAND}
REPORT = "/topups/reports/transactions"


class ReloadlyAirtime:
    """One account; each purchase is one number."""

    capabilities = Capabilities(
        quantity_max=1, recharges=True, callbacks=True, book=True, expected_s=60
    )

    def __init__(
        self,
        config: Mapping[str, str],
        secrets: Mapping[str, str],
        wire: Wire,
        now: Callable[[], float] = monotonic,
    ) -> None:
        accept = "application/com.reloadly.topups-v1+json"
        self._host = Reloadly(config, secrets, wire, accept=accept, now=now)

    def key(self, fresh: UUID) -> str:
        return str(fresh)

    async def place(self, key: str, line: Line) -> Outcome:
        return await of_placing(self._place(key, line))

    async def _place(self, key: str, line: Line) -> Outcome:
        amount = sayable(line)
        if amount is None:
            return Refused(Reason.VENDOR_CONFIG, "Reloadly has no such operator or currency")
        if line.quantity != 1:
            return Refused(Reason.LIMIT_EXCEEDED, "a number is recharged once")
        number = _number(line.mobile or {})
        if not number:
            return Refused(Reason.BAD_RECIPIENT, "no number to recharge")
        operator = await self._host.look(f"/operators/{line.sku}")
        if isinstance(operator, Refused):
            return operator
        local = line.currency != operator.get("senderCurrencyCode")
        if local and line.currency != _local_currency(operator):
            return Refused(Reason.BAD_DENOMINATION, "the operator takes another currency")
        body = {
            "operatorId": int(line.sku),
            "amount": amount,
            "useLocalAmount": local,
            "customIdentifier": key,
            # Calling codes are shared by countries; an operator is of one.
            "recipientPhone": {"countryCode": operator["country"]["isoName"], "number": number},
        }
        answer = await self._host.ask("place", "POST", "/topups-async", body=NUMBERS.encode(body))
        if answer.status != 200:
            return refusal(answer)
        return Accepted(ref_of(answer.json()), stage=Stage.QUEUED)

    async def read(self, purchase: Purchase) -> Outcome:
        return await of_reading(self._read(purchase))

    async def _read(self, purchase: Purchase) -> Outcome:
        ref = purchase.vendor_ref
        if ref is None:
            found = await self._host.find(REPORT, purchase.key)
            if found is None:
                return NotKnown()
            if isinstance(found, Unknown):
                return found
            ref = ref_of(found)
        answer = await self._host.ask("read", "GET", f"/topups/{ref}/status")
        if answer.status != 200:
            return Unknown(f"the vendor answers {answer.status}")
        return _status(purchase.key, ref, answer.json())

    async def balances(self) -> Sequence[Balance]:
        return [await self._host.balance()]

    async def catalogue(self) -> AsyncIterator[Offer]:
        """What could not be ordered is left out: no exact value, or a currency nobody knows."""
        query = {"includeBundles": "true", "includeData": "true", "includePin": "true"}
        async for row in self._host.pages("catalogue", "/operators", query):
            with making_sense():
                offer = _offer(row)
            if offer is not None:
                yield offer

    def book(self, since: datetime, until: datetime) -> AsyncIterator[BookLine]:
        return self._host.book(REPORT, since, until, _book_line)

    def callback(self, headers: Mapping[str, str], body: bytes) -> Callback:
        return hint(self._host.webhook_secret, "airtime_transaction.status", headers, body)


def _number(mobile: Mapping[str, str]) -> str:
    """Calling code and number, digits only; empty when one of them has none."""
    parts = [
        "".join(c for c in mobile.get(name, "") if c in "0123456789")
        for name in ("mobile_country_code", "mobile_number")
    ]
    return "".join(parts) if all(parts) else ""


def _local_currency(operator: Mapping[str, Any]) -> str | None:
    """The operator's own currency, where it is another and amounts may be in it."""
    local = operator.get("destinationCurrencyCode")
    same = local == operator.get("senderCurrencyCode")
    return local if operator.get("supportsLocalAmounts") and not same else None


def _status(key: str, ref: str, content: Mapping[str, Any]) -> Outcome:
    """The documented answer is the transaction itself; the live one wraps it and adds a code."""
    transaction = content if "transactionId" in content else content.get("transaction")
    if transaction is not None and transaction["customIdentifier"] != key:
        return Unknown("this is another recharge")
    status = content["status"]
    if status in STAGES:
        return Accepted(ref, stage=STAGES[status])
    if status in FAILED:
        return failed(content.get("code"), status)
    if status != DONE or transaction is None:
        return Unknown("a status without sense")
    return Delivered(_pins(transaction.get("pinDetail")), ref, _cost(transaction))


def _cost(transaction: Mapping[str, Any]) -> Cost | None:
    """What the balance lost, where it is told; else what was asked for less the discount."""
    told = transaction.get("balanceInfo") or {}
    if told.get("cost") is not None:
        return cost_of(told["cost"], told.get("currencyCode"))
    asked, discount = transaction.get("requestedAmount"), transaction.get("discount") or 0
    net = asked - discount if isinstance(asked, int | Decimal) else None
    return cost_of(net, transaction.get("requestedAmountCurrencyCode"))


def _book_line(row: Mapping[str, Any]) -> BookLine:
    return book_line(row, 1, _cost(row))


def _pins(detail: Mapping[str, Any] | None) -> tuple[Card, ...]:
    if not detail or not any(detail.values()):
        return ()
    code, serial = detail["code"], detail.get("serial")
    if not isinstance(code, str | int) or not str(code):
        raise ValueError("a PIN without digits")
    fields = {"pin_code": str(code)}
    if serial:
        fields["voucher_reference_number"] = str(serial)
    return (Card(fields),)


def _offer(row: Mapping[str, Any]) -> Offer | None:
    local = _local_currency(row)
    currency, prefix = (local, "local") if local else (row["senderCurrencyCode"], "")
    low, high, fixed = (_named(prefix, n) for n in ("minAmount", "maxAmount", "fixedAmounts"))
    sku, name = str(row["operatorId"]), row["name"]
    active = row.get("status", "ACTIVE") == "ACTIVE"
    try:
        if row["denominationType"] == "RANGE":
            least, most = within(row[low], row[high], currency)
            sold = 0 < least <= most
            return Offer(sku, name, currency, least, most, active=active) if sold else None
        values = tuple(sorted({minor_of(value, currency) for value in row[fixed]}))
    except (KeyError, ValueError, TypeError, ArithmeticError):
        return None
    if not values:
        return None
    return Offer(sku, name, currency, values[0], values[-1], values, active=active)


def _named(prefix: str, field: str) -> str:
    return prefix + field[0].upper() + field[1:] if prefix else field


KIND = AdapterKind(
    name="reloadly_airtime",
    build=ReloadlyAirtime,
    config=(Field("base_url", "live or topups-sandbox", "https://topups.reloadly.com"), *CONFIG),
    secrets=SECRETS,
    safe=SAFE
    | {
        *("operatorId", "operatorName", "useLocalAmount", "requestedAmount", "deliveredAmount"),
        *("requestedAmountCurrencyCode", "deliveredAmountCurrencyCode", "discountCurrencyCode"),
        *("destinationCurrencyCode", "supportsLocalAmounts", "minAmount", "maxAmount"),
        *("localMinAmount", "localMaxAmount", "fixedAmounts", "localFixedAmounts"),
        *("includeBundles", "includeData", "includePin"),
    },
    rates=RATES,
    capabilities=ReloadlyAirtime.capabilities,
)
