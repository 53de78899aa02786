"""What a simulator can be told to do wrong, and which fault strikes the next call."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

HEADER = "X-Simulate"
SCRIPT_MAX = 10_000
# The operator refuses a recharge of a number that ends so, after the vendor took the order.
REFUSED_NUMBER = "0000"


class Fault(StrEnum):
    """Of the wire (any call), or of the sale (placing and what follows from it)."""

    # The wire: before anything is done.
    DROP_BEFORE = "DROP_BEFORE"
    ERROR_BEFORE = "ERROR_BEFORE"
    THROTTLE = "THROTTLE"
    TOKEN_KILLED = "TOKEN_KILLED"  # noqa: S105
    IP_DENIED = "IP_DENIED"
    # The wire: all is done, and the answer is lost or spoiled.
    DROP_AFTER = "DROP_AFTER"
    ERROR_AFTER = "ERROR_AFTER"
    SLOW = "SLOW"
    HTML = "HTML"
    HUGE = "HUGE"
    GARBAGE = "GARBAGE"
    REDIRECT = "REDIRECT"
    # The sale.
    OUT_OF_STOCK = "OUT_OF_STOCK"
    NO_BALANCE = "NO_BALANCE"
    INACTIVE = "INACTIVE"
    PRICE_DRIFT = "PRICE_DRIFT"
    PARTIAL = "PARTIAL"
    DUPLICATE_CODE = "DUPLICATE_CODE"
    WRONG_COUNT = "WRONG_COUNT"
    WRONG_VALUE = "WRONG_VALUE"
    EXPIRED_CODE = "EXPIRED_CODE"
    NEVER_READY = "NEVER_READY"
    LATE_FAILURE = "LATE_FAILURE"
    BAD_CIPHER = "BAD_CIPHER"
    VELOCITY_LIMIT = "VELOCITY_LIMIT"  # paid for, answered as an error, and no card ever comes
    # What the vendor tells by itself.
    DUPLICATE_CALLBACK = "DUPLICATE_CALLBACK"
    REORDER_CALLBACKS = "REORDER_CALLBACKS"


BEFORE = frozenset({Fault.DROP_BEFORE, Fault.ERROR_BEFORE})
AFTER = frozenset(
    {
        Fault.DROP_AFTER,
        Fault.ERROR_AFTER,
        Fault.SLOW,
        Fault.HTML,
        Fault.HUGE,
        Fault.GARBAGE,
        Fault.REDIRECT,
    }
)
# What a reserved product can bring: all that strikes once the product is known.
_NOT_OF_ANY_PRODUCT = BEFORE | {
    *(Fault.THROTTLE, Fault.TOKEN_KILLED, Fault.IP_DENIED),
    # Of one vendor's wire alone.
    *(Fault.BAD_CIPHER, Fault.VELOCITY_LIMIT),
}
BY_PRODUCT = tuple(fault for fault in Fault if fault not in _NOT_OF_ANY_PRODUCT)


@dataclass(slots=True)
class Scripted:
    """`fault` for the next `times` calls named `call` (None: any call), after `skip` of them."""

    fault: Fault
    call: str | None = None
    times: int = 1
    skip: int = 0


class Script:
    """Faults that wait for their call, first come first served."""

    def __init__(self) -> None:
        self._waiting: list[Scripted] = []

    def add(self, asked: Iterable[Scripted]) -> None:
        self._waiting += asked
        assert len(self._waiting) <= SCRIPT_MAX, "a script of a bounded length"

    def clear(self) -> None:
        self._waiting.clear()

    def next(self, call: str) -> Fault | None:
        """The fault this call suffers, which is used up by it."""
        for scripted in self._waiting:
            if scripted.call not in (None, call):
                continue
            if scripted.skip:
                scripted.skip -= 1
                return None
            scripted.times -= 1
            if scripted.times <= 0:
                self._waiting.remove(scripted)
            return scripted.fault
        return None
