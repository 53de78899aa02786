"""Whether two kinds of call take equally long, as far as samples that took turns can say; pure.

A block is four calls, in the order one, other, other, one: what the machine does meanwhile it does
to both, and so does who comes first. Of each block counts how much longer the one took, as a
logarithm; of all blocks the median, and the interval that has it, which assumes nothing about how
the times are spread. As long as the interval holds what is allowed and what is not, more blocks
are asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import exp, log, sqrt

# Normal quantile of one side: told wrongly once in ten thousand looks.
SURE = 3.7


class Verdict(StrEnum):
    ALIKE = "ALIKE"
    DIFFERENT = "DIFFERENT"
    UNSURE = "UNSURE"


@dataclass(frozen=True, slots=True)
class Judged:
    """By which share the one takes longer than the other: the median, and where it surely lies."""

    verdict: Verdict
    share: float
    least: float
    most: float


def of_block(one_s: Sequence[float], other_s: Sequence[float]) -> float:
    """How much longer the one took in a block, as a logarithm."""
    return sum(map(log, one_s)) / len(one_s) - sum(map(log, other_s)) / len(other_s)


def judge(blocks: Sequence[float], differ_max: float) -> Judged:
    """Whether the one takes at most this share longer or shorter.

    The ranks of the interval are those of the sign test. Of too few blocks nothing is sure.
    """
    told = sorted(blocks)
    reach = SURE * sqrt(len(told)) / 2
    low, high = int(len(told) / 2 - reach) - 1, int(len(told) / 2 + reach) + 1
    if low < 0 or high >= len(told):
        return Judged(Verdict.UNSURE, 0.0, float("-inf"), float("inf"))
    middle, least, most = (exp(told[at]) - 1 for at in (len(told) // 2, low, high))
    lower, upper = 1 / (1 + differ_max) - 1, differ_max
    verdict = Verdict.UNSURE
    if lower < least and most < upper:
        verdict = Verdict.ALIKE
    elif most <= lower or least >= upper:
        verdict = Verdict.DIFFERENT
    return Judged(verdict, middle, least, most)
