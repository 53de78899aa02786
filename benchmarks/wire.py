"""HTTP/1.1 in as few steps as it takes: rendered requests, answers cut from the stream."""

import itertools
import secrets
from collections.abc import Iterator, Mapping, Sequence

HEAD_END = b"\r\n\r\n"
LENGTH_NAME = b"\r\ncontent-length:"
ANSWER_BYTES_MAX = 16 * 1024 * 1024


class BadAnswer(Exception):
    """What came back is not an HTTP answer with a length."""


def render(method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """The request as it goes over the wire; `Host` and length are added."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + HEAD_END + body


def keyed(
    requests: Sequence[tuple[str, str, Mapping[str, str], bytes]],
) -> Iterator[bytes]:
    """These requests over and over, each time with an Idempotency-Key never used before."""
    run, mark = secrets.token_hex(8), "@KEY@"
    halves = []
    for method, path, headers, body in requests:
        whole = render(method, path, {**headers, "Idempotency-Key": mark}, body)
        before, _, after = whole.partition(mark.encode())
        halves.append((before + run.encode() + b"-", after))
    numbers = itertools.count()
    while True:
        for before, after in halves:
            yield b"%b%010d%b" % (before, next(numbers), after)


def cut(data: bytes) -> int:
    """How long the first answer in `data` is, or 0 while its head is not all there."""
    end = data.find(HEAD_END)
    if end < 0:
        if len(data) > ANSWER_BYTES_MAX:
            raise BadAnswer("a head without end")
        return 0
    at = data.find(LENGTH_NAME, 0, end)
    if at < 0:
        at = data[:end].lower().find(LENGTH_NAME)
        if at < 0:
            raise BadAnswer("no Content-Length")
    at += len(LENGTH_NAME)
    stop = data.find(b"\r", at)
    return end + len(HEAD_END) + int(data[at:stop])
