"""`rewards audit …`: the key and the head of the audit trail, and whether an export is unbroken."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import typer

from rewards.audit import service as audit
from rewards.audit.model_chain import public_key_of
from rewards.audit.sealing import key_of
from rewards.core.errors import Unavailable
from rewards.entry import database
from rewards.entry.doctor import AWAY, Trusted
from rewards.infra.crypto import Vault
from rewards.infra.db import Database
from rewards.infra.masterkey import MasterKeyProblem
from rewards.infra.settings import Settings

SOUND, WRONG = 0, 1
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
