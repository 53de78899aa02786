"""The OpenAPI document shows the bodies that handlers decode and encode themselves."""

from decimal import Decimal
from typing import Any

import msgspec
from litestar import Litestar, Response, post

from rewards.infra.http import encode
from rewards.infra.openapi import DecimalsAreNumbers, answers, takes, takes_file


class Part(msgspec.Struct):
    count: int = 3


class Ask(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    part: Part | None = None


class Answer(msgspec.Struct):
    amount: Decimal


@post("/asks", status_code=200, operation_class=takes(Ask), responses=answers(Answer, 400))
async def ask() -> Response[bytes]:
    return encode(Answer(Decimal("1.50")))


@post(
    "/files",
    status_code=202,
    operation_class=takes_file({"name": "What to call it"}),
    responses=answers(Answer, 413, status=202),
)
async def send_file() -> Response[bytes]:
    return encode(Answer(Decimal("1.50")), 202)


def document() -> dict[str, Any]:
    app = Litestar([ask, send_file], plugins=[DecimalsAreNumbers()])
    return app.openapi_schema.to_schema()


def test_a_body_is_documented_whole_and_closed() -> None:
    operation = document()["paths"]["/asks"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["name"]
    assert schema["properties"]["part"]["anyOf"][0]["properties"] == {
        "count": {"type": "integer", "default": 3}
    }
    assert sorted(operation["responses"]) == ["200", "400"]


def test_money_is_a_number_in_the_document_as_on_the_wire() -> None:
    shown = document()["components"]["schemas"]["Answer"]["properties"]["amount"]
    assert shown == {"type": "number"}


def test_a_form_with_a_file_is_documented() -> None:
    operation = document()["paths"]["/files"]["post"]
    form = operation["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["required"] == ["file"]
    assert form["properties"]["file"]["format"] == "binary"
    assert sorted(operation["responses"]) == ["202", "413"]
