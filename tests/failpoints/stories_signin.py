"""Stories of staff who prove who they are: sessions, second factors, their own passwords."""

from base64 import b32decode
from collections.abc import Sequence
from datetime import timedelta

from rewards.staff.totp import code_of, step_at
from tests.failpoints.stories_people import PASSWORD, Act, Acted, Facts, colleague
from tests.failpoints.story import Step, Story
from tests.failpoints.town import Town, served

ME = "/me"
FACTOR = "/me/second-factor"
AGAIN = (403, 404, 409)
ANOTHER_SESSION = """
INSERT INTO staff_sessions (staff_id, proof, proven_at, created_at, last_seen_at, expires_at)
VALUES ($1, 'PASSWORD', $2, $2, $2,
    $2::timestamptz + interval '10 hours') RETURNING id
"""
REFUSED = """
SELECT count(*) FROM audit_entries WHERE action = 'staff.login_refused' AND subject_id = $1
"""
SEEN_LONG_AGO = "UPDATE staff_sessions SET last_seen_at = $2 WHERE staff_id = $1 RETURNING id"


async def pending(town: Town, facts: Facts) -> Facts:
    """Somebody who has a secret, and has shown no code of it."""
    facts = await colleague(town, facts)
    answer = await town.other.http.post(
        "/admin/api/v1" + FACTOR, headers=town.token(facts["caller"])
    )
    return facts | {"secret": b32decode(served(answer)["secret"])}


async def with_factor(town: Town, facts: Facts) -> Facts:
    facts = await pending(town, facts)
    answer = await town.other.http.post(
        f"/admin/api/v1{FACTOR}/confirm",
        headers=town.token(facts["caller"]),
        json={"code": code_now(town, facts)},
    )
    served(answer)
    # The next code is another one.
    town.pass_time(timedelta(minutes=1))
    return facts


async def whose_phone_is_lost(town: Town, facts: Facts) -> Facts:
    return {**await with_factor(town, facts), "caller": town.people["admin"]}


async def twice_logged_in(town: Town, facts: Facts) -> Facts:
    facts = await colleague(town, facts)
    number = await town.value(ANOTHER_SESSION, facts["colleague"], town.clock.now())
    return facts | {"session": number}


async def logged_in_elsewhere(town: Town, facts: Facts) -> Facts:
    return {**await twice_logged_in(town, facts), "caller": town.people["admin"]}


async def not_seen_lately(town: Town, facts: Facts) -> Facts:
    facts = await colleague(town, facts)
    at = town.clock.now() - timedelta(minutes=2)
    await town.value(SEEN_LONG_AGO, facts["colleague"], at)
    return facts


def code_now(town: Town, facts: Facts) -> str:
    return code_of(facts["secret"], step_at(town.clock.now()))


NEW_PASSWORD = {"old_password": PASSWORD, "new_password": PASSWORD + " 2"}
ACTS = (
    Act("GET", ME, None, not_seen_lately),
    Act("POST", f"{ME}/prove", {"password": PASSWORD}, colleague),
    Act("POST", f"{ME}/prove", {"code": "{code}"}, with_factor, AGAIN),
    Act("POST", f"{ME}/password", NEW_PASSWORD, colleague, AGAIN),
    Act("POST", FACTOR, None, colleague),
    Act("POST", f"{FACTOR}/confirm", {"code": "{code}"}, pending, AGAIN),
    Act("POST", f"{FACTOR}/remove", {"code": "{code}"}, with_factor, AGAIN),
    Act("POST", "/staff/{colleague}/second-factor/reset", None, whose_phone_is_lost, AGAIN),
    Act("POST", "/sessions/end-others", None, twice_logged_in),
    Act("DELETE", "/sessions/{session}", None, twice_logged_in),
    Act("POST", "/staff/{colleague}/sessions/end", None, logged_in_elsewhere),
    Act("POST", "/staff/{colleague}/sessions/{session}/end", None, logged_in_elsewhere),
)


class SignedIn(Acted):
    """One act, with the code of the moment wherever it shows one."""

    async def do(self) -> None:
        if "secret" in self.facts:
            self.facts["code"] = code_now(self.town, self.facts)
        await super().do()


def story_of(act: Act) -> type[SignedIn]:
    shown = ", ".join(act.body or ())
    return type(f"{act} {shown}".strip(), (SignedIn,), {"act": act})


class RefusedLogin(Story):
    """A wrong password is refused, and the trail tells of it."""

    async def begin(self) -> None:
        facts = await colleague(self.town, {"client": await self.shop.client()})
        self.number = facts["colleague"]
        self.body = {"username": facts["name"], "password": "a guess"}

    def steps(self) -> Sequence[Step]:
        return [self.guess]

    async def guess(self) -> None:
        answer = await self.town.mine.http.post("/admin/auth/login", json=self.body)
        served(answer, (401,))

    async def check(self) -> None:
        told = await self.town.value(REFUSED, self.number)
        # Another process counts anew; a row that was lost is not made up for within the minute.
        assert told <= 2


SIGN_IN_STORIES = (*map(story_of, ACTS), RefusedLogin)
