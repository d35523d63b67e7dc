"""Is one answerer better than another? Paired tests, what could have been found, several seeds. Numpy and scipy.

All of it is paired (the same questions) and, but for McNemar's test, clustered by image: questions about one image are
not independent. Every draw has a fixed seed: one file, one figure.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from discern_vqa.scoring.intervals import SEED, per_cluster

PERMUTATIONS = 10_000
ALPHA, POWER = 0.05, 0.8
_EXACT_UP_TO = 13  # clusters that differ: 2^13 sign patterns are fewer than the permutations drawn otherwise
_CELLS = 4_000_000


@dataclass(frozen=True)
class McNemar:
    """only_first, only_second: questions that just one of the two has right; p: exact, two-sided."""

    only_first: int
    only_second: int
    p: float


def mcnemar(first: np.ndarray, second: np.ndarray) -> McNemar:
    """McNemar's exact test (1947): of the questions that just one has right, is the split other than even?

    It takes questions as independent, so it is printed for comparison with other work; the verdicts use `permutation`.

    Args:
        first, second: (n,) bool, right or not.
    """
    only_first, only_second = int(np.sum(first & ~second)), int(np.sum(~first & second))
    either = only_first + only_second
    p = float(stats.binomtest(only_first, either, 0.5).pvalue) if either else 1.0
    return McNemar(only_first, only_second, p)


def permutation(
    difference: np.ndarray, clusters: Sequence[str], permutations: int = PERMUTATIONS, seed: int = SEED
) -> float:
    """Two-sided p of a paired difference: how often it is as large when each image's two answerers trade names.

    Whole images are turned, so that what their questions share stays together. Up to 13 images that differ all sign
    patterns are counted; beyond that (1 + hits) / (1 + permutations).

    Args:
        difference: (n,) second minus first on each question, in [-1, 1].
        clusters: (n,) the image of each question.
    """
    sums = per_cluster(np.asarray(difference, dtype=float)[:, None], clusters)[:, 0]
    sums = sums[sums != 0]
    if not len(sums):
        return 1.0
    reached = abs(sums.sum()) - 1e-9
    hits = count = 0
    for signs in sign_patterns(len(sums), permutations=permutations, seed=seed):
        hits, count = hits + int(np.sum(np.abs(signs @ sums) >= reached)), count + len(signs)
    return (1 + hits) / (1 + count) if are_drawn(len(sums)) else hits / count


def are_drawn(clusters: int) -> bool:
    """Whether the sign patterns of so many clusters are drawn: those of up to 13 are all counted."""
    return clusters > _EXACT_UP_TO


def sign_patterns(
    clusters: int, beside: int = 0, permutations: int = PERMUTATIONS, seed: int = SEED
) -> Iterator[np.ndarray]:
    """Which clusters change sign: (rows, clusters) of 1 and -1, in pieces. beside: columns that the caller adds, for
    the size of a piece."""
    if not are_drawn(clusters):
        patterns = (np.arange(2**clusters)[:, None] >> np.arange(clusters)) & 1
        yield 1 - 2 * patterns
        return
    rng = np.random.default_rng(seed)
    step = max(1, _CELLS // (clusters + beside))
    for start in range(0, permutations, step):
        yield 1 - 2 * rng.integers(0, 2, size=(min(step, permutations - start), clusters), dtype=np.int8)


def standard_error(values: np.ndarray, clusters: Sequence[str]) -> float:
    """Of a mean over questions, robust to what the questions of an image share (the linearised ratio of two sums)."""
    values = np.asarray(values, dtype=float)
    totals = per_cluster(np.stack([values, np.ones_like(values)], axis=1), clusters)
    count = len(totals)
    if count < 2:
        return float("inf")  # of one image nothing can be told
    rest = totals[:, 0] - totals[:, 1] * values.mean()
    return float(np.sqrt(count / (count - 1) * np.sum(rest**2)) / len(values))


def detectable(error: float) -> float:
    """The smallest true difference, of this standard error, that a two-sided test finds with probability POWER."""
    return float((stats.norm.ppf(1 - ALPHA / 2) + stats.norm.ppf(POWER)) * error)


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's step-down correction (1979): p values that hold the family-wise error over all tests of a table."""
    order = np.argsort(ps, kind="stable")
    adjusted, highest = [0.0] * len(ps), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[place]))
        adjusted[place] = highest
    return adjusted


@dataclass(frozen=True)
class Estimate:
    """A mean over questions and seeds, with what another draw of images *and* of seeds would do to it."""

    mean: float
    error: float  # standard error
    freedom: float  # degrees of freedom (Welch and Satterthwaite)
    low: float  # of the 95 % interval
    high: float
    sd: float | None  # spread of the single seeds' means (ddof 1); None for one seed
    seeds: tuple[float, ...]  # each seed's mean

    def interval(self, level: float) -> tuple[float, float]:
        """The ends of the interval that leaves out so much, by Student's t."""
        half = float(stats.t.ppf(1 - level / 2, self.freedom)) * self.error if self.error > 0 else 0.0
        return self.mean - half, self.mean + half

    @property
    def p(self) -> float:
        """Two-sided, of the mean being 0."""
        if not self.error > 0:
            return 1.0 if self.mean == 0 else 0.0
        return float(2 * stats.t.sf(abs(self.mean) / self.error, self.freedom))


def estimate(values: np.ndarray, clusters: Sequence[str]) -> Estimate:
    """The mean of (S, n) values over S seeds and n questions, and its interval over images and seeds.

    error^2 = error of the seeds' mean over images^2 + sd^2 / S. What a question and a seed do together is in both
    terms, so that the interval is rather too wide than too narrow. One seed: over images alone.
    """
    values = np.atleast_2d(np.asarray(values, dtype=float))
    return combined(values.mean(axis=0), clusters, [values.mean(axis=1)])


def combined(mean_of_each: np.ndarray, clusters: Sequence[str], groups: Sequence[np.ndarray]) -> Estimate:
    """As `estimate`, of values that are already averaged over seeds; also for the difference of two models.

    Args:
        mean_of_each: (n,) each question's mean over the seeds; for a difference, of one model minus the other.
        clusters: (n,) the image of each question.
        groups: each model's means, one for each of its seeds; one group, or two for a difference.
    """
    mean = float(np.mean(mean_of_each))
    images = len(set(clusters))
    terms = [(standard_error(mean_of_each, clusters) ** 2, images - 1)]
    terms += [(float(np.var(group, ddof=1)) / len(group), len(group) - 1) for group in groups if len(group) > 1]
    variance = sum(term for term, _ in terms)
    spread = sum(term**2 / freedom for term, freedom in terms if freedom > 0)
    freedom = variance**2 / spread if 0 < spread < np.inf else max(images - 1, 1)
    error = float(np.sqrt(variance))
    half = float(stats.t.ppf(0.975, freedom)) * error if error > 0 else 0.0
    means = groups[0] if len(groups) == 1 else np.array([])
    return Estimate(
        mean=mean,
        error=error,
        freedom=float(freedom),
        low=mean - half,
        high=mean + half,
        sd=float(np.std(means, ddof=1)) if len(means) > 1 else None,
        seeds=tuple(float(mean_of_seed) for mean_of_seed in means),
    )
