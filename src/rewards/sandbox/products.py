"""What the sandbox sells: the products the seed documents speak of, and one of each odd kind."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rewards.catalog.model import (
    Classification,
    DeliveryType,
    Denomination,
    LinkType,
    NewProduct,
    ProductType,
)
from rewards.vendors.simulators.faults import Fault

GIFT_CARDS = 1
CARD = ("card_number", "pin_code", "voucher_reference_number")
CODE = ("code", "pin")
TERMS = "Sandbox voucher. It buys nothing anywhere."
REDEMPTION = "Enter the code at checkout of a shop that does not exist."


@dataclass(frozen=True, slots=True)
class Stocked:
    """A product and how many units of each denomination lie ready at the first start."""

    product: NewProduct
    units: int


def _fixed(*amounts_minor: int) -> tuple[Denomination, ...]:
    return tuple(Denomination(amount, amount) for amount in amounts_minor)


def _product(product_id: int, name: str, **facts: Any) -> NewProduct:
    usual: dict[str, Any] = {
        "category_id": GIFT_CARDS,
        "subcategory_id": 103,
        "country": "US",
        "currency": "USD",
        "delivery_type": DeliveryType.CODE_WITH_PIN,
        "voucher_fields": CARD,
        "vendor_discount_percent": Decimal(0),
        "terms": TERMS,
        "redemption": REDEMPTION,
        "validity": "12 months",
    }
    return NewProduct(id=product_id, name=name, **(usual | facts))


USD = _fixed(500, 1000, 2500, 5000, 10000)

PRODUCTS: tuple[Stocked, ...] = (
    Stocked(
        _product(
            1,
            "Always Waiting (USD)",
            description="Never in stock: an order for it waits for a person.",
            denominations=USD,
        ),
        0,
    ),
    Stocked(
        _product(
            2,
            "Cinema Link (USD)",
            delivery_type=DeliveryType.URL,
            voucher_fields=("claim_url", "voucher_reference_number"),
            subcategory_id=102,
            denominations=USD,
        ),
        200,
    ),
    Stocked(
        _product(
            3,
            "Depāto Card (JPY)",
            country="JP",
            currency="JPY",
            denominations=_fixed(500, 1000, 3000, 5000, 10000),
            tax_percent=Decimal(10),
        ),
        200,
    ),
    Stocked(
        _product(
            4,
            "Souk Card (KWD)",
            country="KW",
            currency="KWD",
            voucher_fields=CODE,
            denominations=_fixed(1000, 2500, 5000, 12500),
        ),
        200,
    ),
    Stocked(
        _product(
            5,
            "Any Amount (EUR)",
            country="DE",
            currency="EUR",
            voucher_fields=CODE,
            classification=Classification.SEMI_OPEN,
            description="Every amount from 5 to 500; 10, 20 and 50 lie ready.",
            denominations=(Denomination(500, 50000),),
        ),
        200,
    ),
    Stocked(
        _product(
            6,
            "Amazon Gift Card",
            description="2 % discount and a fee of 1.00 a voucher.",
            vendor_discount_percent=Decimal(2),
            handling_fee_minor=100,
            denominations=USD,
        ),
        1000,
    ),
    Stocked(
        _product(
            7,
            "Realtime Test Card A",
            description="Served in the request, whatever the quantity.",
            voucher_fields=CODE,
            realtime=True,
            allow_auto_vendor_fulfill=True,
            denominations=USD,
        ),
        0,
    ),
    Stocked(
        _product(
            8,
            "Realtime Test Card B",
            description="Served in the request, whatever the quantity.",
            realtime=True,
            allow_auto_vendor_fulfill=True,
            denominations=USD,
        ),
        0,
    ),
    Stocked(
        _product(
            9,
            "Bazaar Card (INR)",
            country="IN",
            currency="INR",
            tax_percent=Decimal(18),
            vendor_discount_percent=Decimal("2.5"),
            denominations=_fixed(10000, 25000, 50000, 100000, 200000),
        ),
        200,
    ),
    Stocked(
        _product(
            10,
            "Claim Link Card (USD)",
            description="The end user gets a link of ours and claims the code there.",
            voucher_fields=CODE,
            link_type=LinkType.PUBLIC,
            denominations=USD,
        ),
        300,
    ),
    Stocked(
        _product(
            11,
            "Protected Link Card (USD)",
            description="As product 10; its links open with the claim_password of the order.",
            link_type=LinkType.PROTECTED,
            denominations=USD,
        ),
        300,
    ),
    Stocked(
        _product(
            15,
            "Popup Store Card",
            voucher_fields=CODE,
            subcategory_id=101,
            vendor_discount_percent=Decimal("3.5"),
            denominations=USD,
        ),
        300,
    ),
)

# Ordering one of these from the vendor shows what happens when a vendor errs, and how we bear it.
FAULTS = {
    101: Fault.OUT_OF_STOCK,
    102: Fault.NO_BALANCE,
    103: Fault.PRICE_DRIFT,
    104: Fault.INACTIVE,
    105: Fault.DROP_AFTER,
    106: Fault.ERROR_AFTER,
    107: Fault.SLOW,
    108: Fault.HTML,
    109: Fault.PARTIAL,
    110: Fault.WRONG_COUNT,
    111: Fault.DUPLICATE_CODE,
    112: Fault.WRONG_VALUE,
    113: Fault.EXPIRED_CODE,
    114: Fault.NEVER_READY,
    115: Fault.LATE_FAILURE,
}
PRODUCTS += tuple(
    Stocked(
        _product(
            product_id,
            f"Vendor Trouble: {fault.replace('_', ' ').capitalize()} (USD)",
            description="Never in stock; its vendor errs in this way whenever it is bought.",
            denominations=USD,
        ),
        0,
    )
    for product_id, fault in FAULTS.items()
)

# Nothing to keep in stock: each is bought from an operator once somebody approves it. The operator
# refuses a number that ends in 0000.
PRODUCTS += (
    Stocked(
        _product(
            121,
            "Mobile Top-up (INR)",
            type=ProductType.MOBILE_TOPUP,
            description="Every amount from 10 to 5000, to an Indian number.",
            category_id=2,
            subcategory_id=201,
            country="IN",
            currency="INR",
            voucher_fields=(),
            denominations=(Denomination(1000, 500000),),
        ),
        0,
    ),
    Stocked(
        _product(
            122,
            "Electricity Bill (INR)",
            type=ProductType.UTILITY,
            description="Every amount from 100 to 20000.",
            category_id=3,
            subcategory_id=303,
            country="IN",
            currency="INR",
            voucher_fields=(),
            denominations=(Denomination(10000, 2000000),),
        ),
        0,
    ),
)

# A ranged product keeps stock of these amounts only; any other one misses.
RANGED_STOCK_MINOR = (1000, 2000, 5000)


def stocked_amounts_minor(product: NewProduct) -> tuple[int, ...]:
    """The face values of which units lie ready."""
    fixed = tuple(low for low, high in product.denominations if low == high)
    return fixed or RANGED_STOCK_MINOR
