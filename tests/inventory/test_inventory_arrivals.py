"""Which cards of a vendor's may be sold."""

from datetime import UTC, datetime

import pytest

from rewards.catalog.model import DeliveryType, Product
from rewards.inventory.arrivals import sort_cards
from rewards.vendors.model import Card, Line

AT = datetime(2026, 11, 21, tzinfo=UTC)
LINE = Line("CINEMA-10", 1000, "USD", 1)
CINEMA = Product(
    id=2,
    revision_id=1,
    exponent=2,
    created_at=AT,
    name="Cinema",
    category_id=1,
    country="US",
    currency="USD",
    delivery_type=DeliveryType.URL,
    voucher_fields=("claim_url",),
)


@pytest.mark.parametrize(
    ("url", "sound"),
    [
        ("https://brand.example/c/1", True),
        ("http://brand.example", True),
        ("javascript:alert(document.cookie)", False),
        ("JavaScript:alert(1)//https://brand.example/", False),
        ("data:text/html,<script>alert(1)</script>", False),
        ("https://", False),
        ("https:///c/1", False),
        ("https://brand.example/c 1", False),
        ("//brand.example/c/1", False),
        (" https://brand.example/c/1", False),
        ("https://brand.example/\nSet-Cookie: a=b", False),
        ("4711", False),
    ],
)
def test_a_vendors_link_leads_to_a_page_or_is_not_sold(url: str, sound: bool) -> None:
    """Somebody will click it, in a mail that is ours."""
    found = sort_cards([Card({"claim_url": url})], LINE, CINEMA, 1, AT)
    assert (len(found.wanted), len(found.bad)) == ((1, 0) if sound else (0, 1))
