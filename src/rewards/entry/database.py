"""Which database a process talks to: the one the settings name, or the embedded one of `home`."""

from rewards.infra import migrate as migrations
from rewards.infra.postgres import ensure_server
from rewards.infra.postgres_files import APP_ROLE
from rewards.infra.settings import Settings


async def app_dsn(settings: Settings) -> str:
    """For serving. Starts the embedded server when no other one is named."""
    named = settings.database_url.get_secret_value()
    return named or (await ensure_server(settings.home)).app_dsn


async def owner_dsn(settings: Settings) -> str:
    """For migrations and the doctor: the role that owns the schema."""
    named = settings.owner_database_url.get_secret_value()
    named = named or settings.database_url.get_secret_value()
    return named or (await ensure_server(settings.home)).owner_dsn


async def migrate(settings: Settings) -> list[str]:
    """Apply what is missing; the names of what was applied."""
    embedded = not settings.database_url.get_secret_value()
    return await migrations.migrate(
        await owner_dsn(settings), app_role=APP_ROLE if embedded else None, cell=settings.cell
    )
