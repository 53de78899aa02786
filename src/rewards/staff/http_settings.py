"""What this installation runs with: settings, periods and versions; secrets never."""

from decimal import Decimal
from typing import Any

import msgspec
from litestar import Response, Router, get

from rewards.infra import installation
from rewards.infra.http import encode
from rewards.infra.openapi import answers
from rewards.infra.settings_told import Told, told
from rewards.staff.auth import requires
from rewards.staff.given import GivenDatabase, GivenKept, GivenSettings
from rewards.staff.model import Permission


class SettingOut(msgspec.Struct):
    """One setting and the variable of the environment that sets it.

    Of a secret `value` and `default` are null, and `is_set` says whether there is one. Of any other
    `is_set` says whether it differs from the default.
    """

    name: str
    variable: str
    description: str
    value: Any
    default: Any
    secret: bool
    is_set: bool

    @classmethod
    def of(cls, one: Told) -> "SettingOut":
        return cls(**{name: getattr(one, name) for name in cls.__struct_fields__})


class KeptOut(msgspec.Struct):
    """How long something is kept, or counts."""

    name: str
    hours: Decimal
    description: str


class SettingsOut(msgspec.Struct):
    """`migration` is the last file of the schema that was applied, of `migrations`."""

    version: str
    postgres: str
    migration: str
    migrations: int
    settings: list[SettingOut]
    kept: list[KeptOut]


@get(
    "/settings",
    operation_id="getSettings",
    guards=[requires(Permission.SETTINGS_READ)],
    responses=answers(SettingsOut, 401, 403),
)
async def get_settings(
    db: GivenDatabase, settings: GivenSettings, kept: GivenKept
) -> Response[bytes]:
    """What the process that answers runs with. Settings are changed where it is started."""
    async with db.connection() as connection:
        here = await installation.read(connection)
    hours = [KeptOut(k.name, Decimal(k.period.total_seconds()) / 3600, k.description) for k in kept]
    return encode(
        SettingsOut(
            here.version,
            here.postgres,
            here.migration,
            here.migrations,
            [SettingOut.of(one) for one in told(settings)],
            hours,
        )
    )


ROUTER = Router(path="/admin/api/v1", tags=["Settings (staff)"], route_handlers=[get_settings])
