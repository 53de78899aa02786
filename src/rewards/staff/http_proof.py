"""What a body may show of who somebody is, in the form that it is held against."""

import re

from rewards.core.errors import InvalidField
from rewards.core.text import printable
from rewards.staff.model_sessions import Given

CHARS_MAX = 128
CODE = re.compile("[0-9]{6}", re.ASCII)
RECOVERY_CODE = re.compile("[A-Z2-7]{16}", re.ASCII)
# What people, and phones, put between the parts of a code.
BETWEEN = re.compile("[- ]")


def given_of(code: str | None, recovery_code: str | None) -> Given:
    """The one of both that was sent, if any; refuses both, and what can be neither."""
    if code is not None and recovery_code is not None:
        raise InvalidField("RecoveryCode", "not together with code")
    if code is not None:
        code = BETWEEN.sub("", code)
        if not CODE.fullmatch(code):
            raise InvalidField("Code", "format")
    if recovery_code is not None:
        recovery_code = BETWEEN.sub("", recovery_code).upper()
        if not RECOVERY_CODE.fullmatch(recovery_code):
            raise InvalidField("RecoveryCode", "format")
    return Given(code, recovery_code)


def password_of(field: str, value: str | None) -> str:
    """A password as it was sent; refuses none, and what nobody can have."""
    if not value:
        raise InvalidField(field, "required")
    return printable(field, value, CHARS_MAX)
