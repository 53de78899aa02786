"""That the judge of timings tells what differs from what only jitters, with times made up."""

from random import Random

import pytest

from tests.security.timing import Verdict, judge, of_block

DIFFER_MAX = 0.05
BLOCKS = 2_500


def made_up(seed: int, longer: float, jitter: float, blocks: int = BLOCKS) -> list[float]:
    """Blocks of calls of 2 ms that jitter, of which now and then one waits for long; the second of
    two in a row is quicker, and the machine grows slower."""
    luck = Random(seed)

    def took_s(at: int, base_s: float, *, warm: bool) -> float:
        waited_s = 0.02 if luck.random() < 0.02 else 0.0
        drift = 1 + at / blocks
        return base_s * drift * luck.lognormvariate(0, jitter) * (0.8 if warm else 1) + waited_s

    told = []
    for at in range(blocks):
        first, second = took_s(at, 0.002 * longer, warm=False), took_s(at, 0.002, warm=True)
        third, fourth = took_s(at, 0.002, warm=False), took_s(at, 0.002 * longer, warm=True)
        told.append(of_block([first, fourth], [second, third]))
    return told


@pytest.mark.parametrize("seed", range(20))
def test_what_only_jitters_is_alike(seed: int) -> None:
    for longer in (1.0, 1.01):
        assert judge(made_up(seed, longer, 0.2), DIFFER_MAX).verdict is Verdict.ALIKE


@pytest.mark.parametrize("seed", range(20))
def test_what_takes_a_tenth_longer_or_shorter_is_found(seed: int) -> None:
    for longer in (1.1, 1 / 1.1):
        told = judge(made_up(seed, longer, 0.2), DIFFER_MAX)
        assert told.verdict is Verdict.DIFFERENT, told


def test_of_few_or_of_much_noise_nothing_is_said() -> None:
    """Neither that it is alike, nor that it differs."""
    assert judge([], DIFFER_MAX).verdict is Verdict.UNSURE
    assert judge(made_up(1, 1.0, 0.2, blocks=8), DIFFER_MAX).verdict is Verdict.UNSURE
    assert judge(made_up(1, 1.0, 3.0, blocks=100), DIFFER_MAX).verdict is Verdict.UNSURE
    assert judge(made_up(1, 1.05, 0.2), DIFFER_MAX).verdict is Verdict.UNSURE
