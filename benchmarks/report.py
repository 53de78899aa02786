"""What was measured, as a table: each figure beside what it is compared with, and the ratio."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Figure:
    """One line. `ratio` is value / against, when there is something to compare with."""

    case: str
    what: str
    value: float
    unit: str
    against: float | None = None
    against_what: str = ""
    # What the project promises of the ratio, such as "≥ 0.40"; only shown, never enforced.
    goal: str = ""

    @property
    def ratio(self) -> float | None:
        return self.value / self.against if self.against else None


def middle(values: Sequence[float]) -> float:
    """The median: the machine is noisy, and a mean would believe its worst moment."""
    return median(values) if values else float("nan")


def number(value: float) -> str:
    """Three digits that say something."""
    if value != value:
        return "-"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


HEAD = ("case", "figure", "", "against", "", "ratio", "goal")


def table(figures: Sequence[Figure]) -> str:
    rows = [HEAD] + [
        (
            figure.case,
            f"{number(figure.value)} {figure.unit}",
            figure.what,
            "" if figure.against is None else number(figure.against),
            figure.against_what,
            "" if figure.ratio is None else number(figure.ratio),
            figure.goal,
        )
        for figure in figures
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])
