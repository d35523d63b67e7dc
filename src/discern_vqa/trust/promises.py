"""How many held-out questions a promise takes, and how exact it is with as many as there are. No torch.

An answer set of coverage c needs a true answer that may fall below the threshold: (n + 1)(1 - c) >= 1. Over draws of
the n held-out questions the coverage that results has the Beta(n + 1 - l, l) distribution, l = floor((n + 1)(1 - c))
(Vovk 2012): few questions promise the mean and say little about the set in hand. That counts questions as independent;
several about one image say less.
"""

import math

from scipy import stats

from discern_vqa.trust import abstention, ood
from discern_vqa.trust.calibration import COVERAGE, FEWEST

SURE = 0.9
"""The share of draws that the range of a coverage covers."""


def questions_for(coverage: float) -> int:
    """The least number of held-out questions from which answer sets can promise this coverage (in (0, 1))."""
    return math.ceil(1 / (1 - coverage) - 1 - 1e-9)


def realised(n: int, coverage: float) -> tuple[float, float] | None:
    """The range in which the coverage of answer sets lies in 9 of 10 draws of `n` held-out questions; None where they
    are too few for this coverage."""
    below = math.floor((n + 1) * (1 - coverage) + 1e-9)
    if below < 1:
        return None
    spread = stats.beta(n + 1 - below, below)
    return float(spread.ppf((1 - SURE) / 2)), float(spread.ppf((1 + SURE) / 2))


def exactness(n: int, coverage: float) -> str:
    """A sentence about the answer sets that are fitted on `n` questions."""
    between, sets = realised(n, coverage), f"answer sets of {100 * coverage:.0f} %"
    if between is None:
        return f"{sets} take {questions_for(coverage)} questions to be fitted on"
    low, high = (100 * end for end in between)
    return (
        f"fitted on {n:,} questions, {sets} hold the true answer {low:.0f} to {high:.0f} % of the time (in 9 of 10 such"
        " calibrations)"
    )


def too_few(n: int, coverage: float = COVERAGE) -> str:
    """What cannot be promised with `n` held-out questions, and what each promise takes."""
    return (
        f"{n:,} held-out questions are too few: calibrated confidence takes {FEWEST}, answer sets of"
        f" {100 * coverage:.0f} % take {questions_for(coverage)} for each form of answer, a threshold for abstention"
        f" takes {abstention.FEWEST} that are answered, and one for unusual images takes {ood.FEWEST} held-out images"
    )
