"""`/webhooks` over HTTP: shapes, secrets, refusals, whose they are, and what the trail says."""

import base64
from typing import Any

import pytest

from rewards.clients import service as clients
from rewards.webhooks import secrets
from rewards.webhooks.model_endpoints import ENDPOINTS_MAX, SUBSCRIBABLE
from tests.webhooks.subscriber import URL, Subscriber

NO_WEBHOOK = (404, "Webhook not found", "WEBHOOK_NOT_FOUND")
NO_DELIVERY = (404, "Delivery not found", "DELIVERY_NOT_FOUND")
DISABLED = (409, "The webhook is disabled; enable it first", "WEBHOOK_DISABLED")
SHOWN: dict[str, Any] = {
    "id": 1,
    "name": "",
    "url": URL,
    "events": ["*"],
    "credential_id": None,
    "previous_secret_until": None,
    "status": "ENABLED",
    "disabled_reason": None,
    "disabled_at": None,
    "failing_since": None,
    "created_at": "2026-11-21T12:00:00Z",
    "updated_at": "2026-11-21T12:00:00Z",
}


async def test_a_webhook_is_created_shown_changed_and_deleted(shop: Subscriber) -> None:
    made = await shop.post(body={"url": URL})
    assert (made.status, made.headers["Cache-Control"]) == (201, "no-store")
    secret = made.body["secret"]
    assert made.body == SHOWN | {"secret": secret}
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32
    one = await shop.get("/1")
    assert (one.status, one.body) == (200, SHOWN)
    listed = await shop.get()
    assert (listed.body, listed.headers["X-Total-Count"]) == ([SHOWN], "1")
    shop.clock.advance(minutes=1)
    change = {"name": "Shop", "events": ["order.FAILED", "order.created", "order.failed"]}
    changed = await shop.call("PATCH", "/1", change)
    after = SHOWN | {
        "name": "Shop",
        "events": ["order.created", "order.failed"],
        "updated_at": "2026-11-21T12:01:00Z",
    }
    assert (changed.status, changed.body) == (200, after)
    # A change of nothing is none.
    assert (await shop.call("PATCH", "/1", {})).body == after
    shop.clock.advance(minutes=1)
    assert (await shop.call("PATCH", "/1", {"name": "Shop"})).body == after
    gone = await shop.call("DELETE", "/1")
    assert (gone.status, gone.text) == (204, "")
    assert (await shop.get("/1")).refusal == NO_WEBHOOK
    assert (await shop.call("DELETE", "/1")).refusal == NO_WEBHOOK
    assert (await shop.get()).body == []


async def test_the_trail_says_what_was_done_and_no_secret(shop: Subscriber) -> None:
    secret = (await shop.post(body={"url": URL, "name": "Shop"})).body["secret"]
    await shop.call("PATCH", "/1", {"url": URL + "-and-more", "events": ["order.failed"]})
    await shop.call("PATCH", "/1", {"status": "disabled"})
    await shop.call("PATCH", "/1", {"status": "ENABLED"})
    await shop.post("/1/test")
    newer = (await shop.post("/1/rotate-secret")).body["secret"]
    await shop.call("DELETE", "/1")
    trail = await shop.audit()
    assert [(row["action"], row["facts"]) for row in trail] == [
        (
            "webhook.created",
            {
                "name": "Shop",
                "host": "shop.example",
                "events": ["*"],
                "credential_id": None,
                "status": "ENABLED",
            },
        ),
        ("webhook.changed", {"events": {"from": ["*"], "to": ["order.failed"]}, "url": "changed"}),
        ("webhook.changed", {"status": {"from": "ENABLED", "to": "DISABLED"}}),
        ("webhook.changed", {"status": {"from": "DISABLED", "to": "ENABLED"}}),
        ("webhook.tested", {"event_id": 1}),
        ("webhook.secret_rotated", {"previous_until": "2026-11-22T12:00:00+00:00"}),
        (
            "webhook.deleted",
            {
                "name": "Shop",
                "host": "shop.example",
                "events": ["order.failed"],
                "credential_id": None,
                "status": "ENABLED",
            },
        ),
    ]
    for row in trail:
        assert (row["actor_kind"], row["actor_id"]) == ("CLIENT", shop.ids[1])
        assert (row["subject_kind"], row["subject_id"]) == ("webhook", 1)
        assert row["client_id"] == shop.ids[1]
        assert row["request_id"]
    said = str(trail)
    assert not any(word in said for word in (secret[6:], newer[6:], "4711-private"))
    [left] = await shop.rows("SELECT secret, previous_secret FROM webhook_endpoints")
    assert left == {"secret": b"", "previous_secret": None}


REFUSED: list[tuple[Any, str, str]] = [
    ({}, "Invalid Url: required", "INVALID_FIELD"),
    ({"url": ""}, "Invalid Url: required", "INVALID_FIELD"),
    ({"url": "http://shop.example/"}, "Invalid Url: https", "INVALID_FIELD"),
    ({"url": "https://127.0.0.1/"}, "Invalid Url: target", "INVALID_FIELD"),
    ({"url": "https://[::1]/"}, "Invalid Url: target", "INVALID_FIELD"),
    ({"url": "https://user@shop.example/"}, "Invalid Url: url", "INVALID_FIELD"),
    ({"url": "https://shop.example:5432/"}, "Invalid Url: port", "INVALID_FIELD"),
    ({"url": "https://shop.example/" + "x" * 2_048}, "Invalid Url: max", "INVALID_FIELD"),
    ({"url": URL, "name": "x" * 101}, "Invalid Name: max", "INVALID_FIELD"),
    ({"url": URL, "name": "a\x00b"}, "Invalid Name: printable", "INVALID_FIELD"),
    ({"url": URL, "events": []}, "Invalid Events: required", "INVALID_FIELD"),
    ({"url": URL, "events": ["*"] * 51}, "Invalid Events: max", "INVALID_FIELD"),
    ({"url": URL, "events": ["order.lost"]}, "Invalid Events: oneof", "INVALID_FIELD"),
    ({"url": URL, "events": ["*", "order.created"]}, "Invalid Events: oneof", "INVALID_FIELD"),
    ({"url": URL, "events": ["webhook.test"]}, "Invalid Events: oneof", "INVALID_FIELD"),
    ({"url": URL, "credential_id": 0}, "Invalid CredentialId: range", "INVALID_FIELD"),
    ({"url": URL, "secret": "whsec_"}, "Invalid request body format", "INVALID_BODY"),
    ({"url": 5}, "Invalid request body format", "INVALID_BODY"),
    ({"url": URL, "events": "order.created"}, "Invalid request body format", "INVALID_BODY"),
]


async def test_what_no_webhook_may_be_is_refused_and_changes_nothing(shop: Subscriber) -> None:
    made = await shop.endpoint()
    before = await shop.everything()
    for body, message, code in REFUSED:
        answer = await shop.post(body=body)
        assert answer.refusal == (400, message, code), body
        assert "4711-private" not in answer.text
        if body.get("url") and "credential_id" not in body and "secret" not in body:
            changed = await shop.call("PATCH", f"/{made}", body)
            assert changed.refusal == (400, message, code), body
    wrong = await shop.call("PATCH", f"/{made}", {"status": "GONE"})
    assert wrong.refusal == (400, "Invalid Status: oneof", "INVALID_FIELD")
    allowed = (await shop.post(body={"url": URL, "events": ["x"]})).body["details"]["allowed"]
    assert allowed == ["*", *SUBSCRIBABLE]
    assert await shop.everything() == before


async def test_a_client_has_so_many_and_no_more(shop: Subscriber) -> None:
    for _ in range(ENDPOINTS_MAX - 1):
        await shop.endpoint()
    assert (await shop.post(body={"url": URL})).status == 201
    before = await shop.everything()
    refused = await shop.post(body={"url": URL})
    assert refused.refusal == (
        409,
        f"A client has at most {ENDPOINTS_MAX} webhooks",
        "TOO_MANY_WEBHOOKS",
    )
    assert await shop.everything() == before
    assert (await shop.post(body={"url": URL}, who=2)).status == 201
    await shop.call("DELETE", "/1")
    assert (await shop.post(body={"url": URL})).status == 201
    page = await shop.get(limit=8, page=3)
    assert [each["id"] for each in page.body] == [18, 19, 20, 22]
    assert (page.headers["X-Total-Count"], page.headers["X-Has-More"]) == ("20", "false")


async def test_a_credentials_signing_secret_may_sign(shop: Subscriber) -> None:
    """It is shown nowhere; a rotation gives the webhook one of its own, and both sign for a day."""
    own = shop.credentials[1]
    made = await shop.post(body={"url": URL, "credential_id": own})
    assert made.body == SHOWN | {"credential_id": own, "secret": None}
    parts = shop.parts
    async with parts.db.transaction() as tx:
        [lent] = await clients.signing_keys(tx, parts.vault, [own])
        assert lent is not None
        assert await secrets.signing_keys(tx, parts.vault, [1], shop.clock.now()) == [(lent,)]
    rotated = await shop.post("/1/rotate-secret")
    assert (rotated.status, rotated.headers["Cache-Control"]) == (200, "no-store")
    key = base64.b64decode(rotated.body["secret"].removeprefix("whsec_"))
    async with parts.db.transaction() as tx:
        assert await secrets.signing_keys(tx, parts.vault, [1], shop.clock.now()) == [(key, lent)]
    assert (await shop.get("/1")).body["credential_id"] is None


async def test_no_other_credential_signs(shop: Subscriber) -> None:
    foreign, own = shop.credentials[2], shop.credentials["reader"]
    async with shop.parts.db.transaction() as tx:
        await clients.revoke_credential(tx, own, shop.clock.now())
    before = await shop.everything()
    for credential_id in (foreign, own, 999_999):
        answer = await shop.post(body={"url": URL, "credential_id": credential_id})
        assert answer.refusal == (404, "Credential not found", "CREDENTIAL_NOT_FOUND")
    assert await shop.everything() == before


async def test_a_revoked_credential_signs_no_more(shop: Subscriber) -> None:
    """Disabled for it, a webhook cannot be enabled before it has another secret."""
    own = shop.credentials["reader"]
    await shop.endpoint(credential_id=own)
    async with shop.parts.db.transaction() as tx:
        await clients.revoke_credential(tx, own, shop.clock.now())
        keys = await secrets.signing_keys(tx, shop.parts.vault, [1, 99], shop.clock.now())
        assert keys == [(), ()]
    await shop.call("PATCH", "/1", {"status": "DISABLED"})
    before = await shop.everything()
    refused = await shop.call("PATCH", "/1", {"status": "ENABLED"})
    assert refused.refusal[0] == 409
    assert refused.refusal[2] == "SIGNING_CREDENTIAL_REVOKED"
    assert await shop.everything() == before
    rotated = await shop.post("/1/rotate-secret")
    assert rotated.body["previous_secret_until"] is None
    assert (await shop.call("PATCH", "/1", {"status": "ENABLED"})).body["status"] == "ENABLED"


async def test_a_rotation_signs_with_both_for_a_day(shop: Subscriber) -> None:
    """A second one inside the window is refused; one for a secret that leaked is not (T41)."""
    first = (await shop.post(body={"url": URL})).body["secret"]
    second = (await shop.post("/1/rotate-secret", {})).body
    assert second["previous_secret_until"] == "2026-11-22T12:00:00Z"
    assert second["secret"] != first
    assert await keys_of(shop) == [second["secret"], first]
    shop.clock.advance(hours=23, minutes=59)
    before = await shop.everything()
    refused = await shop.post("/1/rotate-secret")
    assert refused.refusal == (
        409,
        "The secret was rotated less than 24 hours ago",
        "SECRET_ROTATION_UNDER_WAY",
    )
    assert refused.body["details"] == {"until": "2026-11-22T12:00:00+00:00"}
    assert await shop.everything() == before
    shop.clock.advance(minutes=1)
    assert await keys_of(shop) == [second["secret"]]
    third = (await shop.post("/1/rotate-secret")).body["secret"]
    assert await keys_of(shop) == [third, second["secret"]]
    leaked = await shop.post("/1/rotate-secret", {"revoke_previous": True})
    assert leaked.body["previous_secret_until"] is None
    assert await keys_of(shop) == [leaked.body["secret"]]


async def keys_of(shop: Subscriber) -> list[str]:
    async with shop.parts.db.transaction() as tx:
        [keys] = await secrets.signing_keys(tx, shop.parts.vault, [1], shop.clock.now())
    return ["whsec_" + base64.b64encode(key).decode() for key in keys]


async def test_a_disabled_webhook_says_why_and_is_enabled_again(shop: Subscriber) -> None:
    await shop.endpoint()
    await shop.rows("UPDATE webhook_endpoints SET failing_since = $1", shop.clock.now())
    off = (await shop.call("PATCH", "/1", {"status": "DISABLED"})).body
    assert (off["status"], off["disabled_reason"]) == ("DISABLED", "CLIENT")
    assert off["disabled_at"] == "2026-11-21T12:00:00Z"
    assert off["failing_since"] is not None
    assert (await shop.post("/1/test")).refusal == DISABLED
    assert (await shop.post("/1/recover", {"since": "2026-11-21T00:00:00Z"})).refusal == DISABLED
    on = (await shop.call("PATCH", "/1", {"status": "enabled"})).body
    assert on == SHOWN


async def test_another_url_begins_with_a_clean_slate(shop: Subscriber) -> None:
    await shop.endpoint()
    await shop.rows("UPDATE webhook_endpoints SET failing_since = $1", shop.clock.now())
    same = (await shop.call("PATCH", "/1", {"name": "x"})).body
    assert same["failing_since"] is not None
    other = (await shop.call("PATCH", "/1", {"url": "https://other.example/"})).body
    assert other["failing_since"] is None


async def test_a_test_is_an_event_for_this_webhook_alone(shop: Subscriber) -> None:
    await shop.endpoint()
    await shop.endpoint(events=("order.created",))
    answer = await shop.post("/2/test")
    assert answer.status == 202
    assert answer.body == {"webhook_id": 2, "event_id": "evt_1", "event": "webhook.test"}
    [event] = await shop.rows("SELECT client_id, type, order_id, endpoint_id, data FROM events")
    assert event == {
        "client_id": shop.ids[1],
        "type": "webhook.test",
        "order_id": None,
        "endpoint_id": 2,
        "data": {"webhook_id": 2, "message": "Sent because somebody asked for a test"},
    }


ROUTES = (
    ("GET", "/{id}", None),
    ("PATCH", "/{id}", {"name": "x"}),
    ("DELETE", "/{id}", None),
    ("POST", "/{id}/test", None),
    ("POST", "/{id}/rotate-secret", None),
    ("GET", "/{id}/deliveries", None),
    ("POST", "/{id}/recover", {"since": "2026-11-21T00:00:00Z"}),
    ("GET", "/deliveries/{id}", None),
    ("POST", "/deliveries/{id}/redeliver", None),
)


async def test_what_is_not_yours_is_as_unknown(shop: Subscriber) -> None:
    await shop.endpoint(who=2)
    await shop.queued(1, "FAILED", who=2)
    before = await shop.everything()
    for method, path, body in ROUTES:
        answers = set()
        for name in (1, 999, 0, -1, "x", "9" * 30):
            answer = await shop.call(method, path.format(id=name), body)
            assert answer.refusal == (NO_DELIVERY if "/deliveries/" in path else NO_WEBHOOK)
            answers.add(frozenset(set(answer.headers) - {"X-Request-Id"}))
        assert len(answers) == 1, path
    assert await shop.everything() == before
    assert (await shop.get()).body == []


async def test_every_route_asks_who_and_whether_they_may(shop: Subscriber) -> None:
    await shop.endpoint()
    await shop.queued(1, "FAILED")
    before = await shop.everything()
    for method, path, body in (*ROUTES, ("GET", "", None), ("POST", "", {"url": URL})):
        where = path.format(id=1)
        assert (await shop.call(method, where, body, who="nobody")).status == 401
        assert (await shop.call(method, where, body, who="narrow")).refusal[0] == 403
        reader = await shop.call(method, where, body, who="reader")
        assert reader.status == (200 if method == "GET" else 403), (method, path)
    assert await shop.everything() == before


@pytest.mark.parametrize("secret", [None, "credential"])
async def test_no_answer_but_two_ever_shows_a_secret(shop: Subscriber, secret: str | None) -> None:
    borrowed = shop.credentials[1] if secret else None
    made = await shop.post(body={"url": URL, "credential_id": borrowed})
    shown = [made.body["secret"] or "", (await shop.post("/1/rotate-secret")).body["secret"]]
    said = [(await shop.get(path)).text for path in ("", "/1", "/1/deliveries")]
    said.append((await shop.call("PATCH", "/1", {"name": "other"})).text)
    for text in said:
        assert "whsec_" not in text
        assert not any(each and each[6:] in text for each in shown)
