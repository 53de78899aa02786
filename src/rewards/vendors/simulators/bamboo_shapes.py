"""How Bamboo shows orders and brands; pure."""

from collections.abc import Iterable
from datetime import datetime
from itertools import groupby
from typing import Any

from rewards.vendors.amounts import decimal_of
from rewards.vendors.simulators.book import Sale, SaleState, SimProduct, SoldCard


def status_of(sale: Sale, now: datetime) -> str:
    state = sale.state(now)
    if state is SaleState.RUNNING:
        begun = (now - sale.placed_at) * 2 >= sale.ready_at - sale.placed_at
        return "Processing" if begun else "Created"
    if state is SaleState.FAILED or not sale.cards:
        return "Failed"
    return "Succeeded" if state is SaleState.DONE else "PartialFailed"


def order(sale: Sale, now: datetime) -> dict[str, Any]:
    status = status_of(sale, now)
    done = sale.state(now) is not SaleState.RUNNING
    return {
        "orderId": int(sale.ref, 16),
        "requestId": sale.key,
        "status": status,
        "createdDate": sale.placed_at.isoformat(),
        "total": decimal_of(sale.cost_minor, sale.currency),
        "errorMessage": "Order failed" if status == "Failed" else None,
        "orderType": "API",
        "currency": sale.currency,
        "items": _items(sale, status) if done else [_item(sale, status, sale.face_minor, [])],
    }


def _items(sale: Sale, status: str) -> list[dict[str, Any]]:
    """One for each value, for it stands on the item; what was not to be had is a card too."""
    values = groupby(sale.cards, key=lambda card: card.face_minor)
    items = [_item(sale, status, minor, list(map(_card, group))) for minor, group in values]
    missing = [_no_card() for _ in range(sale.quantity - len(sale.cards))]
    if not items:
        return [_item(sale, status, sale.face_minor, missing)]
    items[-1]["cards"] += missing
    return items


def _item(sale: Sale, status: str, face_minor: int, cards: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "brandCode": f"SIM-{sale.sku}",
        "productId": int(sale.sku),
        "productFaceValue": decimal_of(face_minor, sale.currency),
        "quantity": len(cards) or sale.quantity,
        "pictureUrl": None,
        "countryCode": "US",
        "currencyCode": sale.currency,
        "status": status,
        "cards": cards,
    }


def _card(card: SoldCard) -> dict[str, Any]:
    return {
        "id": int(card.serial[:12], 16),
        "serialNumber": card.serial,
        "cardCode": card.code,
        "pin": card.pin,
        "expirationDate": f"{card.expires_at:%Y-%m-%dT00:00:00}",
        "status": "Sold",
    }


def _no_card() -> dict[str, Any]:
    return {
        "id": 0,
        "serialNumber": None,
        "cardCode": None,
        "pin": None,
        "expirationDate": None,
        "status": "Failed",
    }


def brands(products: Iterable[SimProduct]) -> list[dict[str, Any]]:
    """The catalogue is paged by these: the first word of a product's name is its brand."""
    by_brand: dict[str, list[SimProduct]] = {}
    for product in products:
        by_brand.setdefault(product.name.split()[0], []).append(product)
    return [_brand(name, sold) for name, sold in by_brand.items()]


def _brand(name: str, products: list[SimProduct]) -> dict[str, Any]:
    currency = products[0].currency
    return {
        "internalId": f"SIM-{name}",
        "name": name,
        "countryCode": "US",
        "currencyCode": currency,
        "description": "",
        "disclaimer": "",
        "redemptionInstructions": "",
        "terms": "",
        "logoUrl": "",
        "modifiedDate": "2026-01-01T00:00:00",
        "products": [_product(product, currency) for product in products],
    }


def _product(product: SimProduct, currency: str) -> dict[str, Any]:
    low, high = (decimal_of(m, currency) for m in (product.min_minor, product.max_minor))
    paid = (100 - product.discount_percent) / 100
    return {
        "id": int(product.sku),
        "name": product.name,
        "minFaceValue": low,
        "maxFaceValue": high,
        "count": product.stock,
        "price": {"min": low * paid, "max": high * paid, "currencyCode": currency},
        "modifiedDate": "2026-01-01T00:00:00",
    }
