"""Turns what the framework knows of our routes into the two OpenAPI documents; pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rewards.entry.example import error_examples
from rewards.infra.http import ID_MAX, JSON

Json = dict[str, Any]
ERROR = {"$ref": "#/components/schemas/ErrorBody"}
REF_PREFIX = "#/components/schemas/"
HTTP_METHODS = ("get", "post", "put", "patch", "delete")
# Statuses any route may answer besides its own, and what they mean.
FAILED = {
    "500": "A fault of ours; nothing was changed",
    "503": "Temporarily unavailable; wait `Retry-After` seconds",
}
TOO_LARGE = {"413": "The body is too large"}


def _number(description: str) -> Json:
    return {"description": description, "schema": {"type": "integer", "minimum": 0}}


REQUEST_ID = {
    "X-Request-Id": {
        "description": "Yours, or one that was made; tell it when you ask for help",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
        "required": True,
    }
}
RETRY_AFTER = {"Retry-After": _number("Seconds to wait")}
LIMITS = {
    "X-RateLimit-Limit": _number("Requests you may send in the window"),
    "X-RateLimit-Remaining": _number("Requests left in it"),
    "X-RateLimit-Reset": _number("Unix second at which the next one is let through"),
}
PAGING = {
    "X-Per-Page": _number("Items a page"),
    "X-Page-Size": _number("Items on this page"),
    "X-Has-More": {"description": "Whether more follow", "schema": {"type": "boolean"}},
    "Link": {"description": "next, prev, first and last (RFC 8288)", "schema": {"type": "string"}},
}
NUMBERED = {
    "X-Page": _number("This page"),
    "X-Total-Count": _number("Items altogether"),
    "X-Total-Pages": _number("Pages altogether"),
}
FOLLOWING = {
    "X-Next-After": _number("The next `after`"),
    "X-Last-Sequence": _number("The last event there is now"),
    "Link": {"description": "next (RFC 8288)", "schema": {"type": "string"}},
}
TEXT: Json = {"schema": {"type": "string"}}
# What is answered as CSV too where that is asked for, and what is never JSON.
ALSO_CSV: Json = {
    name: {"text/csv": TEXT}
    for name in (
        *("listWallets", "listTransactions", "findWallets", "listWalletTransactions"),
        *("listLedgerAccounts", "listRefundsOwed", "makeStatement"),
    )
}
FILES: Json = {
    "exportAuditTrail": {"application/x-ndjson": TEXT, "text/csv": TEXT},
    "downloadReport": {"text/csv": TEXT},
}
CURSOR = {"X-Next-Cursor": {"description": "The next `cursor`", "schema": {"type": "string"}}}
SEARCHED = {
    "X-Searched-To": {
        "description": "Where a search for something rare was broken off: what was placed then; the"
        " next page goes on from there",
        "schema": {"type": "string", "format": "date-time"},
    }
}
LIMITED = ("createOrder", "login", "staffLogin")
IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Makes the call safe to repeat: the same key and body repeat the first answer,"
    " for 30 days",
    "schema": {
        "type": "string",
        "minLength": 8,
        "maxLength": 255,
        "pattern": "^[!-~]([ -~]*[!-~])?$",
    },
}
REPLAYED = {
    "Idempotent-Replayed": {
        "description": "true: this answer was given before",
        "schema": {"type": "string", "enum": ["true"]},
    }
}


@dataclass(frozen=True, slots=True)
class Side:
    """Whom a document is for."""

    title: str
    description: str
    # Of the paths that belong to it; the client's has all that are not the staff's.
    prefix: str
    tags: Mapping[str, str]
    schemes: tuple[str, ...]


def describe(
    whole: Json, side: Side, staff_prefix: str, examples: Mapping[str, Mapping[str, Any]]
) -> Json:
    """The document of one side: complete, without what belongs to the other.

    `whole` is the framework's document of all routes, `examples` real bodies by operation id.
    """
    paths: Json = {}
    for path, item in whole["paths"].items():
        if path.startswith(staff_prefix) is (side.prefix == staff_prefix):
            paths[path] = {
                method: _operation(path, item[method], examples)
                for method in HTTP_METHODS
                if method in item
            }
    tags = {tag for _, _, operation in operations(paths) for tag in operation["tags"]}
    assert tags <= set(side.tags), f"nothing is told of {tags - set(side.tags)}"
    used = [tag for tag in side.tags if tag in tags]
    named = whole["components"]["schemas"]
    schemas = {name: named[name] for name in sorted(_reached(paths, named))}
    schemes = whole["components"]["securitySchemes"]
    return {
        "openapi": "3.1.0",
        "info": {"title": side.title, "version": "1.0.0", "description": side.description},
        "servers": [{"url": "/", "description": "The server that serves this document"}],
        "tags": [{"name": tag, "description": side.tags[tag]} for tag in used],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {name: schemes[name] for name in side.schemes},
        },
    }


def operations(paths: Json) -> Iterator[tuple[str, str, Json]]:
    """Path, method and operation, in the document's order."""
    for path, item in paths.items():
        for method, operation in item.items():
            yield path, method, operation


def _operation(path: str, given: Json, examples: Mapping[str, Mapping[str, Any]]) -> Json:
    name = given["operationId"]
    shown = examples.get(name, {})
    security = _security(given.get("security"))
    made: Json = {
        "operationId": name,
        "tags": given.get("tags", ["Health"]),
        "summary": given["summary"] if " " in given["summary"] else _words(name),
        "description": given.get("description", ""),
        "security": security,
    }
    parameters = [_parameter(each) for each in given.get("parameters", ())]
    if name == "createOrder":
        parameters.append(IDEMPOTENCY_KEY)
    if parameters:
        made["parameters"] = parameters
    if "requestBody" in given:
        made["requestBody"] = _with_example(given["requestBody"], shown.get("request"))
    queries = {each["name"] for each in parameters if each["in"] == "query"}
    made["responses"] = {
        status: _response(path, name, status, answer, queries, shown)
        for status, answer in sorted(_answers(given, secured=bool(security)).items())
    }
    return made


def _words(operation_id: str) -> str:
    words = re.findall(r"[A-Z]?[a-z]+", operation_id)
    return " ".join(words).lower().capitalize()


def _security(given: Sequence[Json] | None) -> list[Json]:
    """Each way in once; none for a route that is open to everybody."""
    ways: list[Json] = []
    for way in given or ():
        if not way:
            return []
        if way not in ways:
            ways.append(way)
    return ways


def _parameter(given: Json) -> Json:
    schema = dict(given["schema"])
    kinds = schema.pop("oneOf", None)
    if kinds is not None and "type" not in schema and "enum" not in schema:
        schema["type"] = "string"
    schema.pop("description", None)
    if given["in"] == "path":
        schema = {"type": "integer", "minimum": 1, "maximum": ID_MAX}
    description = given.get("description") or f"Id of the {given['name'].removesuffix('_id')}"
    made: Json = {"name": given["name"], "in": given["in"], "description": description}
    if given["in"] == "query":
        # An empty one counts as absent, everywhere.
        made["allowEmptyValue"] = True
    if given["in"] == "path":
        made["required"] = True
        made["example"] = 6 if given["name"] == "product_id" else 1
    return made | {"schema": schema}


def _answers(given: Json, *, secured: bool) -> Json:
    """The documented answers, without the framework's own, with those that any route may give."""
    answers = {
        status: answer
        for status, answer in given["responses"].items()
        if status < "300" or _schema(answer) == ERROR
    }
    more = dict(FAILED)
    if "requestBody" in given:
        more |= TOO_LARGE
    if secured:
        more |= {"401": "No caller we know", "403": "Known caller, missing permission"}
    for status, told in more.items():
        answers.setdefault(
            status, {"description": told, "content": {JSON: {"schema": ERROR}}, "headers": {}}
        )
    return answers


def _schema(answer: Json) -> Any:
    return answer.get("content", {}).get(JSON, {}).get("schema")


def _response(
    path: str, name: str, status: str, given: Json, queries: set[str], shown: Mapping[str, Any]
) -> Json:
    headers: Json = dict(REQUEST_ID)
    if status in ("429", "503"):
        headers |= RETRY_AFTER
    if name in LIMITED and status not in ("401", "403", "500", "503"):
        headers |= LIMITS
    if status == "200" and "limit" in queries:
        headers |= PAGING
        headers |= NUMBERED if "page" in queries else {}
        headers |= CURSOR if "cursor" in queries else {}
        headers |= FOLLOWING if {"after", "wait"} <= queries else {}
    if name == "findOrders" and status == "200":
        headers |= SEARCHED
    if name == "createOrder" and status == "200":
        headers |= REPLAYED
    made: Json = {"description": given["description"], "headers": headers}
    schema = _schema(given)
    if schema is None or status == "204":
        return made
    content: Json = {"schema": schema}
    if schema == ERROR:
        content["examples"] = error_examples(path, name, int(status))
    elif "response" in shown:
        # What waits for a second person looks otherwise than what was done.
        content["example"] = shown.get(f"response_{status}", shown["response"])
    made["content"] = {JSON: content}
    if status == "200":
        made["content"] = FILES.get(name) or made["content"] | ALSO_CSV.get(name, {})
    return made


def _with_example(body: Json, example: Any) -> Json:
    if example is None:
        return body
    content = {media: {**shape, "example": example} for media, shape in body["content"].items()}
    return {**body, "content": content}


def _reached(part: Any, named: Json) -> set[str]:
    """Names of the schemas that this part of the document leads to."""
    found: set[str] = set()
    waiting: list[Any] = [part]
    while waiting:
        each = waiting.pop()
        if isinstance(each, list):
            waiting += each
        elif isinstance(each, dict):
            ref = each.get("$ref")
            if isinstance(ref, str) and (name := ref.removeprefix(REF_PREFIX)) not in found:
                found.add(name)
                waiting.append(named[name])
            waiting += each.values()
    return found
