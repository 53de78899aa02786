"""Posts go to checked addresses alone, and end in time (T43 at send, T44, T37's limits)."""

import asyncio
import socket
from contextlib import suppress
from ipaddress import ip_network
from pathlib import Path

import pytest

from rewards.infra.outbound import (
    BODY_BYTES_MAX,
    KEPT_BYTES,
    Answer,
    NotAnswered,
    Poster,
    TargetRefused,
)
from rewards.infra.targets import Targets
from tests.infra.edge import CLOSED, OK, Names, authority, listening, says
from tests.infra.forbidden import ADDRESSES, ALL, NUMBERS

LOCAL = Targets(local=True)
NOT_ALLOWED = "the address is not allowed"
FLIPS = 500
# 127.0.0.1 plays a public machine, and only 127.0.0.2 one of the inside.
EDGE = Targets(local=True, opened=(ip_network("127.0.0.1/32"),))


class Noted(socket.socket):
    """Notes whom it was connected to when it is closed."""

    peers: list[str] = []

    def close(self) -> None:
        with suppress(OSError):
            self.peers.append(self.getpeername()[0])
        super().close()


class Noting(Poster):
    def _open(self, found):  # type: ignore[no-untyped-def]
        super()._open(found).close()
        return Noted(*found[:3])


async def refused(poster: Poster, url: str) -> str:
    with pytest.raises(NotAnswered) as problem:
        await poster.post(url, {}, b"{}")
    assert not url or url not in str(problem.value)
    return str(problem.value)


async def outcome(poster: Poster, url: str) -> str:
    try:
        return str((await poster.post(url, {}, b"{}")).status)
    except NotAnswered as problem:
        return str(problem)


async def test_the_whole_list_is_refused_at_send() -> None:
    """Rows outlive settings: what is stored is checked as if it were new."""
    async with listening("127.0.0.1", "::1") as inside, Poster(Targets()) as poster:
        for url in ALL:
            assert await refused(poster, url) == NOT_ALLOWED
        assert await refused(poster, inside.url) == NOT_ALLOWED
    assert inside.connections == 0


async def test_names_that_lead_inside_are_refused_at_send() -> None:
    """0 connections to a listener at every address of this machine, for every forbidden address."""
    names = {f"n{number}.example.com": [[text]] for number, text in enumerate(ADDRESSES)}
    async with listening("0.0.0.0", "::", port=0) as inside:
        async with Poster(Targets(), resolver=Names(names)) as poster:
            for name in names:
                url = f"https://{name}:{inside.port}/hook"
                assert await refused(poster, url) == NOT_ALLOWED
        assert inside.connections == 0
        # The listener would have heard it.
        async with Poster(LOCAL) as poster:
            assert await poster.post(inside.url, {}, b"{}") == Answer(200, None, b"ok")
            for text in NUMBERS:
                assert await refused(poster, f"http://{text}:{inside.port}/") == NOT_ALLOWED
    assert inside.connections == 1


@pytest.mark.parametrize("address", ADDRESSES)
async def test_no_socket_is_opened_for_a_forbidden_address(address: str) -> None:
    """The last gate: what is connected to is what is checked here, wherever it came from."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    async with Poster(Targets()) as poster:
        with pytest.raises(TargetRefused):
            poster._open((family, socket.SOCK_STREAM, 0, "", (address, 443)))


@pytest.mark.parametrize("kept_s", [0, 10])
async def test_a_name_that_flips_never_leads_inside(kept_s: int) -> None:
    """T44: public at one look, private at the next; alone, and mixed with public ones."""
    turns = [
        ["127.0.0.1"],
        ["127.0.0.2"],
        ["127.0.0.1", "127.0.0.2"],
        ["127.0.0.2", "127.0.0.1"],
        ["127.0.0.1", "::ffff:127.0.0.2"],
        ["169.254.169.254", "127.0.0.1"],
    ]
    names = Names({"flip.example.com": turns})
    Noted.peers.clear()
    async with (
        listening("127.0.0.1", behave=says(CLOSED)) as outside,
        listening("127.0.0.2", port=outside.port) as inside,
        Noting(EDGE, resolver=names, names_kept_s=kept_s) as poster,
    ):
        url = f"http://flip.example.com:{outside.port}/hook"
        said = [await outcome(poster, url) for _ in range(FLIPS)]
    answered = said.count("200")
    assert set(said) <= {"200", NOT_ALLOWED}
    assert inside.connections == 0
    assert answered == outside.connections
    assert set(outside.reached_at) == {"127.0.0.1"}
    assert answered == ((FLIPS + 5) // 6 if kept_s == 0 else FLIPS)
    assert set(Noted.peers) == {"127.0.0.1"}
    assert len(Noted.peers) == answered
    assert names.asked["flip.example.com"] == (FLIPS if kept_s == 0 else 1)


async def test_tls_is_checked_by_the_name_that_was_named(tmp_path: Path) -> None:
    """Whatever address it has: SNI and certificate are by name."""
    server, client = authority(tmp_path, "hooks.example.com")
    heard: list[str | None] = []
    server.sni_callback = lambda _socket, name, _context: heard.append(name)
    names = Names({name: [["127.0.0.1"]] for name in ("hooks.example.com", "other.example.com")})
    async with listening(tls=server) as listener:
        async with Poster(LOCAL, resolver=names, tls=client) as poster:
            url = f"https://hooks.example.com:{listener.port}/hook"
            assert (await poster.post(url, {}, b"{}")).status == 200
            said = "the certificate is not valid for this name"
            assert await refused(poster, url.replace("hooks", "other", 1)) == said
        async with Poster(LOCAL, resolver=names) as poster:
            assert await refused(poster, url) == said, "an authority that nobody knows"
    assert heard == ["hooks.example.com", "other.example.com", "hooks.example.com"]
    assert len(listener.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_answers(status: int) -> None:
    async with listening("127.0.0.2") as inside:
        location = f"Location: {inside.url}\r\n".encode()
        answer = b"HTTP/1.1 %d Moved\r\nContent-Length: 0\r\n%s\r\n" % (status, location)
        async with listening(behave=says(answer)) as outside, Poster(LOCAL) as poster:
            assert (await poster.post(outside.url, {}, b"{}")).status == status
    assert (inside.connections, len(outside.requests)) == (0, 1)


async def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async with listening() as proxy, listening() as outside:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "https_proxy"):
            monkeypatch.setenv(name, proxy.url)
        async with Poster(LOCAL) as poster:
            await poster.post(outside.url, {}, b"{}")
    assert (proxy.connections, outside.connections) == (0, 1)


async def test_no_more_of_a_body_is_read_than_the_limit() -> None:
    """One that never ends counts by its status, and its connection is not used again."""
    sent = 0

    async def forever(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 4_096)
            await writer.drain()
            sent += 4_096

    async with listening(behave=forever) as listener, Poster(LOCAL) as poster:
        for turn in (1, 2):
            answer = await poster.post(listener.url, {}, b"{}")
            assert answer == Answer(200, None, b"x" * KEPT_BYTES)
            assert listener.connections == turn
    # What lies in the buffers of two sockets comes on top of what was read.
    assert sent < 2 * (BODY_BYTES_MAX + 8 * 1024 * 1024)


async def test_a_slow_body_counts_by_its_status_and_ends_in_time() -> None:
    async def drips(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 202 Accepted\r\nRetry-After: 7\r\nContent-Length: 100\r\n\r\n")
        while True:
            writer.write(b"d")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with listening(behave=drips) as listener, Poster(LOCAL, total_s=0.2) as poster:
        answer = await poster.post(listener.url, {}, b"{}")
    assert (answer.status, answer.retry_after) == (202, "7")
    assert answer.body.startswith(b"dd")
    assert "dd" not in repr(answer)


@pytest.mark.parametrize(
    ("sends", "said"),
    [
        (None, "no answer in time"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "the connection broke, or what came back is not HTTP"),
        (
            b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000,
            "the connection broke, or what came back is not HTTP",
        ),
        (b"", "the connection broke, or what came back is not HTTP"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 50, "no answer in time"),
    ],
)
async def test_what_is_no_answer_says_so(sends: bytes | None, said: str) -> None:
    async def behave(writer: asyncio.StreamWriter) -> None:
        if sends is None:
            await asyncio.sleep(5)
        elif sends:
            writer.write(sends)
            await writer.drain()
        else:
            writer.transport.abort()

    async with listening(behave=behave) as listener, Poster(LOCAL, total_s=0.2) as poster:
        assert await refused(poster, listener.url) == said


async def test_nobody_there_and_no_such_name() -> None:
    async with Poster(LOCAL, resolver=Names({})) as poster:
        assert await refused(poster, "http://nobody.example.com/") == "the name is not known"
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        assert await refused(poster, f"http://127.0.0.1:{port}/") == "no connection"


async def test_a_compressed_answer_is_kept_as_it_came() -> None:
    packed = b"\x1f\x8b\x08" + bytes(100)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
    behave = says(head % len(packed) + packed)
    async with listening(behave=behave) as listener, Poster(LOCAL) as poster:
        assert (await poster.post(listener.url, {}, b"{}")).body == packed


async def test_cookies_are_forgotten_and_connections_are_kept() -> None:
    answer = OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: a=b\r\n\r\n", 1)
    async with listening(behave=says(answer)) as listener, Poster(LOCAL) as poster:
        for _ in range(3):
            await poster.post(listener.url, {"webhook-id": "e-1"}, b"{}")
    assert (listener.connections, len(listener.requests)) == (1, 3)
    assert b"cookie" not in b"".join(listener.requests).lower()
