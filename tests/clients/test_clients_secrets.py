"""Secrets: compared in constant time, and in no log, error, change row or table in the clear."""

import ast
import gc
import random
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

import rewards
from rewards.clients.signing import sign, signed
from rewards.infra.db import Database
from tests.clients.calling import calling
from tests.clients.processes_of import PASSWORD, USERNAME, Given, Process

SRC = Path(rewards.__file__).parent
# A name with one of these words holds something that must not be guessed byte by byte.
SECRET_WORDS = ("secret", "digest", "signature", "mac", "password", "token", "key")
# A count of logouts, and the names in a table: no secrets.
HARMLESS = {"token_epoch", "keys"}
SAMPLES = 100_000
BLOCKS = 100
TEXTS = 40
T_MAX = 4.5


def compared(tree: ast.AST) -> Iterator[ast.Compare]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and any(
            isinstance(op, ast.Eq | ast.NotEq) for op in node.ops
        ):
            yield node


def words_of(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Call):
        return words_of(node.func)
    if isinstance(node, ast.Subscript):
        return words_of(node.value)
    return ""


def test_no_secret_is_compared_with_equals() -> None:
    files = [*sorted((SRC / "clients").glob("*.py")), SRC / "infra/tokens.py"]
    breaches = []
    for path in files:
        for node in compared(ast.parse(path.read_text())):
            names = [words_of(side).lower() for side in (node.left, *node.comparators)]
            name = path.relative_to(SRC).as_posix()
            if any(
                word in each and each not in HARMLESS for each in names for word in SECRET_WORDS
            ):
                breaches.append(f"{name}:{node.lineno} {ast.unparse(node)}")
    assert breaches == []


REQUEST: Any = {"method": "GET", "path": b"/api/v1/orders", "query": b""}
KEY, NOW = b"k" * 32, 1_757_321_938
# A header, the body it came with, and the header that would have been right.
Case = tuple[str, bytes, str]
Check = Callable[[str, bytes, str], object]


def cases(rng: random.Random) -> tuple[list[Case], list[Case]]:
    """Headers wrong at the signature's first digit, and others wrong at its last.

    Many of each: what one text costs depends on its digits and on where it lies in memory, and
    neither is a secret.
    """
    wrong: tuple[list[Case], list[Case]] = ([], [])
    for _ in range(TEXTS):
        body = b"%08d" % rng.randrange(10**8)
        right = sign(KEY, timestamp=NOW, body=body, **REQUEST)
        for which, at in enumerate((right.index("v1=") + 3, len(right) - 1)):
            digit = rng.choice([d for d in "0123456789abcdef" if d != right[at]])
            wrong[which].append((right[:at] + digit + right[at + 1 :], body, right))
    return wrong


def longer_by_ns(check: Check, rng: random.Random) -> float:
    """How much longer those wrong at the start take, by one block of turns in random order."""
    groups, times = cases(rng), ([], [])  # type: ignore[var-annotated]
    for _ in range(SAMPLES // BLOCKS):
        which = rng.randrange(2)
        case = rng.choice(groups[which])
        start = time.perf_counter_ns()
        check(*case)
        times[which].append(time.perf_counter_ns() - start)
    # What the scheduler did is cut off, for both at the same height.
    ceiling = sorted(times[0] + times[1])[SAMPLES // BLOCKS * 9 // 10]
    early, late = ([t for t in each if t <= ceiling] for each in times)
    return statistics.fmean(early) - statistics.fmean(late)


def t_of(check: Check) -> float:
    """Student's t of the blocks' differences; single samples share the machine's mood."""
    rng = random.Random(53)
    gc.disable()
    try:
        found = [longer_by_ns(check, rng) for _ in range(BLOCKS)]
    finally:
        gc.enable()
    return statistics.fmean(found) / (statistics.stdev(found) / BLOCKS**0.5)


def checked(text: str, body: bytes, _right: str) -> bool:
    return signed(text, KEY, body=body, now_s=NOW, **REQUEST)


def leaky(text: str, body: bytes, right: str) -> bool:
    checked(text, body, right)
    return all(a == b for a, b in zip(text, right, strict=True))


@pytest.mark.long
def test_a_signature_wrong_at_its_start_takes_as_long_as_at_its_end() -> None:
    """T53: a forger who measures learns nothing of where a signature is wrong."""
    assert not any(checked(*case) for group in cases(random.Random(1)) for case in group)
    assert abs(t_of(checked)) < T_MAX


@pytest.mark.long
def test_that_measure_finds_a_comparison_that_stops_at_the_first_difference() -> None:
    assert abs(t_of(leaky)) > T_MAX


async def test_no_secret_is_in_a_log_an_answer_or_the_database(
    given: Given, process: Process, db: Database
) -> None:
    client = await given.client()
    with capture_logs() as lines:
        await given.login(client)
        issued = await given.credential(client, signing_required=True)
        session = await process.sessions.login(USERNAME, PASSWORD, None)
        secrets = [
            PASSWORD,
            issued.api_secret,
            issued.signing_secret.removeprefix("whsec_"),
            session.access_token,
            session.refresh_token,
        ]
        answers = []
        async with calling(process) as api:
            for headers in (
                {"X-API-Key": issued.api_key, "X-API-Secret": issued.api_secret},
                {"X-API-Key": issued.api_secret, "X-API-Secret": issued.api_secret},
                {"Authorization": f"Bearer {session.refresh_token}"},
                {"Authorization": f"Bearer {session.access_token}x"},
            ):
                answers.append(await api.get(headers))
                answers.append(await api.post(headers, b"break"))
            good = {"Authorization": f"Bearer {session.access_token}"}
            answers.append(await api.post(good, b"break"))
            for body in (
                f'{{"username":"x","password":"{PASSWORD}"}}',
                f'{{"username":"x","password":"{PASSWORD}"',
                f'{{"username":"x","pass":"{PASSWORD}"}}',
            ):
                answers.append(await api.post(None, body.encode(), "/auth/login"))
            for token in (session.refresh_token * 2, session.refresh_token + '"'):
                body = f'{{"refresh_token":"{token}"}}'
                answers.append(await api.post(None, body.encode(), "/auth/refresh"))
    assert {status for status, _ in answers} == {400, 401, 500}
    async with db.connection() as connection:
        stored = [
            tuple(row)
            for table in ("clients", "client_logins", "credentials", "refresh_tokens", "changes")
            for row in await connection.fetch(f"SELECT * FROM {table}")
        ]
    for shown in (repr(lines), repr(answers), repr(stored)):
        assert not [secret for secret in secrets if secret in shown]
