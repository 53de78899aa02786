"""Turns the troubles of a call into outcomes: the one place that says what a lost answer means."""

from collections.abc import Awaitable, Iterator
from contextlib import contextmanager

from rewards.vendors.model import Outcome, Reason, Refused, Unknown
from rewards.vendors.port import SignInRefused
from rewards.vendors.wire import NoAnswer, NotSent

SENSELESS = "the answer makes no sense"
# What reading fields out of nonsense raises.
_NONSENSE = (LookupError, TypeError, ValueError, ArithmeticError, AttributeError)


@contextmanager
def making_sense() -> Iterator[None]:
    """For what has no outcome (catalogue, balance): nonsense in an answer raises NoAnswer."""
    try:
        yield
    except _NONSENSE:
        raise NoAnswer(SENSELESS) from None


async def of_placing(placing: Awaitable[Outcome]) -> Outcome:
    """The outcome of placing. Never sent: a transient refusal. No sensible answer: Unknown.

    Not signed in, which is not sent either: refused for good.
    """
    try:
        outcome = await placing
    except NotSent as trouble:
        return not_sent(trouble)
    except SignInRefused as no:
        return Refused(no.reason, str(no))
    except NoAnswer as trouble:
        return Unknown(str(trouble))
    except _NONSENSE:
        return Unknown(SENSELESS)
    return outcome


async def of_reading(reading: Awaitable[Outcome]) -> Outcome:
    """The outcome of reading back. Only the vendor's own word about the order is more than Unknown.

    A transient refusal says nothing about the order that was asked for, nor do bad credentials.
    """
    try:
        outcome = await reading
    except (NotSent, NoAnswer, SignInRefused) as trouble:
        return Unknown(str(trouble))
    except _NONSENSE:
        return Unknown(SENSELESS)
    if isinstance(outcome, Refused) and outcome.reason in _ABOUT_THE_ASKING:
        return Unknown(f"not told: {outcome.message}")
    return outcome


_ABOUT_THE_ASKING = frozenset(
    {
        Reason.THROTTLED,
        Reason.VENDOR_DOWN,
        Reason.BAD_CREDENTIALS,
        Reason.IP_NOT_ALLOWED,
        Reason.SIGNATURE_BAD,
        Reason.VENDOR_CONFIG,
    }
)


def not_sent(trouble: NotSent) -> Refused:
    """Nothing reached the vendor; the same key may be placed later."""
    reason = Reason.THROTTLED if trouble.throttled else Reason.VENDOR_DOWN
    return Refused(reason, str(trouble), trouble.retry_after_s)
