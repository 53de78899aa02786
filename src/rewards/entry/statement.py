"""`rewards statement`, `statement-key` and `verify-statement`: books that anybody can check."""

import asyncio
import sys
from contextlib import AsyncExitStack
from datetime import date
from pathlib import Path

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rich.console import Console

from rewards.core.clock import SystemClock
from rewards.core.errors import Refusal
from rewards.entry import database
from rewards.entry.reconcile import read_day
from rewards.infra.crypto import Vault
from rewards.infra.db import Database
from rewards.infra.settings import Settings
from rewards.reconciliation import documents, statement
from rewards.reconciliation.model_statement import Statement, imbalances

SOUND, WRONG = 0, 1


def make(settings: Settings, first: str, last: str, out: Path | None, *, as_csv: bool) -> int:
    """Write the statement of whole days; 1 when something in it does not add up, or is refused."""
    try:
        days = read_day("From", first), read_day("To", last)
        made, key = asyncio.run(_count(settings, *days))
    except Refusal as refused:
        return _told([refused.message])
    document = documents.sign(made, key)
    content = documents.to_csv(document) if as_csv else documents.to_json(document)
    if out is None:
        sys.stdout.buffer.write(content)
    else:
        out.write_bytes(content)
    return _told(list(imbalances(made.lines)))


async def _count(
    settings: Settings, first_day: date, last_day: date
) -> tuple[Statement, Ed25519PrivateKey]:
    async with AsyncExitStack() as stack:
        db = await Database.connect(await database.app_dsn(settings), settings)
        stack.push_async_callback(db.close)
        key = statement.signing_key(await Vault.open_database(db, settings))
        shown = stack.enter_context(Console(file=sys.stderr).status("counting"))

        def told(what: str, done: int, of: int) -> None:
            shown.update(f"{what}: {done:,} of {of:,}")

        return await statement.state(db, SystemClock(), first_day, last_day, told=told), key


async def show_key(settings: Settings) -> None:
    """Print the public key."""
    db = await Database.connect(await database.app_dsn(settings), settings)
    try:
        key = statement.signing_key(await Vault.open_database(db, settings))
    finally:
        await db.close()
    typer.echo(documents.public_key_of(key))


def verify(path: Path, public_key: str) -> int:
    """Say whether the file is as it was signed and adds up; 1 and what is wrong when not."""
    try:
        with path.open("rb") as file:
            content = file.read(documents.FILE_BYTES_MAX + 1)
    except OSError as gone:
        return _told([gone.strerror or "cannot be read"])
    if len(content) > documents.FILE_BYTES_MAX:
        return _told(["this is no statement: too large"])
    wrong = documents.tampering(content, public_key.strip().lower())
    if wrong:
        return _told(wrong)
    document, _ = documents.read(content)
    heading = document.statement
    made = Statement(
        heading.first_day,
        heading.last_day,
        heading.made_at,
        tuple(each.line for each in document.lines),
    )
    typer.echo(f"signed and unchanged: {made.first_day} to {made.last_day}, {heading.lines} lines")
    return _told(list(imbalances(made.lines)))


def _told(wrong: list[str]) -> int:
    for sentence in wrong:
        typer.echo(sentence, err=True)
    return WRONG if wrong else SOUND
