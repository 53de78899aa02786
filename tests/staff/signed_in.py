"""People of the staff who are logged in, without the trouble of a login."""

from datetime import datetime, timedelta
from typing import Any

from rewards.infra.crypto import Vault
from rewards.infra.tokens import Signer
from rewards.staff.auth import AUDIENCE, SESSION_CLAIM, TOKEN_KEY

# Sessions of tests have numbers that no login is given.
SESSIONS_FROM = 10**12
# Whatever a test does with its clock: never seen, never idle, always proven.
SIGN_IN = """
INSERT INTO staff_sessions (id, staff_id, proof, proven_at, created_at, last_seen_at, expires_at)
OVERRIDING SYSTEM VALUE
SELECT $1 + id, id, 'PASSWORD', '2200-01-01', '2026-01-01', '2200-01-01', '2200-01-01'
FROM staff_users WHERE id = $2
"""


async def sign_in(connection: Any, staff_id: int) -> None:
    """A session for this person that lasts; `bearer` tells its token."""
    await connection.execute(SIGN_IN, SESSIONS_FROM, staff_id)


def bearer(
    vault: Vault, staff_id: int, at: datetime, *, epoch: int = 0, session_id: int | None = None
) -> dict[str, str]:
    """Headers with a token of an hour for the session that `sign_in` made, or for another."""
    session = SESSIONS_FROM + staff_id if session_id is None else session_id
    signer = Signer(vault.mac_key(TOKEN_KEY), AUDIENCE)
    shown = signer.issue(staff_id, epoch, at, timedelta(hours=1), {SESSION_CLAIM: session})
    return {"Authorization": f"Bearer {shown}"}
