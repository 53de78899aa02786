"""What callers send by mistake or on purpose, as tables of JSON texts and whole bodies."""

import gzip
import json
from dataclasses import dataclass, field
from typing import Any

from tests.http.calling import Api

# One JSON value each, as it would stand in a body.
VALUES = {
    "null": "null",
    "true": "true",
    "array": "[]",
    "array of one": "[1]",
    "object": "{}",
    "strange object": '{"x": 1}',
    "empty": '""',
    "blank": '" "',
    "text": '"no such thing"',
    "too long": '"' + "x" * 100_000 + '"',
    "control": '"a\\u0000b"',
    "line end": '"a\\nb"',
    "raw control": '"a\x01b"',
    "surrogate": '"a\\ud800b"',
    "NaN": "NaN",
    "Infinity": "Infinity",
    "text NaN": '"NaN"',
    "text Infinity": '"-Inf"',
    "beyond float": "1e309",
    "far below": "1e-999999999",
    "far above": "1E+999999999",
    "minus zero": "-0",
    "minus one": "-1",
    "fraction": "25.001",
    "tiny fraction": "1e-7",
    "30 digits": "1" * 30,
    "beyond 53 bits": str(2**53),
    "beyond 63 bits": str(2**63),
    "5,000 digits": "9" * 5_000,
    "text of 30 digits": '"' + "1" * 30 + '"',
    "hexadecimal": "0x10",
    "leading zero": "007",
    "arabic digits": '"٢٥"',
    "single quotes": "'x'",
    "nothing": "",
}
FINE_BODY = b'{"product_id": 6, "denomination": 25.00, "quantity": 1}'
DEEP = 100_000
# Whole bodies of POST /orders that nobody can read.
BODIES = {
    "empty": b"",
    "blank": b" \n",
    "null": b"null",
    "number": b"5",
    "text": b'"text"',
    "array": b"[]",
    "array of the body": b"[" + FINE_BODY + b"]",
    "two bodies": FINE_BODY + FINE_BODY,
    "cut off": FINE_BODY[:-1],
    "trailing comma": FINE_BODY[:-1] + b",}",
    "comment": FINE_BODY + b"//",
    "twin key": FINE_BODY[:-1] + b', "quantity": 2}',
    "twin key, escaped": FINE_BODY[:-1] + b', "quantit\\u0079": 2}',
    "twin key, deep": FINE_BODY[:-1] + b', "metadata": {"a": "1", "a": "2"}}',
    "unknown field": FINE_BODY[:-1] + b', "discount": 100}',
    "empty name": FINE_BODY[:-1] + b', "": 1}',
    "other case": FINE_BODY.replace(b"quantity", b"Quantity"),
    "deep arrays": b'{"product_id":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "deep objects": b'{"metadata":' + b'{"a":' * 40_000 + b"1" + b"}" * 40_000 + b"}",
    "deep and open": b"[" * DEEP,
    "invalid UTF-8": FINE_BODY[:-1] + b', "ref": "\xff\xfe"}',
    "overlong UTF-8": FINE_BODY[:-1] + b', "ref": "\xc0\xaf"}',
    "UTF-8 of a surrogate": FINE_BODY[:-1] + b', "ref": "\xed\xa0\x80"}',
    "UTF-8 with a mark": b"\xef\xbb\xbf" + FINE_BODY,
    "UTF-16": FINE_BODY.decode().encode("utf-16"),
    "UTF-32": FINE_BODY.decode().encode("utf-32"),
    "gzip": gzip.compress(FINE_BODY),
    "form": b"product_id=6&denomination=25.00&quantity=1",
    "XML": b"<order/>",
}


@dataclass(frozen=True)
class Asked:
    """A route with a body that it takes, and the values of VALUES that a field may have too."""

    method: str
    path: str
    body: dict[str, Any]
    may: dict[str, set[str]] = field(default_factory=dict)
    staff: bool = False

    def with_value(self, name: str, value: str) -> bytes:
        """The body as bytes, this field spelt as `value`."""
        pairs = [
            f"{json.dumps(key)}: {value if key == name else json.dumps(kept)}"
            for key, kept in self.body.items()
        ]
        return ("{" + ", ".join(pairs) + "}").encode()


ME = "/admin/api/v1/me"
NULL = {"null"}
TEXTS = {"text", "blank", "text NaN", "text Infinity", "arabic digits", "text of 30 digits"}
# Of 12 characters and more.
PASSWORD = {"text"}
FEE = {"null", "fraction", "minus zero"}
ORDER = Asked(
    "POST",
    "/api/v1/orders",
    {
        "product_id": 6,
        "denomination": 25.00,
        "quantity": 1,
        "wallet_id": None,
        "ref": None,
        "email": None,
        "mobile": None,
        "metadata": None,
        "on_partial": None,
        "deliver_by": None,
        "claim_password": None,
    },
    {
        "wallet_id": NULL,
        "ref": {"null", "blank", "text", "text NaN", "text Infinity", "arabic digits"}
        | {"text of 30 digits"},
        "email": NULL,
        "mobile": NULL,
        "metadata": {"null", "object"},
        "on_partial": NULL,
        "deliver_by": NULL,
        "claim_password": NULL,
    },
)
ASKED = [
    ORDER,
    Asked("POST", "/auth/login", {"username": "nobody", "password": "x" * 20}),
    Asked("POST", "/auth/refresh", {"refresh_token": "x" * 20}),
    Asked(
        "POST",
        "/admin/auth/login",
        {"username": "nobody", "password": "x" * 20, "code": None, "recovery_code": None},
    ),
    Asked("POST", f"{ME}/prove", {"password": "x" * 20, "code": None}, staff=True),
    Asked("POST", f"{ME}/password", {"old_password": "x", "new_password": "x" * 20}, staff=True),
    Asked("POST", f"{ME}/second-factor/confirm", {"code": "123456"}, staff=True),
    Asked(
        "POST",
        f"{ME}/second-factor/remove",
        {"code": None, "password": "x" * 20, "recovery_code": "A" * 16},
        staff=True,
    ),
    Asked(
        "POST",
        "/api/v1/products/6/charges",
        {"denomination": 25.00, "quantity": 1, "wallet_id": None},
        {"wallet_id": NULL},
    ),
    Asked(
        "POST",
        "/api/v1/products/6/availability",
        {"denomination": 25.00, "quantity": 1},
        # What nobody sells so many of is not available; that is an answer.
        {"quantity": {"beyond 53 bits", "beyond 63 bits", "30 digits"}},
    ),
    Asked(
        "POST",
        "/api/v1/webhooks",
        {"url": "https://shop.example/hooks", "name": "", "events": ["*"], "credential_id": None},
        {"name": TEXTS | {"empty"}, "credential_id": NULL},
    ),
    Asked(
        "POST",
        "/admin/api/v1/clients",
        {"name": "Bad input", "limits": {}, "allowed_ips": [], "conversion_fee_percent": 0},
        {
            "name": {"text", "text NaN", "text Infinity", "arabic digits"} | {"text of 30 digits"},
            "limits": {"object"},
            "allowed_ips": {"array"},
            "conversion_fee_percent": FEE,
        },
        staff=True,
    ),
    Asked(
        "PATCH",
        "/admin/api/v1/clients/{client}",
        {"name": None, "status": None, "limits": None, "allowed_ips": None}
        | {"conversion_fee_percent": None},
        {
            "name": {"null", "text", "text NaN", "text Infinity", "arabic digits"}
            | {"text of 30 digits"},
            "status": NULL,
            "limits": {"null", "object"},
            "allowed_ips": {"null", "array"},
            "conversion_fee_percent": FEE,
        },
        staff=True,
    ),
    Asked(
        "POST",
        "/admin/api/v1/clients/{client}/credentials",
        {"signing_required": False, "scopes": None},
        {"signing_required": {"true"}, "scopes": NULL},
        staff=True,
    ),
    Asked(
        "POST",
        "/admin/api/v1/clients/{client}/logins",
        {"username": "bad-input", "password": "a quiet one"},
        # Some of the texts are names that nobody has yet.
        {"username": {"text NaN", "text of 30 digits"}, "password": PASSWORD},
        staff=True,
    ),
    Asked(
        "POST",
        "/admin/api/v1/clients/{client}/wallets",
        {"currency": "USD", "type": "PREPAID", "credit_limit": None, "low_balance": None},
        {"credit_limit": NULL, "low_balance": {"null"}},
        staff=True,
    ),
    Asked(
        "POST",
        "/admin/api/v1/wallets/{wallet}/top-up",
        {"amount": 1, "reference": None, "note": None},
        {
            "reference": {"null", "text", "blank", "text NaN", "text Infinity", "arabic digits"}
            | {"text of 30 digits"},
            "note": {"null", "text", "blank", "text NaN", "text Infinity", "arabic digits"}
            | {"text of 30 digits"},
        },
        staff=True,
    ),
    Asked(
        "POST",
        "/admin/api/v1/wallets/{wallet}/adjust",
        {"direction": "CREDIT", "amount": 1, "note": "x", "reference": None},
        {"reference": TEXTS | NULL, "note": TEXTS},
        staff=True,
    ),
    Asked(
        "PATCH",
        "/admin/api/v1/wallets/{wallet}",
        {"status": None, "credit_limit": None, "low_balance": None, "reason": "x"},
        {"status": NULL, "credit_limit": NULL, "low_balance": NULL, "reason": TEXTS},
        staff=True,
    ),
    Asked(
        "PATCH",
        "/admin/api/v1/products/6",
        {
            "name": "Amazon Gift Card",
            "category_id": 1,
            "country": "US",
            "type": "VOUCHER",
            "delivery_type": "CODE_WITH_PIN",
            "voucher_fields": ["card_number", "pin_code", "voucher_reference_number"],
            "active": True,
            "max_quantity": None,
            "pool_target": 1000,
            # All it has: what is accepted here must leave the other tests their product.
            "denominations": [{"min_value": value} for value in (5, 10, 25, 50, 100)],
        },
        {
            "name": TEXTS - {"blank"},
            "active": {"true"},
            "max_quantity": NULL,
            "pool_target": {"minus zero"},
        },
        staff=True,
    ),
    Asked(
        "PATCH",
        "/admin/api/v1/products/6/pricing",
        {"handling_fee": 1, "tax_percent": 0, "vendor_discount_percent": None, "reason": "x"},
        {
            "tax_percent": {"minus zero", "fraction"},
            "handling_fee": {"minus zero"},
            "vendor_discount_percent": FEE,
            "reason": TEXTS - {"blank"},
        },
        staff=True,
    ),
    Asked(
        "PUT",
        "/admin/api/v1/products/6/visibility/{client}",
        {"visible": None},
        {"visible": {"null", "true"}},
        staff=True,
    ),
    Asked(
        "PUT",
        "/admin/api/v1/products/6/discounts/{client}",
        {"percent": 2},
        {"percent": FEE},
        staff=True,
    ),
    Asked(
        "POST",
        "/admin/api/v1/staff",
        {"username": "bad-input", "role": "viewer", "password": "a quiet one"},
        {"password": PASSWORD},
        staff=True,
    ),
    Asked(
        "PATCH",
        "/admin/api/v1/staff/{staff}",
        {"role": None, "active": None, "password": None},
        {"role": NULL, "active": {"null", "true"}, "password": PASSWORD | NULL},
        staff=True,
    ),
    Asked(
        "POST",
        "/admin/api/v1/inventory/pump",
        {"product_ids": [6]},
        {"product_ids": {"null", "array", "array of one"}},
        staff=True,
    ),
]


def at(path: str, api: Api) -> str:
    """The path with the ids of the sandbox."""
    return path.format(
        client=api.card["client"]["client_id"], wallet=api.card["wallets"]["USD"], staff=2, order=1
    )
