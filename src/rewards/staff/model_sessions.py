"""Sessions of staff: how long one lasts, when its owner must prove who they are again; pure."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from rewards.core.errors import Conflict, NotFound, Refusal
from rewards.staff.model import Staff

# A working day; whoever goes on logs in again.
SESSION_LIFETIME = timedelta(hours=10)
# How exactly it is known when a session was last used.
SEEN_EVERY = timedelta(minutes=1)
USER_AGENT_CHARS_MAX = 120
RECOVERY_CODES = 10
PROVE = "POST /admin/api/v1/me/prove"
ENROL = "POST /admin/api/v1/me/second-factor"


class Proof(StrEnum):
    """What somebody showed of themselves in a session."""

    PASSWORD = "PASSWORD"  # noqa: S105
    PASSWORD_AND_CODE = "PASSWORD_AND_CODE"  # noqa: S105
    PASSWORD_AND_RECOVERY_CODE = "PASSWORD_AND_RECOVERY_CODE"  # noqa: S105


class EndReason(StrEnum):
    LOGGED_OUT = "LOGGED_OUT"
    # By its owner, from another session.
    ENDED = "ENDED"
    ENDED_BY_ADMIN = "ENDED_BY_ADMIN"
    PASSWORD_CHANGED = "PASSWORD_CHANGED"  # noqa: S105
    DEACTIVATED = "DEACTIVATED"
    SECOND_FACTOR_CHANGED = "SECOND_FACTOR_CHANGED"


class SessionState(StrEnum):
    LIVE = "LIVE"
    # Its time was over, or nobody used it for too long.
    EXPIRED = "EXPIRED"
    ENDED = "ENDED"


@dataclass(frozen=True, slots=True)
class SessionRules:
    """What the settings say. `proof_for` is how long a proof counts; None: none is ever asked."""

    idle_max: timedelta
    proof_for: timedelta | None
    second_factor_required: bool


@dataclass(frozen=True, slots=True)
class NewSession:
    staff_id: int
    proof: Proof
    address: str | None
    user_agent: str | None


@dataclass(frozen=True, slots=True)
class StaffSession:
    """One login. `ended_by` is a member of staff; None where the command line did it."""

    id: int
    staff_id: int
    proof: Proof
    proven_at: datetime
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    address: str | None
    user_agent: str | None
    ended_at: datetime | None
    ended_by: int | None
    end_reason: EndReason | None

    def state(self, at: datetime, idle_max: timedelta) -> SessionState:
        if self.ended_at is not None:
            return SessionState.ENDED
        if at >= self.expires_at or at >= self.last_seen_at + idle_max:
            return SessionState.EXPIRED
        return SessionState.LIVE

    def proven_until(self, rules: SessionRules) -> datetime | None:
        """Until when nothing more is asked; None where nothing ever is."""
        return None if rules.proof_for is None else self.proven_at + rules.proof_for


@dataclass(frozen=True, slots=True)
class SignedIn:
    """What a process holds in memory of a session and its owner."""

    staff: Staff
    session: StaffSession
    # Confirmed, and so asked for at every login.
    second_factor: bool


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """A fresh login."""

    staff: Staff
    session: StaffSession
    access_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Factor:
    """A second factor as it is kept: its secret sealed, `on` once it was confirmed."""

    secret: bytes = field(repr=False)
    on: bool
    last_step: int


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody whose row is locked, with all that a proof is held against."""

    staff: Staff
    password_hash: str = field(repr=False)
    factor: Factor | None

    @property
    def has_factor(self) -> bool:
        return self.factor is not None and self.factor.on


@dataclass(frozen=True, slots=True)
class Given:
    """What somebody shows besides a password: a code of their second factor, or one for its loss.

    `recovery_code` is as it was made, without what people type between its parts.
    """

    code: str | None = field(default=None, repr=False)
    recovery_code: str | None = field(default=None, repr=False)

    def __bool__(self) -> bool:
        return self.code is not None or self.recovery_code is not None


class SessionNotFound(NotFound):
    code = "SESSION_NOT_FOUND"
    default_message = "Session not found"


class SecondFactorRequired(Refusal):
    """Told only to who has the right password."""

    status = 401
    error = "UnauthorizedAccess"
    code = "SECOND_FACTOR_REQUIRED"
    default_message = "Send code or recovery_code as well"


class CodeRefused(Refusal):
    """At a login: wrong, used before, or not of this time."""

    status = 401
    error = "UnauthorizedAccess"
    code = "CODE_REFUSED"
    default_message = "The code is wrong or was used before"


class ProofRefused(Refusal):
    """In a session, which goes on: the password or code is not right."""

    status = 403
    error = "Forbidden"
    code = "PROOF_REFUSED"
    default_message = "The password or code is wrong, or the code was used before"


class ProofNeeded(Refusal):
    """The session is fine, but nobody has shown for a while that its owner still sits there."""

    status = 403
    error = "Forbidden"
    code = "PROOF_NEEDED"
    default_message = f"Prove who you are first: {PROVE} with your password or a code"

    def __init__(self) -> None:
        super().__init__(details={"do": PROVE})


class SecondFactorNeeded(Refusal):
    """Everybody has one here (REWARDS_STAFF_SECOND_FACTOR=required), and this person has none."""

    status = 403
    error = "Forbidden"
    code = "SECOND_FACTOR_NEEDED"
    default_message = f"Set up a second factor first: {ENROL}, and confirm it with a code"

    def __init__(self) -> None:
        super().__init__(details={"do": ENROL})


class SecondFactorOn(Conflict):
    code = "SECOND_FACTOR_ON"
    default_message = "A second factor is set up; remove it before another one"


class SecondFactorOff(Conflict):
    code = "SECOND_FACTOR_OFF"
    default_message = "No second factor is set up"


class NoPendingFactor(Conflict):
    code = "NO_PENDING_SECOND_FACTOR"
    default_message = "No second factor waits to be confirmed"


class OwnSecondFactor(Conflict):
    """An admin's word must not stand in for an admin's own code."""

    code = "OWN_SECOND_FACTOR"
    default_message = "Remove your own second factor with a code, or with a recovery code"
