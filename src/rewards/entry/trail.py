"""`rewards audit …`: the key and the head of the audit trail, and whether an export is unbroken."""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO

import typer

from rewards.audit import service as audit
from rewards.audit.checking import Check
from rewards.audit.csv_export import CsvRows
from rewards.audit.model_chain import public_key_of
from rewards.audit.model_export import JsonLines
from rewards.audit.sealing import key_of
from rewards.core.errors import Unavailable
from rewards.entry import database
from rewards.entry.doctor import AWAY, Trusted
from rewards.infra.crypto import Vault
from rewards.infra.db import Database
from rewards.infra.masterkey import MasterKeyProblem
from rewards.infra.settings import Settings

SOUND, WRONG = 0, 1
# An entry is far below; what has no end of lines is no export.
LINE_BYTES_MAX = 16 * 1024 * 1024
HEAD = re.compile(r"([0-9]{1,18}):([0-9a-f]{64})")


@asynccontextmanager
async def _connected(settings: Settings) -> AsyncIterator[Database]:
    db = await Database.connect(await database.app_dsn(settings), settings)
    try:
        yield db
    finally:
        await db.close()


async def trusted(settings: Settings, public_key: str, head: str) -> Trusted:
    """What the doctor may rely on: the key given, else the one of the master key here.

    Whether the database is there at all the doctor finds out itself. Refuses a head that
    `show_head` did not print.
    """
    kept = HEAD.fullmatch(head.strip().lower())
    if head and kept is None:
        raise typer.BadParameter("SEQUENCE:DIGEST, as `rewards audit head` prints it")
    if not public_key:
        try:
            public_key = await _public_key(settings) or ""
        except (*AWAY, Unavailable):
            public_key = ""
    return Trusted(
        public_key.strip().lower() or None,
        (int(kept[1]), bytes.fromhex(kept[2])) if kept else None,
    )


async def _public_key(settings: Settings) -> str | None:
    """None where nothing is sealed yet, or no master key is at hand. Makes none."""
    async with _connected(settings) as db:
        async with db.connection() as connection:
            if (await audit.head(connection)).sequence == 0:
                return None
        try:
            return public_key_of(key_of(await Vault.open_database(db, settings)))
        except MasterKeyProblem:
            return None


async def show_key(settings: Settings) -> int:
    """Print the public key; 1 where there is none yet, or no master key."""
    key = await _public_key(settings)
    typer.echo(key or "nothing is sealed yet, or there is no master key here", err=key is None)
    return WRONG if key is None else SOUND


async def show_head(settings: Settings) -> None:
    """Print where the chain ends."""
    async with _connected(settings) as db, db.connection() as connection:
        head = await audit.head(connection)
    typer.echo(f"{head.sequence}:{head.digest.hex()}")


def verify(path: Path, public_key: str) -> int:
    """Say whether the file is unbroken; 1 and what is wrong, the first first, when not.

    Read line by line: however long it is, no more of it is held than the digests of one seal.
    """
    check = Check(public_key.strip().lower())
    try:
        with path.open("rb") as file:
            form = JsonLines if file.read(1) == b"{" else CsvRows
            file.seek(0)
            problems = check.run(form.read(_lines(file)))
    except OSError as gone:
        problems = [gone.strerror or "cannot be read"]
    for sentence in problems:
        typer.echo(sentence, err=True)
    if problems or check.heading is None:
        return WRONG
    first, last = check.heading.first_sequence, check.heading.last_sequence
    typer.echo(f"unbroken: {check.entries} entries in seals {first} to {last}")
    return SOUND


def _lines(file: BinaryIO) -> Iterator[bytes]:
    while line := file.readline(LINE_BYTES_MAX):
        yield line
