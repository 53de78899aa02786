"""T52: how long a login takes to be refused does not tell whether there is such a user."""

import time
from statistics import median

import pytest

from rewards.core.errors import Unauthorized
from tests.clients.processes_of import PASSWORD, USERNAME, Given, MovedClock, Process

# Of each kind, and by how much of one the medians may differ. Few samples say little, but that a
# digest was looked at.
FEW, MANY = (20, 0.5), (1_000, 0.05)


@pytest.mark.parametrize(
    ("logins", "differ_max"), [FEW, pytest.param(*MANY, marks=pytest.mark.long)]
)
async def test_an_unknown_user_is_refused_as_late_as_a_wrong_password(
    given: Given, process: Process, clock: MovedClock, logins: int, differ_max: float
) -> None:
    await given.login(await given.client())
    took_s: dict[str, list[float]] = {USERNAME: [], "nobody@example.com": []}
    for n in range(logins):
        # Whatever the machine does meanwhile, it does to both; each comes first half of the time.
        for username in sorted(took_s, reverse=n % 2 == 1):
            began_s = time.perf_counter()
            with pytest.raises(Unauthorized):
                await process.sessions.login(username, f"not {PASSWORD}", None)
            took_s[username].append(time.perf_counter() - began_s)
        # No user is tried too often.
        clock.advance(seconds=10)
    known_s, unknown_s = (median(seconds) for seconds in took_s.values())
    print(f"wrong password {known_s * 1000:.2f} ms, unknown user {unknown_s * 1000:.2f} ms")
    assert abs(known_s - unknown_s) < differ_max * known_s
