"""Rules for usernames and passwords; pure (the digests are made by `infra.passwords`)."""

import re

from rewards.core.errors import InvalidField

USERNAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9._@+\-]{2,99}", re.ASCII)
USERNAME_CHARS_MAX = 100
PASSWORD_CHARS_MIN = 8
PASSWORD_CHARS_MAX = 128

# The first guesses of every attacker, among those long enough to pass the length rule.
_COMMON = """
12345678 123456789 1234567890 0123456789 0987654321 987654321 87654321 11111111 00000000
12341234 123123123 11223344 112233445566 123456780 12345679 1q2w3e4r 1q2w3e4r5t 1qaz2wsx
1qaz2wsx3edc q1w2e3r4 q1w2e3r4t5 zaq12wsx !qaz2wsx qwertyui qwertyuiop qwerty12 qwerty123
qwerty1234 qwerty12345 asdfghjk asdfghjkl zxcvbnm1 asdf1234 abcd1234 abcdefgh abc12345
aa123456 a1234567 a12345678 a123456789 password password1 password12 password123
password1234 passw0rd p@ssword p@ssw0rd pa55word passwort passw0rd1 p@ssw0rd123 letmein1
letmein123 welcome1 welcome12 welcome123 welcome2024 welcome2025 welcome2026 administrator
admin123 admin1234 admin12345 admin@123 root1234 rootroot changeme changeme1 changeme123
default1 secret12 secret123 test1234 testtest testing1 testing123 iloveyou iloveyou1
sunshine sunshine1 princess princess1 football football1 baseball baseball1 basketball
superman superman1 batman123 starwars starship starship1 trustno1 whatever internet
computer computer1 michelle jennifer jordan23 liverpool chelsea1 arsenal1 samsung1
dragon123 monkey123 master123 shadow123 michael1 charlie1 ashley123 killer123 hello123
helloworld hello1234 freedom1 mustang1 corvette maverick midnight cocacola blink182
summer2024 summer2025 summer2026 winter2024 winter2025 winter2026 spring2025 autumn2025
giftcard giftcard1 voucher1 rewards1 rewards123 starshiprewards company1 company123
"""
COMMON_PASSWORDS = frozenset(_COMMON.split())


def normal_username(text: str) -> str:
    """Usernames are told apart by their lower-case form."""
    return text.lower()


def is_username(username: str) -> bool:
    """Whether this could be one, in its normal form."""
    return USERNAME_PATTERN.fullmatch(username) is not None


def check_username(username: str) -> None:
    """Raise InvalidField unless it is 3 to 100 of a-z, 0-9 and . _ @ + - (after lowering)."""
    if not username:
        raise InvalidField("Username", "required")
    if len(username) > USERNAME_CHARS_MAX:
        raise InvalidField("Username", "max")
    if not is_username(username):
        raise InvalidField("Username", "username")


def check_password(password: str, username: str = "") -> None:
    """Raise InvalidField unless a new password is 8 to 128 characters and not an obvious guess.

    Obvious: one of the commonest, the username, or a single character over and over. No other
    rules of composition: they make passwords worse (NIST SP 800-63B §5.1.1.2).
    """
    if not password:
        raise InvalidField("Password", "required")
    if len(password) < PASSWORD_CHARS_MIN:
        raise InvalidField("Password", "min")
    if len(password) > PASSWORD_CHARS_MAX:
        raise InvalidField("Password", "max")
    lowered = password.lower()
    if lowered in COMMON_PASSWORDS or lowered == username.lower() or len(set(lowered)) == 1:
        raise InvalidField("Password", "common")
