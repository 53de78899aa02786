"""`rewards fx load`: exchange rates from a file."""

import sys
from pathlib import Path

import typer

from rewards.core.actor import SYSTEM
from rewards.core.clock import SystemClock
from rewards.core.errors import InvalidField
from rewards.entry import database
from rewards.infra.db import Database, Tx
from rewards.infra.settings import Settings
from rewards.pricing.files import FILE_BYTES_MAX, BadRateFile, RowProblem, read_rates
from rewards.pricing.model_rates import Loaded, Outcome
from rewards.pricing.service_rates import offer_rates

LOADED, REFUSED, SOME_HELD = 0, 1, 2


async def load(settings: Settings, path: Path, origin: str) -> int:
    """Offer the file's rates and say what became of each; the exit code.

    0: all in force. 1: something in the file is wrong, and nothing was loaded. 2: some jump, and
    wait for a person (`/admin/api/v1/fx-rates/held`); the others are in force.
    """
    clock = SystemClock()
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
        rates = read_rates(content, origin or path.name, settings.fx_spread_percent, clock.now())
    except OSError as gone:
        return _refuse([RowProblem(0, gone.strerror or "cannot be read")])
    except BadRateFile as bad:
        return _refuse(bad.problems)
    db = await Database.connect(await database.app_dsn(settings), settings)

    async def work(tx: Tx) -> list[Loaded]:
        return await offer_rates(
            tx, rates, SYSTEM, clock.now(), settings, reason=f"file {path.name}"
        )

    try:
        loaded = await db.run(work)
    except InvalidField as bad:
        return _refuse([RowProblem(0, bad.message)])
    finally:
        await db.close()
    for each in loaded:
        typer.echo(f"{each.rate.source} {each.rate.target} {each.rate.rate:f} {each.outcome}")
    return SOME_HELD if any(each.outcome is Outcome.HELD for each in loaded) else LOADED


def _refuse(problems: list[RowProblem]) -> int:
    for problem in problems:
        place = f"row {problem.row}: " if problem.row else ""
        typer.echo(place + problem.reason, file=sys.stderr)
    typer.echo("Nothing was loaded.", file=sys.stderr)
    return REFUSED
