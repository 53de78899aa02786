"""The door over real HTTP: both schemes, signatures, allow-lists, scopes; one 401 for all."""

import base64
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import timedelta

import jwt
import pytest

from rewards.clients import service
from rewards.clients.model import (
    Client,
    ClientChange,
    ClientStatus,
    CredentialChange,
    IssuedCredential,
)
from rewards.clients.signing import sign
from rewards.infra.crypto import Vault
from rewards.infra.db import Database
from rewards.infra.tokens import ISSUER, Signer
from tests.clients.calling import PLACE, READ, Api, calling, refused
from tests.clients.conftest import StartProcess
from tests.clients.processes_of import NOON, Given, MovedClock, Process


@pytest.fixture
async def api(process: Process) -> AsyncIterator[Api]:
    async with calling(process) as made:
        yield made


@pytest.fixture
async def client(given: Given) -> Client:
    return await given.client()


def key_headers(issued: IssuedCredential) -> dict[str, str]:
    return {"X-API-Key": issued.api_key, "X-API-Secret": issued.api_secret}


async def test_either_scheme_lets_in(
    api: Api, given: Given, process: Process, client: Client
) -> None:
    issued = await given.credential(client)
    token = await process.token(client)
    for headers in (
        key_headers(issued),
        {"Authorization": f"Bearer {token}"},
        {"authorization": f"bearer {token}"},
    ):
        assert await api.get(headers) == (200, {"client_id": client.id})
        assert await api.post(headers) == (200, {"client_id": client.id, "bytes": 2})


async def test_everything_else_is_the_same_401(
    api: Api, given: Given, process: Process, client: Client
) -> None:
    issued = await given.credential(client)
    token = await process.token(client)
    both = {**key_headers(issued), "Authorization": f"Bearer {token}"}
    for headers in (
        {},
        both,
        {"Authorization": f"Bearer {token}", "X-API-Key": issued.api_key},
        {"X-API-Key": issued.api_key},
        {"X-API-Secret": issued.api_secret},
        {"X-API-Key": issued.api_key, "X-API-Secret": ""},
        {"X-API-Key": "", "X-API-Secret": issued.api_secret},
        {"X-API-Key": issued.api_secret, "X-API-Secret": issued.api_key},
        [*key_headers(issued).items(), ("X-API-Key", issued.api_key)],
        [*key_headers(issued).items(), ("X-API-Secret", issued.api_secret)],
        {"Authorization": token},
        {"Authorization": f"Basic {token}"},
        {"Authorization": f"Bearer  {token}"},
        {"Authorization": f"Bearer {token[:-2]}"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer"},
        {"Authorization": f"Bearer {issued.api_secret}"},
        {"Authorization": "Bearer " + "a" * 5000},
        {"X-API-Key": issued.api_key, "X-API-Secret": "\xff\xfe"},
    ):
        assert refused(await api.get(headers)), headers
        assert refused(await api.post(headers)), headers


async def test_401_comes_before_the_body_is_looked_at(api: Api) -> None:
    assert refused(await api.post({}, b"no json at all"))


async def test_a_missing_scope_is_403(api: Api, given: Given, client: Client) -> None:
    issued = await given.credential(client, scopes=frozenset({"orders:read"}))
    assert (await api.get(key_headers(issued)))[0] == 200
    status, body = await api.post(key_headers(issued))
    body.pop("request_id")
    assert (status, body) == (
        403,
        {"error": "Forbidden", "message": "Insufficient permissions", "code": "FORBIDDEN"},
    )


class TestSignatures:
    @pytest.fixture
    async def issued(self, given: Given, client: Client) -> IssuedCredential:
        return await given.credential(client, signing_required=True)

    @staticmethod
    def headers(
        issued: IssuedCredential,
        clock: MovedClock,
        *,
        method: str = "POST",
        path: str = PLACE,
        query: str = "",
        body: bytes = b"",
        late_s: int = 0,
    ) -> dict[str, str]:
        signature = sign(
            base64.b64decode(issued.signing_secret.removeprefix("whsec_")),
            method=method,
            path=path.encode(),
            query=query.encode(),
            body=body,
            timestamp=int(clock.now().timestamp()) - late_s,
        )
        return {**key_headers(issued), "X-Signature": signature}

    async def test_a_signed_request_gets_in_with_its_whole_body(
        self, api: Api, issued: IssuedCredential, clock: MovedClock
    ) -> None:
        body = b'{"product_id": 6, "note": "\xc3\xbc"}' * 1000
        headers = self.headers(issued, clock, body=body)
        assert (await api.post(headers, body))[1]["bytes"] == len(body)

    async def test_reads_are_signed_too_with_their_query(
        self, api: Api, issued: IssuedCredential, clock: MovedClock
    ) -> None:
        query = "z=1&page=2&page=10&name=a%20b"
        headers = self.headers(issued, clock, method="GET", path=READ, query=query)
        # `encoded=True` would be needed to keep aiohttp from rewriting the path.
        assert (await api.get(headers, f"{READ}?{query}"))[0] == 200
        assert (await api.get(headers, f"{READ}?page=2&page=10&z=1&name=a%20b"))[0] == 200
        assert refused(await api.get(headers, f"{READ}?{query}&more=1"))
        assert refused(await api.get(headers, READ))
        assert refused(await api.get(key_headers(issued)))

    async def test_tampering_is_refused(
        self, api: Api, issued: IssuedCredential, clock: MovedClock, given: Given, client: Client
    ) -> None:
        headers = self.headers(issued, clock, body=b'{"quantity":1}')
        assert (await api.post(headers, b'{"quantity":1}'))[0] == 200
        assert refused(await api.post(headers, b'{"quantity":9}'))
        assert refused(await api.post(headers, b""))
        assert refused(await api.get(headers))
        other = await given.credential(client, signing_required=True)
        swapped = {**headers, **key_headers(other)}
        assert refused(await api.post(swapped, b'{"quantity":1}'))
        twice = [*headers.items(), ("X-Signature", headers["X-Signature"])]
        assert refused(await api.post(twice, b'{"quantity":1}'))

    @pytest.mark.parametrize(
        ("late_s", "status"),
        [(299, 200), (300, 200), (301, 401), (-299, 200), (-300, 200), (-301, 401)],
    )
    async def test_the_window_is_five_minutes_each_way(
        self,
        api: Api,
        issued: IssuedCredential,
        clock: MovedClock,
        late_s: int,
        status: int,
    ) -> None:
        headers = self.headers(issued, clock, body=b"{}", late_s=late_s)
        assert (await api.post(headers))[0] == status

    async def test_it_can_be_switched_on_and_off_and_the_secret_rotated(
        self, api: Api, given: Given, db: Database, client: Client, clock: MovedClock, vault: Vault,
        process: Process,
    ) -> None:  # fmt: skip
        issued = await given.credential(client)
        assert (await api.post(key_headers(issued)))[0] == 200
        async with db.transaction() as tx:
            await service.change_credential(tx, issued.id, CredentialChange(signing_required=True))
        process.directory.expire()
        assert refused(await api.post(key_headers(issued)))
        assert (await api.post(self.headers(issued, clock, body=b"{}")))[0] == 200
        async with db.transaction() as tx:
            shown = await service.rotate_signing_secret(tx, vault, issued.id, clock.now())
        process.directory.expire()
        assert refused(await api.post(self.headers(issued, clock, body=b"{}")))
        rotated = IssuedCredential(
            issued.id, client.id, issued.api_key, issued.api_secret, shown, issued.scopes, True
        )
        assert (await api.post(self.headers(rotated, clock, body=b"{}")))[0] == 200

    async def test_a_signature_that_nobody_asked_for_is_not_looked_at(
        self, api: Api, given: Given, client: Client
    ) -> None:
        headers = {**key_headers(await given.credential(client)), "X-Signature": "t=1,v1=nonsense"}
        assert (await api.post(headers))[0] == 200


class TestAllowList:
    @pytest.mark.parametrize(
        ("allowed", "status"),
        [
            ((), 200),
            (("127.0.0.1",), 200),
            (("127.0.0.0/8",), 200),
            (("10.0.0.0/8", "127.0.0.1/32"), 200),
            (("127.0.0.2",), 401),
            (("10.0.0.0/8",), 401),
            (("::1",), 401),
            (("::/0",), 401),
            (("0.0.0.0/0",), 200),
        ],
    )
    async def test_the_peer_must_be_listed(
        self, api: Api, given: Given, allowed: tuple[str, ...], status: int
    ) -> None:
        issued = await given.credential(await given.client(allowed_ips=allowed))
        assert (await api.get(key_headers(issued)))[0] == status

    async def test_what_a_stranger_says_of_itself_is_not_believed(
        self, api: Api, given: Given
    ) -> None:
        issued = await given.credential(await given.client(allowed_ips=("203.0.113.7",)))
        for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "CF-Connecting-IP"):
            headers = {**key_headers(issued), name: "203.0.113.7"}
            assert refused(await api.get(headers))

    @pytest.mark.parametrize(
        ("forwarded", "status"),
        [
            ("203.0.113.7", 200),
            ("::ffff:203.0.113.7", 200),
            ("198.51.100.1, 203.0.113.7", 200),
            ("203.0.113.7, 10.1.2.3", 200),
            ("198.51.100.1, 203.0.113.7, 10.1.2.3, 127.0.0.1", 200),
            ("203.0.113.7, 198.51.100.1", 401),
            ("203.0.113.7, 198.51.100.1, 10.1.2.3", 401),
            ("203.0.113.7, unknown", 401),
            ("2001:db8::5", 200),
            ("2001:db9::5", 401),
            ("fe80::1%eth0", 401),
            ("", 401),
        ],
    )
    async def test_a_trusted_proxy_is_believed_about_the_nearest_hop(
        self, start_process: StartProcess, given: Given, forwarded: str, status: int
    ) -> None:
        allowed = ("203.0.113.7", "2001:db8::/32")
        issued = await given.credential(await given.client(allowed_ips=allowed))
        process = await start_process(("127.0.0.1", "10.0.0.0/8"))
        async with calling(process) as api:
            headers = {**key_headers(issued), "X-Forwarded-For": forwarded}
            assert (await api.get(headers))[0] == status

    async def test_it_holds_for_tokens_too(self, api: Api, given: Given, process: Process) -> None:
        client = await given.client(allowed_ips=("10.0.0.0/8",))
        token = await process.token(client)
        assert refused(await api.get({"Authorization": f"Bearer {token}"}))

    async def test_a_change_is_obeyed_within_a_second(
        self, api: Api, given: Given, client: Client, db: Database
    ) -> None:
        issued = await given.credential(client)
        assert (await api.get(key_headers(issued)))[0] == 200
        async with db.transaction() as tx:
            await service.change(tx, client.id, ClientChange(allowed_ips=("10.0.0.0/8",)))
        committed_s = time.monotonic()
        while (await api.get(key_headers(issued)))[0] == 200:
            assert time.monotonic() - committed_s < 1


async def test_a_suspended_client_is_a_stranger_until_it_is_not(
    api: Api, given: Given, client: Client, db: Database, process: Process
) -> None:
    issued = await given.credential(client)
    token = await process.token(client)
    both = ({"Authorization": f"Bearer {token}"}, key_headers(issued))
    for status, expected in ((ClientStatus.SUSPENDED, 401), (ClientStatus.ACTIVE, 200)):
        async with db.transaction() as tx:
            await service.change(tx, client.id, ClientChange(status=status))
        process.directory.expire()
        for headers in both:
            assert (await api.get(headers))[0] == expected


def part(value: Mapping[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


class TestTokenTricks:
    """T54: none of these gets in, and a genuine one beside them does."""

    @pytest.fixture
    def key(self, vault: Vault) -> bytes:
        return vault.mac_key("access-token")

    @staticmethod
    def claims(client: Client, **changed: object) -> dict[str, object]:
        body: dict[str, object] = {
            "iss": ISSUER,
            "aud": "client",
            "sub": "1",
            "cid": client.id,
            "fam": 7,
            "epoch": 0,
            "iat": int(NOON.timestamp()),
            "exp": int((NOON + timedelta(minutes=15)).timestamp()),
        }
        return {name: value for name, value in (body | changed).items() if value is not None}

    async def test_a_genuine_token_lasts_fifteen_minutes(
        self, api: Api, client: Client, process: Process, clock: MovedClock
    ) -> None:
        token = await process.token(client)
        headers = {"Authorization": f"Bearer {token}"}
        for _ in range(2):
            assert (await api.get(headers))[0] == 200
        clock.advance(minutes=14, seconds=59)
        assert (await api.get(headers))[0] == 200
        clock.advance(seconds=1)
        for _ in range(2):
            assert refused(await api.get(headers))

    async def test_every_trick_is_refused(
        self, api: Api, client: Client, process: Process, key: bytes
    ) -> None:
        genuine = await process.token(client)
        header = jwt.get_unverified_header(genuine)
        body, signature = genuine.split(".")[1:]

        def made(**changed: object) -> str:
            claims = self.claims(client, **changed)
            return jwt.encode(claims, key, algorithm="HS256", headers=header)

        def headed(**changed: object) -> str:
            changed_header = {**header, **changed}
            return jwt.encode(self.claims(client), key, algorithm="HS256", headers=changed_header)

        assert (await api.get({"Authorization": f"Bearer {made()}"}))[0] == 200
        tricks: list[str] = [
            part({**header, "alg": "none"}) + f".{body}.",
            part({**header, "alg": "None"}) + f".{body}.",
            part({**header, "alg": "none"}) + f".{body}.{signature}",
            part({"alg": "none"}) + f".{body}.",
            part({**header, "alg": "RS256"}) + f".{body}.{signature}",
            part({**header, "alg": "ES256"}) + f".{body}.{signature}",
            part({**header, "alg": "HS512"}) + f".{body}.{signature}",
            jwt.encode(self.claims(client), key * 2, algorithm="HS512", headers={"kid": "x"}),
            jwt.encode(self.claims(client), b"\0" * 32, algorithm="HS256", headers=header),
            jwt.encode(self.claims(client), key, algorithm="HS256"),
            headed(kid="../../../../dev/null"),
            headed(kid="' UNION SELECT 'x"),
            headed(kid=""),
            headed(jwk={"kty": "oct", "k": base64.urlsafe_b64encode(key).decode()}),
            headed(jku="http://127.0.0.1/keys"),
            headed(x5u="http://127.0.0.1/keys"),
            headed(x5c=["MIIB"]),
            headed(crit=["exp"]),
            headed(typ="at+jwt"),
            made(aud="staff"),
            made(aud=["client", "staff"][1:]),
            made(aud=None),
            made(iss="https://evil.example"),
            made(iss=None),
            made(exp=None),
            made(exp=int(NOON.timestamp())),
            made(exp="soon"),
            made(iat=int(NOON.timestamp()) + 61),
            made(iat=None),
            made(sub=None),
            made(sub="1 OR 1=1"),
            made(cid=None),
            made(cid=10**9),
            made(cid="x"),
            made(fam=None),
            made(fam=-1),
            made(fam=2**128),
            made(fam="x"),
            made(epoch=1),
            made(epoch=-1),
            made(epoch=None),
            genuine + "A",
            genuine + "=",
            # Two bits of the signature's last digit say nothing; only one spelling counts.
            *(genuine[:-1] + chr(ord(genuine[-1]) + step) for step in (-2, -1, 1, 2)),
            f".{body}.{signature}",
            genuine.replace(".", ".."),
            part(header) + "." + part(self.claims(client, cid=client.id + 1)) + "." + signature,
            Signer(key, "staff").issue(
                1, 0, NOON, timedelta(minutes=15), {"cid": client.id, "fam": 7}
            ),
        ]
        for trick in tricks:
            assert refused(await api.get({"Authorization": f"Bearer {trick}"})), trick
        assert (await api.get({"Authorization": f"Bearer {genuine}"}))[0] == 200

    async def test_staff_keys_sign_no_client_tokens(
        self, api: Api, client: Client, vault: Vault
    ) -> None:
        signer = Signer(vault.mac_key("staff-token"), "client")
        token = signer.issue(1, 0, NOON, timedelta(minutes=15), {"cid": client.id, "fam": 7})
        assert refused(await api.get({"Authorization": f"Bearer {token}"}))


@pytest.mark.parametrize("spell", [str.lower, str.upper, str.title])
async def test_header_names_are_told_apart_in_any_case(
    api: Api, given: Given, client: Client, spell: Callable[[str], str]
) -> None:
    headers = key_headers(await given.credential(client))
    assert (await api.get({spell(name): value for name, value in headers.items()}))[0] == 200
