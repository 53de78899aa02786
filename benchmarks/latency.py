"""Latencies of one run: exact quantiles, and a histogram that a terminal can show."""

from array import array
from collections.abc import Iterable

BAR_WIDTH = 40
# Buckets double from 0.125 ms; the last holds all above.
FIRST_BUCKET_NS = 125_000
BUCKET_COUNT = 18


class Latencies:
    """Nanoseconds, as they come; the cost of one is that of an append."""

    def __init__(self, values_ns: Iterable[int] = ()) -> None:
        self.values_ns = array("q", values_ns)
        self.add = self.values_ns.append

    def __len__(self) -> int:
        return len(self.values_ns)

    def quantile_ms(self, *shares: float) -> list[float]:
        """The smallest latency that this share of all did not exceed, for each share (0 to 1)."""
        if not self.values_ns:
            return [float("nan")] * len(shares)
        ordered = sorted(self.values_ns)
        last = len(ordered) - 1
        # Rank rounded up: p99 of ten values is the largest.
        ranks = (min(last, max(0, -int(-share * len(ordered) // 1) - 1)) for share in shares)
        return [ordered[rank] / 1e6 for rank in ranks]

    def histogram(self) -> list[str]:
        """One line for each bucket from the first to the last that is not empty."""
        counts = [0] * BUCKET_COUNT
        for value_ns in self.values_ns:
            bucket = max(0, value_ns // FIRST_BUCKET_NS).bit_length()
            counts[min(bucket, BUCKET_COUNT - 1)] += 1
        used = [bucket for bucket, count in enumerate(counts) if count]
        if not used:
            return []
        most = max(counts)
        return [
            f"{'≥' if bucket == BUCKET_COUNT - 1 else '<'}"
            f"{FIRST_BUCKET_NS * 2 ** min(bucket, BUCKET_COUNT - 2) / 1e6:>9.3f} ms"
            f" {counts[bucket]:>8} {'#' * -(-counts[bucket] * BAR_WIDTH // most)}"
            for bucket in range(used[0], used[-1] + 1)
        ]
