"""The edge of a network in a test: listeners that count, a resolver that lies, a certificate."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiohttp.abc import AbstractResolver, ResolveResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CLOSED = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"

Behave = Callable[[asyncio.StreamWriter], Awaitable[None]]


def says(answer: bytes) -> Behave:
    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    return behave


@dataclass
class Listener:
    """Counts connections and keeps requests; answers each as it is told."""

    behave: Behave = field(default_factory=lambda: says(OK))
    port: int = 0
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)
    # The address at which each connection came in.
    reached_at: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.reached_at.append(writer.get_extra_info("sockname")[0])
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                self.requests.append(head + await reader.readexactly(length))
                await self.behave(writer)
        writer.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"


@asynccontextmanager
async def listening(
    *hosts: str, port: int = 0, behave: Behave | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Listener]:
    """One listener at all these addresses, at the same port; 127.0.0.1 when none is named."""
    listener = Listener(behave or says(OK), port)
    servers = []
    for host in hosts or ("127.0.0.1",):
        server = await asyncio.start_server(listener.serve, host, listener.port, ssl=tls)
        listener.port = server.sockets[0].getsockname()[1]
        servers.append(server)
    try:
        yield listener
    finally:
        for server in servers:
            server.close()


@dataclass
class Names(AbstractResolver):
    """A resolver that tells for each name one list of addresses after the other, then again."""

    answers: dict[str, Sequence[Sequence[str]]]
    asked: dict[str, int] = field(default_factory=dict)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        # A double that is asked in bytes would never flip, and pass falsely.
        assert isinstance(host, str)
        turn = self.asked[host] = self.asked.get(host, 0) + 1
        if host not in self.answers:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        turns = self.answers[host]
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=0,
            )
            for address in turns[(turn - 1) % len(turns)]
        ]

    async def close(self) -> None:
        pass


def authority(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Contexts of a server with a certificate for `name`, and of a client that believes it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "certificate.pem"
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(
        encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + certificate.public_bytes(encoding))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cafile=file)
