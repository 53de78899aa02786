"""What of an exchange may be kept: only values under names an adapter calls safe; pure."""

from urllib.parse import parse_qsl, urlencode

import msgspec

KEPT_CHARS_MAX = 4_096
DEPTH_MAX = 32
MASK = "***"
ENVELOPE_CHARS_MAX = 64


def redact(body: bytes, safe: frozenset[str]) -> str:
    """The JSON with every scalar masked whose nearest name is not safe; cut to 4,096 characters.

    A code can stand anywhere in what a vendor sends, so what is not known to be harmless is masked.
    A bare value (no name at all) counts under the name "". What is no JSON is only measured.
    """
    if not body:
        return ""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return f"({len(body)} bytes, not JSON)"
    return msgspec.json.encode(_masked(value, "", safe, 0)).decode()[:KEPT_CHARS_MAX]


def redact_envelope(body: bytes, names: frozenset[str]) -> str:
    """What a JSON object has itself under these names, short and no object; nothing else of it."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        value = None
    if not isinstance(value, dict):
        return f"({len(body)} bytes, no JSON object)"
    kept = {
        name: value[name]
        for name in sorted(names & value.keys())
        if not isinstance(value[name], dict | list) and len(str(value[name])) <= ENVELOPE_CHARS_MAX
    }
    return msgspec.json.encode(kept).decode()


def redact_query(query: str, safe: frozenset[str]) -> str:
    """A query string with the values masked whose name is not safe."""
    pairs = parse_qsl(query, keep_blank_values=True)
    kept = [(name, value if name in safe else MASK) for name, value in pairs]
    return urlencode(kept, safe="*")[:KEPT_CHARS_MAX]


def _masked(value: object, name: str, safe: frozenset[str], depth: int) -> object:
    if depth > DEPTH_MAX:
        return MASK
    if isinstance(value, dict):
        return {
            str(key)[:64]: _masked(inner, str(key), safe, depth + 1) for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_masked(inner, name, safe, depth + 1) for inner in value]
    if value is None or isinstance(value, bool) or name in safe:
        return value
    return MASK
