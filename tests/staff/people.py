"""People who are let in, log in by password, and may have an authenticator."""

from base64 import b32decode
from dataclasses import dataclass, field
from typing import Any

from rewards.infra.passwords import Passwords
from rewards.staff import service
from rewards.staff.model import NewStaff, Role, Staff
from rewards.staff.totp import code_of, step_at
from tests.staff.house import NOON, PASSWORD, House

LOGIN = "/admin/auth/login"
LOGOUT = "/admin/auth/logout"
API = "/admin/api/v1"
ME = f"{API}/me"
FACTOR = f"{ME}/second-factor"


async def let_in(
    house: House, passwords: Passwords, username: str = "ann", role: Role = Role.ADMIN
) -> Staff:
    digests = await passwords.digests([PASSWORD])
    async with house.db.transaction() as tx:
        [person] = await service.create_staff(
            tx, [NewStaff(username, role, PASSWORD)], digests, NOON
        )
    assert isinstance(person, Staff)
    return person


async def log_in(
    house: House, username: str = "ann", password: str = PASSWORD, **more: str
) -> dict[str, str]:
    """The headers of a fresh session."""
    body = {"username": username, "password": password, **more}
    answer = await house.http.post(LOGIN, json=body)
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


async def ask(
    house: House, headers: dict[str, str], method: str, path: str, body: Any = None
) -> Any:
    """What a request that must succeed answers; None for nothing."""
    answer = await house.http.request(method, path, json=body, headers=headers)
    assert answer.is_success, answer.text
    return answer.json() if answer.content else None


async def refused(
    house: House,
    headers: dict[str, str] | None,
    method: str,
    path: str,
    body: Any = None,
) -> tuple[int, str]:
    """Status and code of a refusal that changed nothing; the trail tells of one at the door."""
    before = await house.everything()
    answer = await house.http.request(method, path, json=body, headers=headers)
    assert not answer.is_success, answer.text
    after = await house.everything()
    if path == LOGIN:
        told = [row for row in after["audit_entries"] if row not in before["audit_entries"]]
        assert all("staff.login_refused" in row for row in told)
        after["audit_entries"] = before["audit_entries"]
    assert after == before
    return answer.status_code, answer.json()["code"]


@dataclass
class Authenticator:
    """What somebody has on a phone, and the codes on their paper."""

    house: House
    secret: bytes
    recovery_codes: list[str] = field(default_factory=list)

    def code(self, steps_later: int = 0) -> str:
        return code_of(self.secret, step_at(self.house.clock.now()) + steps_later)

    @property
    def wrong(self) -> str:
        near = {self.code(aside) for aside in (-1, 0, 1)}
        return next(code for code in ("000000", "111111", "222222", "333333") if code not in near)


async def enrol(house: House, headers: dict[str, str]) -> Authenticator:
    """A second factor that is on; its first code is used, and the clock is in the next one's."""
    begun = await ask(house, headers, "POST", FACTOR)
    phone = Authenticator(house, b32decode(begun["secret"]))
    told = await ask(house, headers, "POST", f"{FACTOR}/confirm", {"code": phone.code()})
    phone.recovery_codes = told["recovery_codes"]
    house.clock.advance(seconds=30)
    return phone
