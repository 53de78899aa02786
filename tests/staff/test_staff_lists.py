"""Lists that grow with the years are told a page at a time, and what is not there is not found."""

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest

from rewards.clients.model import NewCredential
from rewards.clients.service import issue_credentials
from rewards.pricing import service as pricing
from rewards.pricing.model import ClientDiscount
from tests.staff.office import API, Office, open_office

ROWS = 3


@pytest.fixture
async def office(dsn: str, tmp_path: Path) -> AsyncIterator[Office]:
    """With ROWS credentials and logins of client 1, discounts of product 6, and rates."""
    async with open_office(dsn, tmp_path) as office:
        shop, parts = office.shop, office.shop.parts
        product = await shop.product()
        clients = [await shop.client(minor=1) for _ in range(ROWS)]
        async with parts.db.transaction() as tx:
            await tx.execute("DELETE FROM credentials")
            await tx.execute("DELETE FROM client_logins")
            asks = [NewCredential(clients[0])] * ROWS
            await issue_credentials(tx, parts.vault, parts.settings, asks, shop.now)
            await tx.execute(
                "INSERT INTO client_logins (client_id, username, password_hash, created_at)"
                " SELECT $1, 'person' || n, 'none', now() FROM generate_series(1, $2) AS n",
                *(clients[0], ROWS),
            )
            await pricing.set_discounts(
                tx, [ClientDiscount(each, product.id, Decimal(5)) for each in clients]
            )
            others = [await shop.product(number) for number in (7, 8)]
            await pricing.set_discounts(
                tx, [ClientDiscount(clients[0], other.id, Decimal(5)) for other in others]
            )
        await shop.rates(EUR="1.25", GBP="1.30", INR="0.012")
        yield office


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/clients/{client}/credentials", "id"),
        ("/clients/{client}/logins", "id"),
        ("/products/6/discounts", "client_id"),
        ("/clients/{client}/discounts", "product_id"),
        ("/fx-rates", "id"),
    ],
)
async def test_a_list_is_told_a_page_at_a_time(office: Office, path: str, name: str) -> None:
    async with office.shop.parts.db.connection() as connection:
        client = await connection.fetchval("SELECT min(id) FROM clients")
    url = API + path.format(client=client)
    seen = []
    for page, size, more in ((1, 2, "true"), (2, 1, "false")):
        asked = {"limit": 2, "page": page}
        answer = await office.http.get(url, params=asked, headers=office.token("admin"))
        assert len(answer.json()) == size
        told = answer.headers
        assert (told["X-Total-Count"], told["X-Has-More"]) == (str(ROWS), more)
        seen += [row[name] for row in answer.json()]
    assert len(set(seen)) == ROWS
    assert (await office.http.get(url, headers=office.token("admin"))).headers["X-Per-Page"] == "50"
    for wrong in ("limit=501", "limit=0", "page=x"):
        assert (
            await office.status("admin", "GET", path.format(client=client) + "?" + wrong)
        ) == 400


async def test_an_order_that_is_not_there_has_no_vendor_orders(office: Office) -> None:
    assert await office.status("admin", "GET", "/orders/999999/vendor-orders") == 404
