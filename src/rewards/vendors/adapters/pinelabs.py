"""Pine Labs' Woohoo, REST v3: signed JSON, codes at once for small orders, later for large ones.

The vendor shows its documentation to partners only; this follows what its public clients agree on.
Not verified: how it tells the partner's balance, its limits, and how far `dateAtClient` may be off.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from rewards.core.clock import SystemClock
from rewards.core.currency_number import NUMBERS
from rewards.vendors.adapters import pinelabs_outcomes as meaning
from rewards.vendors.adapters import pinelabs_wire as shapes
from rewards.vendors.adapters.pinelabs_session import (
    Account,
    Session,
    encode,
)
from rewards.vendors.model import (
    Accepted,
    Balance,
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
    Unknown,
)
from rewards.vendors.outcome import making_sense, of_placing, of_reading
from rewards.vendors.port import AdapterKind, Field, VendorRefused, keeps_no_book
from rewards.vendors.throttle import Rate
from rewards.vendors.wire import Answer, Wire

CARDS_PAGE = 100
QUANTITY_MAX = 1_000
CARD_PAGES_MAX = 2 * QUANTITY_MAX // CARDS_PAGE
PRODUCTS_PAGE = 100
PRODUCT_PAGES_MAX = 100
CATEGORIES_MAX = 200
CONTACT = ("firstname", "lastname", "email", "telephone")
PLACE = ("line1", "line2", "city", "region", "country", "postcode")


class PineLabsVendor:
    """Orders are made under our refno, read by it, and their cards fetched by the order's id."""

    capabilities = Capabilities(
        quantity_max=QUANTITY_MAX,
        sync_quantity_max=shapes.SYNC_QUANTITY_MAX,
        callbacks=False,
        expected_s=120,
        verified=False,
        # A dropped order shows up late: for minutes its refno is "not available" (5320).
        not_found_grace_s=900,
    )

    def __init__(self, config: Mapping[str, str], session: Session) -> None:
        self._prefix = config.get("refno_prefix", "")
        if len(self._prefix) > shapes.PREFIX_CHARS_MAX:
            raise ValueError("refno_prefix is too long")
        self._contact = {name: config[name] for name in CONTACT + PLACE if config.get(name)}
        self._categories = [one for one in config.get("categories", "").split(",") if one]
        self._session = session

    book = keeps_no_book

    def key(self, fresh: UUID) -> str:
        return shapes.refno(self._prefix, fresh)

    async def place(self, key: str, line: Line) -> Outcome:
        return await of_placing(self._place(key, line))

    async def _place(self, key: str, line: Line) -> Outcome:
        if line.currency not in NUMBERS:
            return Refused(Reason.VENDOR_CONFIG, "a currency without a number")
        body = shapes.order_body(key, line, self._contact)
        answer = await self._session.call("place", "POST", "/rest/v3/orders", body=body)
        denied = meaning.denied(answer)
        if denied is not None:
            return denied
        content = answer.json()
        if answer.status not in (201, 202):
            code = shapes.error_code(content)
            return meaning.of_error(code, answer.status, meaning.order_id_of(content))
        if str(content.get("refno", key)) != key:
            return Unknown("the answer is about another order")
        order_id = content["orderId"]
        state = meaning.state_of(content, str(order_id))
        cards = shapes.cards_of(content)
        if isinstance(state, Delivered) and len(cards) >= line.quantity:
            return replace(state, cards=cards, cost=_cost(line))
        # Without its cards a complete order is one whose cards are still to be fetched.
        return state if isinstance(state, Refused | Unknown) else Accepted(str(order_id))

    async def read(self, purchase: Purchase) -> Outcome:
        return await of_reading(self._read(purchase))

    async def _read(self, purchase: Purchase) -> Outcome:
        answer = await self._session.call(
            "status", "GET", f"/rest/v3/order/{encode(purchase.key)}/status"
        )
        code = meaning.code_of(answer)
        ref = purchase.vendor_ref
        if code == meaning.NOT_AVAILABLE and ref:
            # Its own name for the order is the better witness.
            answer = await self._session.call("details", "GET", f"/rest/v3/orders/{encode(ref)}")
            code = meaning.code_of(answer)
        denied = meaning.denied(answer)
        if denied is not None:
            return denied
        if answer.status != 200:
            if code == meaning.NOT_AVAILABLE and not ref:
                return NotKnown()
            return Unknown(meaning.said(code, answer.status))
        content = answer.json()
        if str(content.get("refno", purchase.key)) != purchase.key:
            return Unknown("the answer is about another order")
        ref = meaning.order_id_of(content) or ref
        state = meaning.state_of(content, ref)
        if not isinstance(state, Delivered):
            return state
        if ref is None:
            return Unknown("complete, without an order id")
        return await self._cards(ref, purchase.line)

    async def _cards(self, order_id: str, line: Line) -> Outcome:
        """All cards of a complete order, page by page; it may be complete before they are."""
        cards: list[Card] = []
        for page in range(CARD_PAGES_MAX):
            answer = await self._session.call(
                "cards",
                "GET",
                f"/rest/v3/order/{encode(order_id)}/cards/",
                query={"offset": str(page * CARDS_PAGE), "limit": str(CARDS_PAGE)},
            )
            early = meaning.without_cards(answer, order_id)
            if early is not None:
                return early
            content = answer.json()
            total = int(content["total_cards"])
            found = shapes.cards_of(content)
            cards += found
            if len(cards) >= total or not found:
                break
        # It delivers all of an order or cancels it, so fewer than were ordered are not all.
        if len(cards) != total or len(cards) < line.quantity:
            return Unknown(f"{len(cards)} cards came of {total}, {line.quantity} were ordered")
        numbers = [card.fields.get("voucher_reference_number") for card in cards]
        named = [number for number in numbers if number]
        if len(set(named)) != len(named):
            return Unknown("the pages of cards overlap")
        return Delivered(tuple(cards), order_id, _cost(line))

    async def balances(self) -> Sequence[Balance]:
        content = await self._told("balance", "/rest/v3/accounts")
        with making_sense():
            return shapes.balances_of(content)

    async def catalogue(self) -> AsyncIterator[Offer]:
        """Every product of the configured categories, or of all; two calls or more for each."""
        seen: set[str] = set()
        for category in await self._category_ids():
            async for sku in self._skus(category):
                if sku in seen:
                    continue
                seen.add(sku)
                offer = await self._offer(sku)
                if offer is not None:
                    yield offer

    async def _offer(self, sku: str) -> Offer | None:
        """A product as it is sold; None when it went since it was listed, or has no price."""
        path = f"/rest/v3/catalog/products/{encode(sku)}"
        answer = await self._session.call("product", "GET", path)
        if meaning.code_of(answer) == meaning.NO_SUCH_SKU:
            return None
        with making_sense():
            return shapes.offer_of(_told(answer, "product"))

    async def _category_ids(self) -> Sequence[str]:
        if self._categories:
            return self._categories
        content = await self._told("categories", "/rest/v3/catalog/categories")
        with making_sense():
            ids = list(dict.fromkeys(shapes.category_ids(content)))
        if len(ids) > CATEGORIES_MAX:
            raise VendorRefused("catalogue: too many categories; name those that matter")
        return ids

    async def _skus(self, category: str) -> AsyncIterator[str]:
        for page in range(PRODUCT_PAGES_MAX):
            content = await self._told(
                "products",
                f"/rest/v3/catalog/categories/{encode(category)}/products",
                {"offset": str(page * PRODUCTS_PAGE), "limit": str(PRODUCTS_PAGE)},
            )
            with making_sense():
                skus = [str(product["sku"]) for product in content["products"]]
            for sku in skus:
                yield sku
            if len(skus) < PRODUCTS_PAGE:
                return

    async def _told(self, call: str, path: str, query: Mapping[str, str] | None = None) -> Any:
        return _told(await self._session.call(call, "GET", path, query=query), call)

    def callback(self, headers: Mapping[str, str], body: bytes) -> Callback:
        raise CallbackRefused("this vendor does not call back")


def _told(answer: Answer, call: str) -> Any:
    if answer.status != 200:
        raise VendorRefused(f"{call}: {answer.status}")
    return answer.json()


def _cost(line: Line) -> Cost:
    """What was paid out of the wallet: an order pays exactly its value, or it is refused."""
    return Cost(line.face_minor * line.quantity, line.currency)


def _build(config: Mapping[str, str], secrets: Mapping[str, str], wire: Wire) -> PineLabsVendor:
    account = Account(
        config["client_id"], config["username"], secrets["client_secret"], secrets["password"]
    )
    return PineLabsVendor(config, Session(account, wire, SystemClock()))


_OPTIONAL = {
    "refno_prefix": "short code of the organisation that begins every refno, such as STAR_",
    "categories": "ids of the catalogue's categories, with commas; empty for all",
    **{name: f"our {name} on orders; may be empty where the account has one" for name in CONTACT},
    **{name: f"our address on orders: {name}" for name in PLACE},
}

KIND = AdapterKind(
    name="pinelabs",
    build=_build,
    config=(
        Field("base_url", "the host for this account; the sandbox is https://sandbox.woohoo.in"),
        Field("client_id", "consumer key"),
        Field("username", "the account's user"),
        *(Field(name, about, "") for name, about in _OPTIONAL.items()),
    ),
    secrets=(
        Field("client_secret", "consumer secret; also signs the requests"),
        Field("password", "the account's password"),
    ),
    safe=frozenset(
        (
            *("refno", "sku", "price", "qty", "currency", "syncOnly", "deliveryMode", "amount"),
            *("code", "status", "statusLabel", "state", "orderId", "total_cards", "numericCode"),
            *("offset", "limit", "type", "min", "max", "denominations", "minPrice", "maxPrice"),
            *("productsCount", "subcategoriesCount", "balance", "validity"),
        )
    ),
    # No figures are known; the vendor only asks that its catalogue be asked seldom.
    rates={"products": Rate(5, 1.1), "product": Rate(5, 1.1)},
    capabilities=PineLabsVendor.capabilities,
)
