"""Whether an answer shows exactly what its document says, field by field."""

from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]
REF = "#/components/schemas/"


def strangers(value: Any, schema: Json, document: Json, place: str = "$") -> Iterator[str]:
    """Places in the value of fields that the schema does not tell of, or tells of and lacks."""
    schema = _named(schema, document)
    choices = schema.get("oneOf") or schema.get("anyOf")
    if choices:
        found = [list(strangers(value, each, document, place)) for each in choices]
        yield from min(found, key=len)
    elif not schema.keys() & {"type", "properties"}:
        return  # anything may stand there
    elif isinstance(value, dict):
        yield from _of_object(value, schema, document, place)
    elif isinstance(value, list):
        if schema.get("type") != "array":
            yield place
        for at, each in enumerate(value):
            yield from strangers(each, schema.get("items", {}), document, f"{place}[{at}]")
    elif schema.get("type") in ("object", "array"):
        yield place


def _of_object(value: Json, schema: Json, document: Json, place: str) -> Iterator[str]:
    known = schema.get("properties", {})
    others = schema.get("additionalProperties")
    for name, each in value.items():
        if name in known:
            yield from strangers(each, known[name], document, f"{place}.{name}")
        elif others is None or others is False:
            yield f"{place}.{name} is not told of"
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{place}.{name} is missing"


def _named(schema: Json, document: Json) -> Json:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].removeprefix(REF)]
    return schema


def objects(schema: Any, place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Json]]:
    """Each object in a body's schema that has fields of its own, and the way to it."""
    if not isinstance(schema, dict):
        return
    if "properties" in schema:
        yield place, schema
        for name, each in schema["properties"].items():
            yield from objects(each, (*place, name))
    for each in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        yield from objects(each, place)
    if "items" in schema:
        yield from objects(schema["items"], (*place, "[]"))
