"""Lists as pages show them: asked of the API with what the page's query says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from rewards.infra.pages.caller import Answer, ApiRefused
from rewards.infra.pages.forms import Form
from rewards.infra.pages.visit import Visit, explain

PAGE_ROWS = 50
NOTHING: Mapping[str, str] = MappingProxyType({})
# Of what a list is usually narrowed by: not at all.
ANY = "ANY"
# More are no number that the API knows.
DIGITS_MAX = 18


@dataclass(frozen=True, slots=True)
class Listed:
    """The rows, what they were asked with, and how to go on.

    `problem`: the API did not take the question; then there are no rows. `searched_to`: what was
    placed before that moment, or after it where the oldest come first, was not looked at yet.
    """

    rows: Sequence[Any]
    query: Mapping[str, str]
    following: str | None = None
    cursor: str = ""
    number: int = 1
    total: int = 0
    size: int = PAGE_ROWS
    problem: str = ""
    searched_to: str | None = None

    @property
    def filtered(self) -> bool:
        """Whether the list was narrowed, so that an empty one says so."""
        return bool(self.query)


async def listed(
    visit: Visit,
    path: str,
    names: Sequence[str] = (),
    fixed: Mapping[str, str] = NOTHING,
    size: int = PAGE_ROWS,
    usual: Mapping[str, str] = NOTHING,
) -> Listed:
    """A list of the API: `names` are the query's own, `fixed` are asked every time.

    `usual` are asked where the query does not name them; it names them ANY, or empty, for all.
    Goes on by `cursor`, `before` or `page`, whichever the list has.
    """
    given = visit.request.query_params
    query = {name: given[name].strip() for name in names if given.get(name, "").strip()}
    query |= {name: ANY for name in usual if name in given and name not in query}
    cursor, before = given.get("cursor", ""), given.get("before", "")
    number = whole_of(given.get("page", ""))
    number = number if isinstance(number, int) else 1
    narrowed = {name: value for name, value in ({**usual, **query}).items() if value != ANY}
    asked = {"limit": str(size), **fixed, **narrowed, "cursor": cursor, "before": before}
    if number > 1:
        asked["page"] = str(number)
    try:
        answer = await visit.get(path, **asked)
    except ApiRefused as refused:
        if refused.status != 400:
            raise
        return Listed((), query, problem=explain(refused), size=size)
    return Listed(
        answer.body,
        query,
        answer.following,
        cursor or before,
        number,
        answer.total or len(answer.body),
        size,
        searched_to=answer.headers.get("X-Searched-To"),
    )


def whole_of(text: str) -> int | str:
    """The number that a field says; what is none stays as it is, for the API to refuse."""
    is_number = text.isascii() and text.isdecimal() and len(text) <= DIGITS_MAX
    return int(text) if is_number else text


def older(found: Listed, name: str = "id") -> int | None:
    """For lists that go on below the last id: where this one does, if it is full."""
    return found.rows[-1][name] if len(found.rows) == found.size else None


async def whole(visit: Visit, path: str, **query: str) -> Any:
    """What a part of a page shows; None where the role of whoever looks may not see it."""
    try:
        answer: Answer = await visit.get(path, **query)
    except ApiRefused as refused:
        if refused.status == 403 and not visit.room.answers(refused):
            return None
        raise
    return answer.body


@dataclass(frozen=True, slots=True)
class Sends:
    """Which fields of a form an act of the API takes, and as what; empty ones are left out.

    `passwords` go as they were typed, with the spaces around them. `nulls`: those that the form
    empties on purpose, sent as null. `lists`: every value of a name, sent also where there is none.
    """

    texts: tuple[str, ...] = ()
    passwords: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    ticks: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    nulls: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()

    def body(self, form: Form) -> dict[str, Any]:
        """The body of the request; what is no number goes as it is, for the API to refuse."""
        sent: dict[str, Any] = dict(form.chosen(*self.texts))
        sent |= {name: form.get(name) for name in self.passwords if form.get(name)}
        for name, text in form.chosen(*self.numbers).items():
            sent[name] = whole_of(text)
        for name in self.ticks:
            sent[name] = form.get(name) == "true"
        for name in self.lines:
            if name in form:
                sent[name] = [line.strip() for line in form.get(name).split("\n") if line.strip()]
        for name in self.lists:
            sent[name] = form.all(name)
        for name in self.nulls:
            if name in form and name not in sent:
                sent[name] = None
        return sent
