"""Secrets: compared in constant time, and in no log, error, change row or table in the clear."""

import ast
import gc
import random
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

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
# A count of logouts, and no secret.
HARMLESS = {"token_epoch"}
SAMPLES = 100_000


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


def welch_t(first: list[int], second: list[int]) -> float:
    spread = statistics.variance(first) / len(first) + statistics.variance(second) / len(second)
    return (statistics.fmean(first) - statistics.fmean(second)) / spread**0.5


def timed(check: Callable[[str], object], early: str, late: str) -> tuple[list[int], list[int]]:
    """Nanoseconds for each of two inputs, in random turns; what the scheduler did is cut off."""
    rng, times = random.Random(53), {early: [], late: []}
    gc.disable()
    try:
        for _ in range(SAMPLES):
            text = early if rng.random() < 0.5 else late
            start = time.perf_counter_ns()
            check(text)
            times[text].append(time.perf_counter_ns() - start)
    finally:
        gc.enable()
    ceiling = sorted(times[early] + times[late])[SAMPLES * 9 // 10]
    return tuple([t for t in times[each] if t <= ceiling] for each in (early, late))  # type: ignore[return-value]


@pytest.mark.long
def test_a_signature_wrong_at_its_start_takes_as_long_as_at_its_end() -> None:
    key, now = b"k" * 32, 1_757_321_938
    request = {"method": "GET", "path": b"/api/v1/orders", "query": b"", "body": b""}
    right = sign(key, timestamp=now, **request)  # type: ignore[arg-type]
    start = right.index("v1=") + 3
    early = right[:start] + ("0" if right[start] != "0" else "1") + right[start + 1 :]
    late = right[:-1] + ("0" if right[-1] != "0" else "1")

    def check(text: str) -> bool:
        return signed(text, key, now_s=now, **request)  # type: ignore[arg-type]

    assert not check(early) and not check(late)
    assert abs(welch_t(*timed(check, early, late))) < 4.5


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
