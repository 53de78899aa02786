"""Request signatures: what is signed, and whether a header signs it (spec.md §2, D3).

`X-Signature: t=<unix seconds>,v1=<hex>` where hex is the lower-case HMAC-SHA256 of

    METHOD\\nPATH\\nSORTED_QUERY\\nSHA256(body) in hex\\nt

under the 32 bytes that the signing secret `whsec_<base64>` encodes. PATH is the path as sent, still
percent-encoded, without the query. SORTED_QUERY is the query's pairs as sent, sorted by key and
value, joined by `&`; empty without a query. The hash of an empty body is the hash of no bytes.
"""

import hashlib
import hmac
import re

TOLERANCE_S = 300
HEADER_PATTERN = re.compile(r"t=([0-9]{1,12}),v1=([0-9a-f]{64})", re.ASCII)


def sorted_query(query: bytes) -> bytes:
    """The pairs in canonical order; nothing is decoded, so nothing is ambiguous."""
    if b"&" not in query:
        return query
    pairs = [pair.partition(b"=") for pair in query.split(b"&") if pair]
    # `a` before `a=`, which have the same key and value.
    pairs.sort(key=lambda pair: (pair[0], pair[2], pair[1]))
    return b"&".join(b"".join(pair) for pair in pairs)


def canonical(method: str, path: bytes, query: bytes, body: bytes, timestamp: int) -> bytes:
    """What a client signs."""
    digest = hashlib.sha256(body).hexdigest().encode()
    parts = (method.upper().encode(), path, sorted_query(query), digest, str(timestamp).encode())
    return b"\n".join(parts)


def sign(key: bytes, *, method: str, path: bytes, query: bytes, body: bytes, timestamp: int) -> str:
    """The header's value, as a client makes it."""
    text = canonical(method, path, query, body, timestamp)
    return f"t={timestamp},v1={hmac.new(key, text, hashlib.sha256).hexdigest()}"


def signed(
    header: str, key: bytes, *, method: str, path: bytes, query: bytes, body: bytes, now_s: float
) -> bool:
    """Whether `header` signs this request, no more than TOLERANCE_S ago or ahead of us."""
    match = HEADER_PATTERN.fullmatch(header)
    if match is None:
        return False
    timestamp = int(match[1])
    if abs(now_s - timestamp) > TOLERANCE_S:
        return False
    if str(timestamp) != match[1]:
        # A leading zero: the text that was signed cannot be told from another one.
        return False
    text = canonical(method, path, query, body, timestamp)
    return hmac.compare_digest(hmac.new(key, text, hashlib.sha256).hexdigest(), match[2])
