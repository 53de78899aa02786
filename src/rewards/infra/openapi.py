"""What the OpenAPI document says of bodies that handlers read and answers they write themselves."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import cache
from typing import Any

import msgspec
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import (
    OpenAPIMediaType,
    OpenAPIType,
    Operation,
    Parameter,
    RequestBody,
    Schema,
)
from litestar.plugins import OpenAPISchemaPlugin
from litestar.typing import FieldDefinition

from rewards.core.page import PAGE_MAX
from rewards.infra.http import JSON, ErrorBody

DEPTH_MAX = 24
# What each refused status means, for a reader of the document.
REFUSALS = {
    400: "The request is malformed or breaks a rule; `message` says which",
    401: "No caller we know",
    403: "Known caller, missing permission",
    404: "There is no such thing, or it belongs to somebody else",
    409: "The subject is not in a state that allows this",
    410: "What was asked for is kept no longer; `details` say where to go on",
    413: "The body is too large",
    422: "The idempotency key was used with another body",
    429: "Too many requests; wait `Retry-After` seconds",
    503: "Temporarily unavailable; wait `Retry-After` seconds",
}


class DecimalsAreNumbers(OpenAPISchemaPlugin):
    """For the application's `plugins`: a Decimal is shown as `infra.http.encode` writes it."""

    @staticmethod
    def is_plugin_supported_type(value: Any) -> bool:
        return value is Decimal

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: Any) -> Schema:
        return Schema(type=OpenAPIType.NUMBER)


class _Written(Schema):
    """A JSON Schema that was made elsewhere and is shown as it is."""

    def __init__(self, written: dict[str, Any]) -> None:
        super().__init__()
        self._written = written

    def to_schema(self) -> dict[str, Any]:
        return self._written


def _inlined(part: Any, named: dict[str, Any], depth: int = 0) -> Any:
    assert depth < DEPTH_MAX, "request bodies are no trees"
    if isinstance(part, list):
        return [_inlined(one, named, depth + 1) for one in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        return _inlined(named[part["$ref"].rsplit("/", 1)[1]], named, depth + 1)
    return {key: _inlined(value, named, depth + 1) for key, value in part.items()}


def schema_of(body: Any) -> Schema:
    """The schema of a msgspec type, complete in itself."""
    [made], named = msgspec.json.schema_components((body,))
    return _Written(_inlined(made, named))


@cache
def takes(
    body: type[msgspec.Struct],
    media_type: str = JSON,
    *,
    required: bool = True,
    needs: tuple[str, ...] = (),
) -> type[Operation]:
    """For `operation_class`: the handler reads a body of this struct with `infra.http.decode`.

    `needs`: fields that are required though the struct has a default for them, so that the refusal
    can name the one that is missing.
    """
    schema = _demanding(schema_of(body).to_schema(), needs)
    return _operation(
        RequestBody(
            content={media_type: OpenAPIMediaType(schema=_Written(schema))}, required=required
        )
    )


def _demanding(schema: dict[str, Any], needs: tuple[str, ...]) -> dict[str, Any]:
    properties = {
        name: _present(shape) if name in needs else shape
        for name, shape in schema.get("properties", {}).items()
    }
    assert set(needs) <= set(properties), f"no such field: {needs}"
    required = [name for name in properties if name in {*needs, *schema.get("required", ())}]
    kept = {key: value for key, value in schema.items() if key != "required"}
    return kept | {"properties": properties} | ({"required": required} if required else {})


def _present(shape: dict[str, Any]) -> dict[str, Any]:
    """The shape without its default and without null."""
    kept = {key: value for key, value in shape.items() if key != "default"}
    kinds = [each for each in kept.get("anyOf", ()) if each != {"type": "null"}]
    if len(kinds) == 1:
        del kept["anyOf"]
        kept = kinds[0] | kept
    return kept


def asks(query: dict[str, dict[str, Any]]) -> type[Operation]:
    """For `operation_class`: the handler reads these of `request.query_params`; name to schema."""
    return _operation(None, _parameters(query))


def _parameters(query: dict[str, dict[str, Any]]) -> list[Parameter]:
    return [
        Parameter(
            name=name,
            param_in="query",
            required=False,
            description=schema.get("description"),
            schema=_Written({key: schema[key] for key in schema if key != "description"}),
        )
        for name, schema in query.items()
    ]


def whole_number(
    description: str, *, maximum: int, default: int | None = None, minimum: int = 1
) -> dict[str, Any]:
    """The schema of a query parameter that `infra.http.whole` reads."""
    schema = {
        "type": "integer",
        "minimum": minimum,
        "maximum": maximum,
        "description": description,
    }
    return schema if default is None else schema | {"default": default}


def choice(kind: type[StrEnum], description: str) -> dict[str, Any]:
    """The schema of a query parameter that takes the members of `kind` in any case."""
    return {"type": "string", "enum": [str(each) for each in kind], "description": description}


PAGE = whole_number("Page, from 1", maximum=PAGE_MAX, default=1)


def takes_file(
    fields: dict[str, str], file_field: str = "file", query: dict[str, dict[str, Any]] | None = None
) -> type[Operation]:
    """For `operation_class`: a multipart form: one file, and text fields (name to description)."""
    properties: dict[str, Any] = {
        file_field: {"type": "string", "format": "binary", "description": "The file"}
    }
    properties |= {name: {"type": "string", "description": told} for name, told in fields.items()}
    form = _Written({"type": "object", "required": [file_field], "properties": properties})
    return _operation(
        RequestBody(content={"multipart/form-data": OpenAPIMediaType(schema=form)}, required=True),
        _parameters(query or {}),
    )


def _operation(documented: RequestBody | None, asked: Sequence[Parameter] = ()) -> type[Operation]:
    @dataclass
    class Documented(Operation):
        def __post_init__(self) -> None:
            self.request_body = documented
            if asked:
                self.parameters = [*(self.parameters or ()), *asked]

    return Documented


def answers(body: Any, *refused: int, status: int = 200, told: str = "") -> dict[int, ResponseSpec]:
    """For a handler's `responses`: the answer's struct, and the statuses it may refuse with.

    The handler says `status_code=` the same `status`, else the framework lists one of its own too.
    """
    documented = {status: ResponseSpec(body, generate_examples=False, description=told or "Done")}
    for code in refused:
        documented[code] = ResponseSpec(
            ErrorBody, generate_examples=False, description=REFUSALS[code]
        )
    return documented
