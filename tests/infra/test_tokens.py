"""Tokens: what is refused, one case for each trick (reliability page, T54)."""

import base64
import json
from datetime import UTC, datetime, timedelta

import jwt
import pytest

from rewards.core.errors import Unauthorized
from rewards.infra.tokens import ISSUER, Signer

KEY = b"k" * 32
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LIFE = timedelta(minutes=15)


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer(KEY, "staff")


def claims(**changed: object) -> dict[str, object]:
    body: dict[str, object] = {
        "iss": ISSUER,
        "aud": "staff",
        "sub": "7",
        "epoch": 3,
        "iat": int(NOW.timestamp()),
        "exp": int((NOW + LIFE).timestamp()),
    }
    return {name: value for name, value in (body | changed).items() if value is not None}


def unsigned(body: dict[str, object], header: dict[str, object]) -> str:
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, body)
    ]
    return b".".join([*parts, b""]).decode()


def test_a_token_says_who_until_it_ends(signer: Signer) -> None:
    token = signer.issue(7, 3, NOW, LIFE)
    said = signer.read(token, NOW + LIFE - timedelta(seconds=1))
    assert (said.subject_id, said.epoch, said.expires_at) == (7, 3, NOW + LIFE)
    with pytest.raises(Unauthorized):
        signer.read(token, NOW + LIFE)


def test_a_clock_a_little_behind_is_forgiven_and_no_more(signer: Signer) -> None:
    token = signer.issue(7, 3, NOW, LIFE)
    assert signer.read(token, NOW - timedelta(seconds=30)).subject_id == 7
    with pytest.raises(Unauthorized):
        signer.read(token, NOW - timedelta(seconds=31))


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a.b.c",
        "a" * 2000,
        jwt.encode(claims(aud="client"), KEY, algorithm="HS256"),
        jwt.encode(claims(aud=None), KEY, algorithm="HS256"),
        jwt.encode(claims(iss="somebody"), KEY, algorithm="HS256"),
        jwt.encode(claims(exp=None), KEY, algorithm="HS256"),
        jwt.encode(claims(sub="seven"), KEY, algorithm="HS256"),
        jwt.encode(claims(epoch=None), KEY, algorithm="HS256"),
        jwt.encode(claims(), b"x" * 32, algorithm="HS256"),
        jwt.encode(claims(), b"k" * 64, algorithm="HS512"),
        jwt.encode(claims(), KEY, algorithm="HS256", headers={"crit": ["exp"]}),
        jwt.encode(
            claims(), b"x" * 32, algorithm="HS256", headers={"jwk": {"kty": "oct", "k": "eA"}}
        ),
        unsigned(claims(), {"alg": "none", "typ": "JWT"}),
        unsigned(claims(), {"alg": "HS256", "typ": "JWT"}),
    ],
)
def test_tricks_are_refused(signer: Signer, token: str) -> None:
    with pytest.raises(Unauthorized):
        signer.read(token, NOW)


def test_a_token_has_one_spelling(signer: Signer) -> None:
    token = signer.issue(7, 3, NOW, LIFE)
    assert signer.read(token, NOW).subject_id == 7
    for at, digit in enumerate(token):
        other = token[:at] + ("A" if digit != "A" else "B") + token[at + 1 :]
        for spoiled in (other, token[:at] + "\n" + token[at:], token[:at] + token[at + 1 :]):
            with pytest.raises(Unauthorized):
                signer.read(spoiled, NOW)
    for more in ("=", "\n", " ", "."):
        with pytest.raises(Unauthorized):
            signer.read(token + more, NOW)


def test_a_token_carries_further_numbers(signer: Signer) -> None:
    assert signer.read(signer.issue(7, 3, NOW, LIFE, {"cid": 5}), NOW).extra == {"cid": 5}


def test_the_header_must_be_ours_to_the_letter(signer: Signer) -> None:
    header = jwt.get_unverified_header(signer.issue(7, 3, NOW, LIFE))
    assert header.keys() == {"alg", "kid", "typ"}
    assert KEY.decode() not in header["kid"]
    for changed in ({"kid": "x"}, {"typ": "at+jwt"}, {"jwk": {}}, {"x5u": "http://127.0.0.1"}):
        token = jwt.encode(claims(), KEY, algorithm="HS256", headers={**header, **changed})
        with pytest.raises(Unauthorized):
            signer.read(token, NOW)


def test_a_signer_never_shows_its_key(signer: Signer) -> None:
    assert "kkk" not in repr(signer)
