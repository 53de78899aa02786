"""Renders an OpenAPI document as one page that needs no script and nothing from elsewhere."""

import re
from functools import cache
from importlib import resources
from typing import Any

import msgspec
from jinja2 import Environment
from markupsafe import Markup, escape

from rewards.infra.http import ENCODER, ID_MAX, JSON
from rewards.infra.templates import templates

Json = dict[str, Any]
REF_PREFIX = "#/components/schemas/"
FIELD_DEPTH_MAX = 4
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "public, max-age=300",
}
CURL_AUTH = {
    "bearer": ['-H "Authorization: Bearer $TOKEN"'],
    "staff": ['-H "Authorization: Bearer $TOKEN"'],
    "apiKey": ['-H "X-API-Key: $API_KEY"', '-H "X-API-Secret: $API_SECRET"'],
}
BOUNDS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "above {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "default": "default {}",
}


def render(document: Json, source: str) -> bytes:
    """The page; `source` is where the document itself is served."""
    groups = [
        {
            "name": tag["name"].removesuffix(" (staff)"),
            "id": _slug(tag["name"]),
            "description": tag["description"],
            "operations": [
                _operation(path, method, operation)
                for path, item in document["paths"].items()
                for method, operation in item.items()
                if operation["tags"][0] == tag["name"]
            ],
        }
        for tag in document["tags"]
    ]
    shapes = [
        {
            "name": name,
            "fields": _fields(schema),
            "told": schema.get("description", ""),
            "values": schema.get("enum"),
        }
        for name, schema in document["components"]["schemas"].items()
    ]
    text = (
        _templates()
        .get_template("reference.html")
        .render(
            info=document["info"],
            schemes=document["components"]["securitySchemes"],
            groups=groups,
            shapes=shapes,
            source=source,
        )
    )
    return text.encode()


@cache
def style() -> bytes:
    """The style sheet of the page."""
    return (resources.files("rewards.entry") / "templates" / "reference.css").read_bytes()


@cache
def _templates() -> Environment:
    made = templates("rewards.entry")
    made.filters["prose"] = prose
    made.filters["code"] = code
    return made


def prose(text: str) -> Markup:
    """Paragraphs, and `code` between backticks."""
    parts = [str(escape(part)) for part in re.split(r"\n\s*\n", text.strip()) if part]
    shown = [re.sub(r"`([^`]+)`", r"<code>\1</code>", part) for part in parts]
    return Markup("\n".join(f"<p>{part}</p>" for part in shown))  # noqa: S704 - escaped above


def code(text: str) -> Markup:
    """One line of text, with `code` between backticks."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _operation(path: str, method: str, given: Json) -> Json:
    body = given.get("requestBody")
    media, content = next(iter(body["content"].items())) if body else ("", {})
    return {
        "id": given["operationId"],
        "path": path,
        "method": method.upper(),
        "summary": given["summary"],
        "description": given["description"],
        "open": not given["security"],
        "parameters": [
            {
                "name": each["name"],
                "place": each["in"],
                "required": each.get("required", False),
                "kind": kind(each["schema"]),
                "told": _told(each["description"], each["schema"]),
            }
            for each in given.get("parameters", ())
        ],
        "media": media,
        "fields": _fields(content.get("schema", {})),
        "responses": [_response(status, each) for status, each in given["responses"].items()],
        "curl": _curl(path, method, given, media, content),
    }


def _response(status: str, given: Json) -> Json:
    content = given.get("content", {}).get(JSON, {})
    examples = [_pretty(each["value"]) for each in content.get("examples", {}).values()] or (
        [_pretty(content["example"])] if "example" in content else []
    )
    return {
        "status": status,
        "told": given["description"],
        "kind": kind(content["schema"]) if content else "",
        "shape": _shape(content.get("schema", {})),
        "headers": [name for name in given["headers"] if name != "X-Request-Id"],
        "examples": examples,
    }


def _pretty(value: Any) -> str:
    return msgspec.json.format(ENCODER.encode(value), indent=2).decode()


def _shape(schema: Json) -> str:
    ref = str(schema.get("$ref") or schema.get("items", {}).get("$ref") or "")
    return ref.removeprefix(REF_PREFIX)


def _fields(schema: Json, within: str = "", depth: int = 0) -> list[Json]:
    """A line for each field, those of inner objects below their own."""
    lines = []
    required = schema.get("required", ())
    for name, shape in schema.get("properties", {}).items():
        lines.append(
            {
                "name": within + name,
                "required": name in required,
                "kind": kind(shape),
                "shape": _shape(_present(shape)),
                "told": _told(shape.get("description", ""), shape),
            }
        )
        inner = _present(shape)
        if "properties" in inner and depth < FIELD_DEPTH_MAX:
            lines += _fields(inner, f"{within}{name}.", depth + 1)
    return lines


def _present(shape: Json) -> Json:
    """The one thing it may be besides null, when it is one."""
    kinds = [each for each in _kinds(shape) if each.get("type") != "null"]
    return kinds[0] if len(kinds) == 1 else shape


def _kinds(shape: Json) -> list[Json]:
    found: list[Json] = shape.get("anyOf") or shape.get("oneOf") or []
    return found


def kind(shape: Json) -> str:
    """What a value is, in a word or a few."""
    if "$ref" in shape:
        return str(shape["$ref"]).removeprefix(REF_PREFIX)
    named = shape.get("type")
    if isinstance(named, list):
        return " or ".join(named)
    if named == "array":
        return f"list of {kind(shape.get('items', {}))}"
    if _kinds(shape):
        return " or ".join(dict.fromkeys(kind(each) for each in _kinds(shape)))
    if "enum" in shape and named is None:
        return "string"
    return {"date-time": "time", "date": "day"}.get(shape.get("format", ""), str(named or "any"))


def _told(description: str, shape: Json) -> str:
    bounds = [
        text.format(shape[name])
        for name, text in BOUNDS.items()
        # What any id may be says nothing.
        if shape.get(name) not in (None, ID_MAX)
    ]
    allowed = [str(each) for each in shape.get("enum", ()) if each is not None]
    parts = [description] if description else []
    if allowed:
        parts.append("One of " + ", ".join(f"`{each}`" for each in allowed))
    if bounds:
        parts.append((", ".join(bounds)).capitalize())
    return ". ".join(parts)


def _curl(path: str, method: str, given: Json, media: str, content: Json) -> str:
    for each in given.get("parameters", ()):
        if each["in"] == "path":
            path = path.replace("{" + each["name"] + "}", str(each["example"]))
    lines = [f"curl -X {method.upper()} https://api.example.com{path}"]
    if given["security"]:
        ways = [way for way in given["security"] if "apiKey" in way] or given["security"]
        lines += CURL_AUTH[next(iter(ways[0]))]
    if media == JSON:
        lines.append(f"-H 'Content-Type: {JSON}'")
        if "example" in content:
            lines.append(f"-d '{ENCODER.encode(content['example']).decode()}'")
    elif media:
        lines.append("-F file=@stock.csv")
    return " \\\n  ".join(lines)
