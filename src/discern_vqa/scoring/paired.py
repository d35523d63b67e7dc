"""The interval of a paired difference by the same permutation test that gives its p. Numpy, no torch.

Of a difference delta the test asks: if delta is taken off every question of the second answerer, how often is the rest
as large when whole images trade names? The interval holds every delta that the test does not reject, so that it leaves
out 0 just where p is below the level: interval and verdict cannot disagree (inversion of a test; Lehmann and Romano,
section 3.5).

With the images that trade names F and the others K, the differences d and the numbers of questions n of each image, the
rest is as large just for delta between sum_F(d) / sum_F(n) and sum_K(d) / sum_K(n). So one pass over the sign patterns
gives p for every delta.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from discern_vqa.scoring.intervals import SEED, per_cluster
from discern_vqa.scoring.statistics import ALPHA, PERMUTATIONS, Estimate, are_drawn, holm, sign_patterns

_DIGITS = 12  # equal shares of other counts are equal numbers only to that


@dataclass(frozen=True)
class Paired:
    """The differences of one pair of answerers, in [-1, 1], and what chance does to them."""

    p: float
    low: np.ndarray  # (r,) ascending: below the least of them, delta is as extreme as no sign pattern
    high: np.ndarray  # (r,) ascending, likewise above
    drawn: bool  # the patterns were drawn, and are not all that there are
    spread: Estimate | None = None  # over images and seeds, of several seeds: then both have to tell them apart

    @classmethod
    def of(cls, difference: np.ndarray, clusters: Sequence[str], spread: Estimate | None = None) -> "Paired":
        """difference: (n,) second minus first on each question; clusters: (n,) its image."""
        values = np.asarray(difference, dtype=float)
        totals = per_cluster(np.stack([values, np.ones_like(values)], axis=1), clusters)
        moved = totals[:, 0] != 0
        ordered = np.concatenate([totals[moved], totals[~moved]])
        whole, reached = ordered.sum(axis=0), abs(ordered[:, 0].sum()) - 1e-9
        lows, highs, hits, count = [], [], 0, 0
        drawn = are_drawn(int(moved.sum()))
        for flipped in _patterns(int(moved.sum()), int((~moved).sum())):
            traded = flipped @ ordered
            hits += int(np.sum(np.abs(whole[0] - 2 * traded[:, 0]) >= reached))
            with np.errstate(divide="ignore", invalid="ignore"):
                ends = np.stack([traded[:, 0] / traded[:, 1], (whole[0] - traded[:, 0]) / (whole[1] - traded[:, 1])])
            none = (traded[:, 1] == 0) | (traded[:, 1] == whole[1])  # no image or every image: as large for any delta
            lows.append(np.where(none, -np.inf, ends.min(axis=0).round(_DIGITS)))
            highs.append(np.where(none, np.inf, ends.max(axis=0).round(_DIGITS)))
            count += len(flipped)
        p = (1 + hits) / (1 + count) if drawn else hits / count
        if not moved.any():
            p = 1.0
        p = p if spread is None else max(p, spread.p)
        return cls(p, np.sort(np.concatenate(lows)), np.sort(np.concatenate(highs)), drawn, spread)

    def interval(self, level: float = ALPHA) -> list[float]:
        """[low, high]: the differences that the test does not reject at this level, cut to [-1, 1]."""
        count = len(self.low)
        least = math.ceil(level * (count + 1) - 1e-9) - 1 if self.drawn else math.ceil(level * count - 1e-9)
        least = max(1, least)  # so many patterns have to be as extreme
        ends = [float(self.low[least - 1]), float(self.high[count - least])]
        if self.spread is not None:
            low, high = self.spread.interval(level)
            ends = [min(ends[0], low), max(ends[1], high)]
        return [max(-1.0, ends[0]), min(1.0, ends[1])]


def corrected(pairs: Sequence[Paired]) -> list[tuple[float, list[float]]]:
    """(p, interval) of each pair, corrected for their number by Holm's step-down: an interval leaves out 0 just where
    its corrected p is below 0.05. Of one pair alone it is the 95 % interval."""
    ps = [pair.p for pair in pairs]
    order = sorted(range(len(pairs)), key=lambda place: ps[place])
    levels, level = [ALPHA] * len(pairs), 0.0
    for rank, place in enumerate(order):
        is_open = rank == 0 or ps[order[rank - 1]] < level
        level = ALPHA / (len(pairs) - rank) if is_open else level
        levels[place] = level
    intervals = [pair.interval(level) for pair, level in zip(pairs, levels, strict=True)]
    return list(zip(holm(ps), intervals, strict=True))


def _patterns(moved: int, still: int) -> Iterator[np.ndarray]:
    """Which images trade names (rows, moved + still), in pieces, and whether the patterns are drawn. Of the images that
    differ the patterns of `permutation`; those that do not differ trade at random, each pattern of the others often
    enough to make as many."""
    rng = np.random.default_rng(SEED + 1)
    for signs in sign_patterns(moved, 1 + still):
        repeats = 1 if are_drawn(moved) or not still else math.ceil(PERMUTATIONS / 2**moved)
        for _ in range(repeats):
            others = rng.integers(0, 2, size=(len(signs), still), dtype=np.int8)
            yield np.concatenate([(signs < 0).astype(float), others.astype(float)], axis=1)
