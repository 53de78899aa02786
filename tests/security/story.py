"""One busy day of a sandbox: everything that is ever done to stock, orders, logins and mistakes."""

import asyncio
import json
import re
import secrets
from base64 import b32decode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from rewards.staff.totp import code_of, step_at

# In every code, PIN and link that this day brings in, and nowhere else.
MARK = "CNRY" + secrets.token_hex(8).upper()
HEADER = "product_id,denomination,currency,expires_at"
CARD = ("card_number", "pin_code", "voucher_reference_number")
CODE = ("code", "pin")
KEYED = {"Idempotency-Key": "a link with a password"}
LINK = ("claim_url", "voucher_reference_number")
WORK_S = 20.0
# Sooner than what the sandbox has from the start: sold first.
SOON = "2027-06-30"
ORDERS = "/api/v1/orders"
ADMIN = "/admin/api/v1"


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. `own`: it is the client's own order or token, and may hold its secrets."""

    what: str
    status: int
    headers: str
    body: str
    own: bool


@dataclass
class Day:
    """The acts, in the order of `live`; `secrets` gathers what must not be found anywhere."""

    http: httpx.AsyncClient
    card: dict[str, Any]
    owner: asyncpg.Connection
    replies: list[Reply] = field(default_factory=list)
    secrets: dict[str, str] = field(default_factory=dict)
    codes: int = 0
    _staff: dict[str, str] = field(default_factory=dict)

    async def live(self) -> None:
        await self.let_everybody_in()
        await self.subscribe()
        await self.bring_stock()
        await self.sell()
        await self.sell_by_link()
        await self.sell_later()
        await self.take_back()
        await self.read_all()
        await self.go_wrong()
        await self.break_things()

    async def call(
        self, method: str, path: str, *, own: bool = False, **sent: Any
    ) -> httpx.Response:
        headers = {**self.key, **sent.pop("headers", {})}
        if path.startswith("/admin"):
            headers = {**self._staff, **{k: v for k, v in headers.items() if k not in self.key}}
        answer = await self.http.request(method, path, headers=headers, **sent)
        told = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
        what = f"{method} {path.partition('?')[0][:40]}"
        good = own and answer.status_code in (200, 201)
        self.replies.append(Reply(what, answer.status_code, told, answer.text, good))
        return answer

    @property
    def key(self) -> dict[str, str]:
        client = self.card["client"]
        return {"X-API-Key": client["api_key"], "X-API-Secret": client["api_secret"]}

    async def let_everybody_in(self) -> None:
        client, staff = self.card["client"], self.card["staff"]
        for name in ("password", "api_secret", "signing_secret"):
            self.secrets[f"client {name}"] = client[name]
        for role, person in staff.items():
            self.secrets[f"{role} password"] = person["password"]
        answer = await self.call("POST", "/admin/auth/login", own=True, json=staff["admin"])
        token = answer.json()["access_token"]
        self.secrets["staff token"] = token
        self._staff = {"Authorization": f"Bearer {token}"}
        await self.set_up_a_factor(staff["support"])
        wide = {"orders_per_minute": 5000, "orders_per_10s": 5000, "concurrent_orders": 50}
        path = f"{ADMIN}/clients/{client['client_id']}"
        assert (await self.call("PATCH", path, json={"limits": wide})).status_code == 200
        pair = {"username": client["username"], "password": client["password"]}
        tokens = (await self.call("POST", "/auth/login", own=True, json=pair)).json()
        for turn in range(3):
            self.secrets[f"access token {turn}"] = tokens["access_token"]
            self.secrets[f"refresh token {turn}"] = tokens["refresh_token"]
            old = {"refresh_token": tokens["refresh_token"]}
            tokens = (await self.call("POST", "/auth/refresh", own=True, json=old)).json()
        # A token used twice ends its family; the answer must not say it again.
        await self.call("POST", "/auth/refresh", json=old)
        issued = await self.call("POST", f"{path}/credentials", own=True, json={})
        assert issued.status_code == 201
        told = issued.json()
        self.secrets |= {f"second {k}": told[k] for k in told if k.endswith("secret")}

    async def set_up_a_factor(self, person: dict[str, str]) -> None:
        """Somebody logs in, sets up a second factor, and logs in by code and by recovery code."""
        login, factor = "/admin/auth/login", f"{ADMIN}/me/second-factor"
        told = (await self.call("POST", login, own=True, json=person)).json()
        self.secrets["support token"] = told["access_token"]
        mine = {"Authorization": f"Bearer {told['access_token']}"}
        secret = (await self.call("POST", factor, own=True, headers=mine)).json()["secret"]
        step = step_at(datetime.now(UTC))
        # The next half minute's counts too, and leaves none that fits both.
        codes = [code_of(b32decode(secret), step + aside) for aside in (0, 1)]
        sent = {"json": {"code": codes[0]}, "headers": mine}
        told = (await self.call("POST", f"{factor}/confirm", own=True, **sent)).json()
        self.secrets["second factor"] = secret
        for turn, code in enumerate(told["recovery_codes"]):
            self.secrets[f"recovery code {turn}"] = code
            self.secrets[f"recovery code {turn} as typed"] = code.replace("-", "")
        assert (await self.call("POST", login, json=person)).status_code == 401
        for given in ({"code": codes[1]}, {"recovery_code": told["recovery_codes"][0]}):
            for expected in (200, 401):
                answer = await self.call("POST", login, own=True, json={**person, **given})
                assert answer.status_code == expected, answer.text

    async def subscribe(self) -> None:
        """A webhook whose secret is rotated, tested, disabled and deleted; and one that stays."""
        hooks, body = "/api/v1/webhooks", {"url": "https://shop.example/hooks"}
        for name in ("first", "second"):
            made = (await self.call("POST", hooks, own=True, json=body)).json()
            path = f"{hooks}/{made['id']}"
            newer = (await self.call("POST", f"{path}/rotate-secret", own=True)).json()
            self.secrets |= {f"{name} webhook": made["secret"], f"{name} rotated": newer["secret"]}
            again = await self.call("POST", f"{path}/rotate-secret", json={MARK: newer["secret"]})
            assert again.status_code == 400
            assert (await self.call("POST", f"{path}/rotate-secret")).status_code == 409
            assert (await self.call("POST", f"{path}/test")).status_code == 202
            for wrong in ({"url": newer["secret"]}, {"events": [newer["secret"]]}):
                assert (await self.call("PATCH", path, json=wrong)).status_code == 400
            await self.call("GET", f"{path}/deliveries")
        assert (await self.call("PATCH", path, json={"status": "DISABLED"})).status_code == 200
        assert (await self.call("DELETE", path)).status_code == 204
        await self.call("GET", hooks)

    def rows(
        self, product_id: int, face: str, fields: Sequence[str], count: int, currency: str = "USD"
    ) -> Iterator[str]:
        for _ in range(count):
            self.codes += 1
            values = [
                f"https://cards.example/{MARK}/{self.codes}"
                if name == "claim_url"
                else f"{MARK}-{name[:2]}-{self.codes:06d}"
                for name in fields
            ]
            yield ",".join([str(product_id), face, currency, SOON, *values])

    async def load(self, fields: Sequence[str], rows: Sequence[str], **query: str) -> Any:
        text = "\n".join([",".join([HEADER, *fields]), *rows, ""])
        sent = {"file": ("stock.csv", text.encode(), "text/csv")}
        path = f"{ADMIN}/inventory/batches"
        return (await self.call("POST", path, files=sent, params=query)).json()

    async def bring_stock(self) -> None:
        codes = list(self.rows(15, "25.00", CODE, 130))
        cards = list(self.rows(1, "10.00", CARD, 3))
        assert (await self.load(CODE, codes))["loaded"] == 130
        assert (await self.load(CARD, cards))["loaded"] == 3
        assert (await self.load(LINK, list(self.rows(2, "10.00", LINK, 5))))["loaded"] == 5
        # The same file again; rows that are wrong in every way; no header; too big for memory.
        assert (await self.load(CODE, codes))["duplicate"] == 130
        bad = [
            f"15,{MARK},USD,{SOON},{MARK}-x,1",
            f"{MARK},25.00,USD,{SOON},a,b",
            f"15,25.00,{MARK},{SOON},a,b",
            f"15,25.00,USD,{MARK},a,b",
            f"15,25.00,USD,{SOON},{MARK}-only",
            f"15,25.00,USD,{SOON},={MARK},1",
            f"15,25.00,USD,{SOON},{MARK}\x07,1",
            f"15,25.00,USD,{SOON},{MARK * 20},1",
            f"15,25.00,USD,{SOON},{MARK},{MARK},{MARK}",
            f'15,25.00,USD,{SOON},"{MARK},1',
        ]
        report = await self.load(CODE, bad)
        await self.call("GET", f"{ADMIN}/inventory/batches/{report['batch_id']}/rows")
        await self.load((MARK,), bad)
        await self.load(("code", "code"), bad)
        self.codes += 1
        long = [f"15,25.00,USD,{SOON},{MARK}-{n},{n}" for n in range(90_000, 200_000)]
        await self.load(CODE, ["15,1.23,USD" + row[12:] for row in long], wait="true")
        await self.pump()

    async def pump(self) -> None:
        assert (await self.call("POST", f"{ADMIN}/inventory/pump", json={})).status_code == 200

    async def order(self, product_id: int, face: str, quantity: int, **more: Any) -> dict[str, Any]:
        headers = more.pop("headers", {})
        body = {"product_id": product_id, "denomination": face, "quantity": quantity, **more}
        answer = await self.call("POST", ORDERS, own=True, json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    async def sell(self) -> None:
        named = {"headers": {"Idempotency-Key": "the day's first order"}}
        first = await self.order(15, "25.00", 5, **named, email="buyer@example.com")
        again = await self.order(15, "25.00", 5, **named, email="buyer@example.com")
        assert first["vouchers"] == again["vouchers"]
        assert MARK in first["vouchers"][0]["code"]
        self.keep_to_ourselves(await self.order(6, "25.00", 2))
        assert MARK in (await self.order(2, "10.00", 3))["vouchers"][0]["claim_url"]
        await self.order(15, "25.00", 2, on_partial="ALL_OR_NOTHING", metadata={"a": "b"})
        for product_id, quantity in ((7, 3), (8, 12)):
            self.keep_to_ourselves(await self.order(product_id, "10.00", quantity))

    async def sell_by_link(self) -> None:
        """Links, and what their holders do: guess passwords, claim, come again, lose them."""
        assert (await self.load(CODE, list(self.rows(10, "10.00", CODE, 15))))["loaded"] == 15
        assert (await self.load(CARD, list(self.rows(11, "10.00", CARD, 1))))["loaded"] == 1
        await self.pump()
        word = self.secrets["claim password"] = f"{MARK}-claim-password"
        orders = [
            await self.order(10, "10.00", 3),
            await self.order(11, "10.00", 1, claim_password=word, headers=KEYED),
            await self.until((await self.order(10, "10.00", 12))["id"], "DELIVERED"),
        ]
        said = await self.order(11, "10.00", 1, claim_password=word, headers=KEYED)
        assert said["vouchers"] == orders[1]["vouchers"]
        links = [link for order in orders for link in self.links_of(order)]
        assert len(links) == 16
        for link in links[1:4]:
            assert MARK not in (await self.open(link)).text
            await self.open(link, password=f"{MARK}-wrong")
            shown = await self.open(link, password=word)
            assert shown.status_code == 200, shown.text
            assert MARK in shown.text
        order_id = orders[0]["id"]
        for act in ("resend", "reissue"):
            path = f"{ADMIN}/orders/{order_id}/links/{act}"
            answer = await self.call("POST", path, json={"reason": "it was lost"})
            assert answer.status_code == 200, answer.text
        again = (await self.call("GET", f"{ORDERS}/{order_id}", own=True)).json()
        self.links_of(again)
        assert (await self.open(links[0])).status_code == 404

    def links_of(self, order: dict[str, Any]) -> list[str]:
        """The order's links, whose tokens nobody else may know."""
        links: list[str] = [voucher["claim_url"] for voucher in order["vouchers"]]
        tokens = [link.rpartition("/")[2] for link in links]
        self.secrets |= {f"link {token[:6]}": token for token in tokens}
        return links

    async def open(self, link: str, password: str | None = None) -> httpx.Response:
        """What a visitor sees; with a password the form is sent, and shows what is theirs."""
        path = httpx.URL(link).path
        page = await self.call("GET", path)
        if password is None or page.status_code != 200:
            return page
        found = re.search(r'name="csrf" value="([^"]+)"', page.text)
        assert found is not None
        sent = {"csrf": found[1], "password": password}
        return await self.call("POST", path, own=True, data=sent)

    def keep_to_ourselves(self, order: dict[str, Any]) -> None:
        """Codes that we did not bring in, as far as they are long enough to be looked for."""
        for n, voucher in enumerate(order["vouchers"]):
            long = {k: v for k, v in voucher.items() if k != "expires_at" and len(v) > 12}
            self.secrets |= {f"order {order['id']} {n} {k}": v for k, v in long.items()}

    async def until(self, order_id: int, status: str) -> dict[str, Any]:
        for _ in range(int(WORK_S / 0.1)):
            order = (await self.call("GET", f"{ORDERS}/{order_id}", own=True)).json()
            if order["status"] == status:
                return order
            await asyncio.sleep(0.1)
        raise AssertionError(f"order is {order['status']}, not {status}")

    async def sell_later(self) -> None:
        worked = await self.order(15, "25.00", 20)
        assert worked["status"] == "PENDING"
        await self.until(worked["id"], "DELIVERED")
        bulk = await self.order(15, "25.00", 60)
        await self.retry(bulk["id"])
        assert len((await self.until(bulk["id"], "DELIVERED"))["vouchers"]) == 60
        waiting = await self.order(1, "25.00", 2)
        await self.retry(waiting["id"])
        await self.load(CARD, list(self.rows(1, "25.00", CARD, 2)))
        await self.pump()
        await self.retry(waiting["id"])
        assert len((await self.until(waiting["id"], "DELIVERED"))["vouchers"]) == 2

    async def retry(self, order_id: int) -> None:
        answer = await self.call("POST", f"{ADMIN}/orders/{order_id}/retry", json={})
        assert answer.status_code == 200, answer.text

    async def cancel(self, order_id: int, *item_ids: str) -> httpx.Response:
        body = {"reason": "no longer wanted", **({"item_ids": item_ids} if item_ids else {})}
        return await self.call("POST", f"{ADMIN}/orders/{order_id}/cancel", json=body)

    async def take_back(self) -> None:
        partial = await self.order(1, "10.00", 5)
        assert partial["status"] == "PARTIALLY_DELIVERED"
        assert MARK in partial["vouchers"][0]["card_number"]
        assert (await self.cancel(partial["id"])).status_code == 200
        assert (await self.cancel(partial["id"], f"{partial['id']}-1")).status_code == 200
        pending = await self.order(1, "50.00", 2)
        assert (await self.cancel(pending["id"])).status_code == 200
        late = await self.order(15, "25.00", 3, headers={"Idempotency-Key": "an order recalled"})
        assert (await self.cancel(late["id"])).status_code == 200
        recalled = (await self.call("GET", f"{ORDERS}/{late['id']}")).json()
        assert recalled["vouchers"] == []
        # Said again after it was taken back: without the codes, whoever asks.
        body = {"product_id": 15, "denomination": "25.00", "quantity": 3}
        named = {"Idempotency-Key": "an order recalled"}
        assert (await self.call("POST", ORDERS, json=body, headers=named)).status_code == 200
        await self.cancel(late["id"], f"{MARK}-co-000001")

    async def read_all(self) -> None:
        client_id = self.card["client"]["client_id"]
        for path in (
            *(f"{ORDERS}?limit=100", f"{ORDERS}/summary", f"{ORDERS}/1/history"),
            *("/api/v1/transactions?limit=100", "/api/v1/wallets", "/api/v1/products?limit=100"),
            *(f"{ADMIN}/clients", f"{ADMIN}/clients/{client_id}/credentials", f"{ADMIN}/staff"),
            *(f"{ADMIN}/inventory/batches", f"{ADMIN}/inventory/depth", "/openapi.json"),
        ):
            await self.call("GET", path)
        await self.call("GET", "/api/v1/transactions", headers={"Accept": "text/csv"})

    async def go_wrong(self) -> None:
        code, word = f"{MARK}-co-000001", f"{MARK}-password"
        for path in ("/auth/login", "/admin/auth/login"):
            await self.call("POST", path, json={"username": "sandbox", "password": word})
            await self.call("POST", path, json={"username": word, "password": "nothing at all"})
            await self.call("POST", path, content=f'{{"username": "{word}", "password": {word}')
        good = {"product_id": 15, "denomination": "25.00", "quantity": 1}
        for wrong in (
            *({**good, name: code} for name in ("product_id", "denomination", "quantity")),
            *({**good, name: code + "\n"} for name in ("ref", "on_partial", "deliver_by", "email")),
            *({**good, code: 1}, {**good, "metadata": {code: "\x00"}}, {**good, "wallet_id": code}),
            {**good, "claim_password": code},
        ):
            assert (await self.call("POST", ORDERS, json=wrong)).status_code == 400
        for content in (code, f'{{"product_id": 15, "{code}"', f'["{code}"]', f"\xff{code}"):
            await self.call("POST", ORDERS, content=content.encode("latin-1"))
        for path in (
            *(f"{ORDERS}/{code}", f"{ORDERS}/{code}/history", f"/{code}", f"/api/v1/{code}"),
            *(f"{ORDERS}?{name}={code}" for name in ("cursor", "status", "page", "placed_from")),
            *(f"/api/v1/wallets/{code}", f"/api/v1/products/{code}", f"{ADMIN}/orders/{code}"),
        ):
            await self.call("GET", path)
        for headers in (
            {"X-API-Key": code},
            {"X-API-Secret": code},
            {"Authorization": f"Bearer {code}", "X-API-Key": "", "X-API-Secret": ""},
            {"X-Request-Id": f"{code} {code}"},
            {"Idempotency-Key": f"{code}\xe9"},
        ):
            sent = {name: value.encode("latin-1") for name, value in headers.items()}
            await self.call("POST", ORDERS, content="{}", headers=sent)

    async def break_things(self) -> None:
        """What nobody expects: a table that is gone, ids that are taken, a connection that dies."""
        body = {"product_id": 15, "denomination": "25.00", "quantity": 1}
        await self.owner.execute("ALTER TABLE order_tallies RENAME TO order_tallies_away")
        lost = [await self.call("POST", ORDERS, json=body) for _ in range(2)]
        await self.owner.execute("ALTER TABLE order_tallies_away RENAME TO order_tallies")
        await self.owner.execute("ALTER TABLE order_items RENAME TO order_items_away")
        lost.append(await self.call("GET", f"{ORDERS}/1"))
        await self.owner.execute("ALTER TABLE order_items_away RENAME TO order_items")
        for sequence in ("orders_id_seq", "units_id_seq"):
            kept = await self.owner.fetchval(f"SELECT last_value FROM {sequence}")
            await self.owner.execute("SELECT setval($1::text::regclass, 1, false)", sequence)
            if sequence == "orders_id_seq":
                lost.append(await self.call("POST", ORDERS, json=body))
            else:
                rows = list(self.rows(15, "25.00", CODE, 3))
                assert (await self.load(CODE, rows))["code"] == "INTERNAL"
            await self.owner.execute(
                "SELECT setval($1::text::regclass, $2::bigint)", sequence, kept
            )
        assert {answer.status_code for answer in lost} == {500}, [a.text for a in lost]


def read_card(home: Path) -> dict[str, Any]:
    card: dict[str, Any] = json.loads((home / "sandbox.json").read_text())
    return card
