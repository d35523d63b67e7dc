"""Which answers are the same: normalisers by name. No torch here.

Two answers are the same when a *normaliser* maps them to the same text. Published programs use different ones, so
the name of the normaliser belongs to every score. All are idempotent, and none maps an answer to nothing. What a
normaliser returns is for comparing only: people are shown a spelling of the training data (`AnswerVocabulary`).

    none    as it is
    plain   lower-case, white space trimmed and collapsed, no full stop at the end: nothing that carries a meaning
    lower   lower-case, white space trimmed and collapsed
    m3ae    the rule that M3AE and CMI-MTL took from METER, which took it from the VQA v2 evaluation
    mevf    the same, and "x-ray", "x ray" and "xray" are one word (MEVF, VQAMix, M2I2)

The last two lose signs and comparisons ("<5 mm" is "5 mm", "HER2-" is "her2"), which `data.merged` finds. They are for
published sets, whose scores they define; `plain` is the default for one's own data.
"""

from collections.abc import Callable, Mapping
from difflib import get_close_matches

from discern_vqa.data.normalising import NORMALISERS as NORMALISERS
from discern_vqa.errors import ConfigError

SAFE = "plain"
"""The default for one's own data."""
PUBLISHED = "m3ae"
"""The default for data sets that were published with scores."""


def commonest(spellings: Mapping[str, int]) -> str:
    """The most frequent of several spellings; of equally frequent ones the first in the alphabet."""
    return min(spellings, key=lambda text: (-spellings[text], text))


def normaliser(name: str) -> Callable[[str], str]:
    """The normaliser of that name. Raises ConfigError that suggests the nearest name."""
    if name not in NORMALISERS:
        near = get_close_matches(name, NORMALISERS, n=1)
        raise ConfigError(
            f"there is no answer normaliser {name!r}",
            hint=f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(NORMALISERS)}",
        )
    return NORMALISERS[name]
