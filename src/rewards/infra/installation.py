"""What runs here: the version of the code, of the database, and of its schema."""

from dataclasses import dataclass
from importlib.metadata import version

from rewards.infra.db import Tx

PACKAGE = "starship-rewards"
READ = """
SELECT current_setting('server_version') AS postgres, max(name) AS migration,
    count(*) AS migrations, max(applied_at) AS migrated_at
FROM schema_migrations
"""


@dataclass(frozen=True, slots=True)
class Installation:
    """`migration`: the last file that was applied, of so many."""

    version: str
    postgres: str
    migration: str
    migrations: int


async def read(tx: Tx) -> Installation:
    row = await tx.fetchrow(READ)
    assert row is not None, "a count has a row"
    return Installation(
        version(PACKAGE), row["postgres"], row["migration"] or "", row["migrations"]
    )
