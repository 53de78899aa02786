"""Refusals: what a caller may expect to hear, as values with stable codes."""

from collections.abc import Mapping
from typing import ClassVar


class Refusal(Exception):
    """An expected refusal. In a batch it is a result like any other; at the edge it is raised.

    `code` is public API and never renamed; `error` and `message` follow the seed documents to the
    letter (spec.md D4). Whatever is not a Refusal is a bug or an outage. A refusal changes nothing.
    """

    status: ClassVar[int] = 400
    error: ClassVar[str] = "BadRequest"
    code: ClassVar[str]
    default_message: ClassVar[str] = ""

    def __init__(
        self,
        message: str = "",
        *,
        details: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.message = message or self.default_message
        self.details = details
        self.headers = headers
        super().__init__(self.message)


class InvalidBody(Refusal):
    """The body is not JSON, has a wrong type, or names an unknown field."""

    code = "INVALID_BODY"
    default_message = "Invalid request body format"


class InvalidField(Refusal):
    """A field breaks a rule; the message is `Invalid <Field>: <rule>`."""

    code = "INVALID_FIELD"

    def __init__(
        self, field: str, rule: str, *, details: Mapping[str, object] | None = None
    ) -> None:
        super().__init__(f"Invalid {field}: {rule}", details=details)


class Unauthorized(Refusal):
    status = 401
    error = "UnauthorizedAccess"
    code = "UNAUTHORIZED"
    default_message = "User is not authorised to perform this action"


class Forbidden(Refusal):
    """Known caller, but not for this: a missing scope, role or permission."""

    status = 403
    error = "Forbidden"
    code = "FORBIDDEN"
    default_message = "Insufficient permissions"


class NotFound(Refusal):
    """Also the answer for what belongs to somebody else (D13)."""

    status = 404
    error = "NotFound"
    code = "NOT_FOUND"
    default_message = "Not found"


class Conflict(Refusal):
    """The subject is not in a state that allows this; somebody else may have won a race."""

    status = 409
    error = "Conflict"
    code = "CONFLICT"


class TooManyRequests(Refusal):
    status = 429
    error = "TooManyRequests"
    code = "RATE_LIMITED"
    default_message = "Rate limit exceeded"


class Unavailable(Refusal):
    """Try again after `Retry-After`: the queue is full, or the database is away."""

    status = 503
    error = "ServiceUnavailable"
    code = "UNAVAILABLE"
    default_message = "Service temporarily unavailable, please retry"

    def __init__(self, message: str = "", *, retry_after_s: int = 1) -> None:
        super().__init__(message, headers={"Retry-After": str(retry_after_s)})
