"""`rewards staff add`: lets somebody in from the command line, the first admin above all."""

import secrets
import sys

import typer

from rewards.core.clock import SystemClock
from rewards.core.errors import Refusal
from rewards.entry import database
from rewards.infra.db import Database
from rewards.infra.passwords import Passwords
from rewards.infra.settings import Settings
from rewards.staff import service
from rewards.staff.model import NewStaff, Role

PASSWORD_BYTES = 18


async def add_staff(settings: Settings, username: str, role: Role) -> int:
    """Let one person in and print their password, once; 1 and the reason when that is refused."""
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    db = await Database.connect(await database.app_dsn(settings), settings)
    passwords = Passwords()
    try:
        digests = await passwords.digests([password])
        async with db.transaction() as tx:
            [answer] = await service.create_staff(
                tx, [NewStaff(username, role, password)], digests, SystemClock().now()
            )
    finally:
        passwords.close()
        await db.close()
    if isinstance(answer, Refusal):
        typer.echo(answer.message, err=True)
        return 1
    # The only place it is ever shown; a log would keep it.
    sys.stdout.write(
        f"username  {answer.username}\nrole      {answer.role}\npassword  {password}\n"
    )
    return 0
