"""What every case is given: the open home, the world in it, the API on it, and how long to run."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from benchmarks import load, tpcb
from benchmarks.home import Home
from benchmarks.load import Outcome
from benchmarks.report import middle
from benchmarks.tpcb import Yardstick
from benchmarks.world import World

DELIVERED = b'"status":"DELIVERED"'


class WrongAnswers(Exception):
    """The API did something else than what was to be measured."""


@dataclass
class Bench:
    home: Home
    world: World
    base_url: str
    tpcb_dsn: str
    # One run of one thing; and how often pgbench and we take turns.
    seconds: float = 3.0
    rounds: int = 3
    connections: int = 256
    notes: list[str] = field(default_factory=list)

    async def yardstick(self, *, clients: int = tpcb.CLIENTS) -> Yardstick:
        return await tpcb.measure(self.home.programs, self.tpcb_dsn, self.seconds, clients=clients)

    async def run(self, source: Iterator[bytes], *, connections: int = 0) -> Outcome:
        """One closed run; every answer must say that its order was delivered."""
        outcome = await load.closed(
            self.base_url,
            source,
            connections=connections or self.connections,
            seconds=self.seconds,
            mark=DELIVERED,
        )
        check(outcome)
        return outcome

    def note(self, text: str) -> None:
        """Something a reader of the table should know."""
        self.notes.append(text)


def check(outcome: Outcome) -> None:
    """Raises WrongAnswers unless all that was asked was answered, and delivered."""
    if outcome.lost or outcome.marked != outcome.answered or not outcome.answered:
        said = outcome.strange[0].decode(errors="replace")[-300:] if outcome.strange else ""
        raise WrongAnswers(
            f"{outcome.answered} answers, {outcome.marked} delivered, {outcome.lost} lost,"
            f" {dict(outcome.statuses)} {said}"
        )


def quantiles(outcomes: list[Outcome], *shares: float) -> list[float]:
    """The medians, over the runs, of these quantiles in milliseconds."""
    each = [outcome.latencies.quantile_ms(*shares) for outcome in outcomes]
    return [middle(column) for column in zip(*each, strict=True)]
