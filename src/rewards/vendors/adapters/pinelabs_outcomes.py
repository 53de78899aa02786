"""What Woohoo's (Pine Labs) answers mean: its statuses, and its error codes one by one; pure."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from rewards.vendors.adapters.pinelabs_session import forbidden
from rewards.vendors.adapters.pinelabs_wire import error_code
from rewards.vendors.model import Accepted, Delivered, Outcome, Reason, Refused, Unknown
from rewards.vendors.wire import Answer

NO_SUCH_SKU = 1303
DUPLICATE = 5313
NOT_AVAILABLE = 5320
VELOCITY = 6015
ARCHIVED = 11429

# The vendor's explicit word that this order was not made. What is in neither table is Unknown.
_REFUSALS: Mapping[int, tuple[Reason, str]] = MappingProxyType(
    {
        5035: (Reason.VENDOR_CONFIG, "the payment service is not enabled"),
        5036: (Reason.PRICE_CHANGED, "the payment is not the amount that is asked"),
        5037: (Reason.VENDOR_CONFIG, "the payment model is not available"),
        5038: (Reason.LIMIT_EXCEEDED, "the payment exceeds its limits"),
        5305: (Reason.VENDOR_CONFIG, "the store is inactive"),
        5306: (Reason.VENDOR_CONFIG, "a product without its sku"),
        5307: (Reason.BAD_DENOMINATION, "the denomination is not available"),
        5308: (Reason.PRODUCT_INACTIVE, "the product is restricted for this account"),
        5310: (Reason.PRODUCT_INACTIVE, "the product is not available"),
        5311: (Reason.VENDOR_CONFIG, "a bad delivery mode"),
        5312: (Reason.VENDOR_CONFIG, "no billing address is configured"),
        5315: (Reason.PRODUCT_INACTIVE, "the product is misconfigured at the vendor"),
        5316: (Reason.VENDOR_CONFIG, "the product is not sold in this currency"),
        5317: (Reason.VENDOR_CONFIG, "the currency is not configured for this product"),
        5318: (Reason.BAD_DENOMINATION, "the denomination is not available"),
        # Asking again under the same refno is safe: were there an order, it would be 5313.
        5321: (Reason.VENDOR_DOWN, "the order cannot be processed now"),
        5326: (Reason.VENDOR_CONFIG, "digital and physical products in one order"),
        5327: (Reason.OTHER, "the payment failed"),
        5329: (Reason.VENDOR_CONFIG, "a bad refno"),
        5333: (Reason.OTHER, "the payment was refunded already"),
        5334: (Reason.VENDOR_CONFIG, "the delivery mode is not for physical products"),
        5335: (Reason.VENDOR_CONFIG, "a bad order type"),
        5338: (Reason.LIMIT_EXCEEDED, "above the highest order value"),
        5342: (Reason.VENDOR_CONFIG, "no shipping address is configured"),
        5343: (Reason.VENDOR_CONFIG, "an external login is needed"),
        5344: (Reason.VENDOR_CONFIG, "an external login is needed"),
        5349: (Reason.VENDOR_CONFIG, "the payments differ in their poNumber"),
        6050: (Reason.VENDOR_CONFIG, "a one-time password or delivery rule"),
        6051: (Reason.VENDOR_CONFIG, "a one-time password is needed"),
        6052: (Reason.VENDOR_CONFIG, "a bad one-time password"),
        6053: (Reason.VENDOR_DOWN, "the request cannot be processed now"),
        **dict.fromkeys(range(6054, 6060), (Reason.VENDOR_CONFIG, "a delivery or currency rule")),
        6063: (Reason.INSUFFICIENT_VENDOR_BALANCE, "the wallet's balance does not suffice"),
        11159: (Reason.LIMIT_EXCEEDED, "more than an order may hold"),
        11447: (Reason.VENDOR_CONFIG, "a bad order mode"),
    }
)

# Said of an order that may well exist, so nothing but reading it back tells.
_UNCLEAR: Mapping[int, str] = MappingProxyType(
    {
        DUPLICATE: "the refno is known already",
        # Also seen for products and denominations that are not sold.
        NOT_AVAILABLE: "not available",
        6000: "the activation failed",
        ARCHIVED: "the order is archived; only the vendor's support has it",
    }
)


def of_error(code: int | None, status: int, order_id: str | None) -> Outcome:
    """What an error answer to placing means.

    6015 says that the order was created and then a velocity limit was hit: it is paid and without
    cards. It is Accepted, from where it can never count as not placed.
    """
    if code == VELOCITY:
        return Accepted(order_id)
    if code is None or code not in _REFUSALS:
        return Unknown(said(code, status))
    reason, words = _REFUSALS[code]
    return Refused(reason, f"{words} ({code})")


def said(code: int | None, status: int) -> str:
    """Words for an error that says nothing certain of an order."""
    if code is None:
        return f"an unexpected answer ({status})"
    return f"{_UNCLEAR.get(code, 'an error that is not known here')} ({code})"


def denied(answer: Answer) -> Refused | None:
    """What is said before anything is looked at: asked too often, or not by whom it knows."""
    if answer.status == 429:
        return Refused(Reason.THROTTLED, "asked too often", answer.retry_after_s)
    if answer.status == 401:
        signature = b"signature" in answer.body
        reason = Reason.SIGNATURE_BAD if signature else Reason.BAD_CREDENTIALS
        return Refused(reason, "the vendor answers 401")
    if answer.status == 403:
        return Refused(forbidden(answer), "the vendor answers 403")
    return None


def code_of(answer: Answer) -> int | None:
    """The error code of an answer that may carry one. Raises NoAnswer when it is no JSON."""
    return error_code(answer.json()) if answer.status in (400, 404) else None


def order_id_of(content: Any) -> str | None:
    """The vendor's own name for an order, where it gives it."""
    order_id = content.get("orderId") if isinstance(content, dict) else None
    return str(order_id) if order_id else None


def state_of(content: Mapping[str, Any], order_id: str | None) -> Outcome:
    """Delivered, still without cards, stands for a complete order."""
    match content["status"]:
        case "COMPLETE":
            return Delivered((), order_id)
        case "PENDING" | "PROCESSING":
            return Accepted(order_id)
        case "CANCELED":
            return Refused(Reason.OTHER, "the vendor cancelled the order and gave the money back")
    return Unknown("a status without sense")


def without_cards(answer: Answer, order_id: str) -> Outcome | None:
    """What an answer means that should list cards and does not; None when it may list them."""
    if answer.status == 200:
        return None
    if answer.status == 409:
        return Accepted(order_id)
    if answer.status == 410:
        return Refused(Reason.OTHER, "the vendor cancelled the order and gave the money back")
    return denied(answer) or Unknown(said(code_of(answer), answer.status))
