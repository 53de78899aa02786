"""What the OpenAPI document says of bodies that handlers read and answers they write themselves."""

from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any

import msgspec
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema
from litestar.plugins import OpenAPISchemaPlugin
from litestar.typing import FieldDefinition

from rewards.infra.http import JSON, ErrorBody

DEPTH_MAX = 24
# What each refused status means, for a reader of the document.
REFUSALS = {
    400: "The request is malformed or breaks a rule; `message` says which",
    401: "No caller we know",
    403: "Known caller, missing permission",
    404: "There is no such thing, or it belongs to somebody else",
    409: "The subject is not in a state that allows this",
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
    body: type[msgspec.Struct], media_type: str = JSON, *, required: bool = True
) -> type[Operation]:
    """For `operation_class`: the handler reads a body of this struct with `infra.http.decode`."""
    documented = RequestBody(
        content={media_type: OpenAPIMediaType(schema=schema_of(body))}, required=required
    )
    return _operation(documented)


def takes_file(fields: dict[str, str], file_field: str = "file") -> type[Operation]:
    """For `operation_class`: a multipart form: one file, and text fields (name to description)."""
    properties: dict[str, Any] = {
        file_field: {"type": "string", "format": "binary", "description": "The file"}
    }
    properties |= {name: {"type": "string", "description": told} for name, told in fields.items()}
    form = _Written({"type": "object", "required": [file_field], "properties": properties})
    return _operation(
        RequestBody(content={"multipart/form-data": OpenAPIMediaType(schema=form)}, required=True)
    )


def _operation(documented: RequestBody) -> type[Operation]:
    @dataclass
    class Documented(Operation):
        def __post_init__(self) -> None:
            self.request_body = documented

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
