"""What every check receives: the questions by split, the pairs of splits to compare, and one meaning of "the same"."""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property

from tokenizers import Tokenizer

from discern_vqa.audit.image_set import ImageSet
from discern_vqa.data.normalisers import commonest, normaliser
from discern_vqa.data.pieces import read_tokenizer
from discern_vqa.data.sample import Sample
from discern_vqa.paths import find_local_weights

TOKENIZERS = ("all-minilm-l6-v2", "clip_tokenizer")
"""Of the text encoders that the recipes come with; the first is that of the small ones."""
LEARNED_FROM = ("train", "pretrain")
EVALUATED_ON = ("test", "validation")

Progress = Callable[[str, int, int], None]
"""Called with what is done, how much of it is done, and how much there is."""


@dataclass(frozen=True)
class Other:
    """Another data set that this one is compared with."""

    name: str
    samples: Mapping[str, Sequence[Sample]]
    image_set: ImageSet


@dataclass(frozen=True)
class AuditInputs:
    """The samples of a data set by split, captions too, their images with the fingerprints, and the settings of the
    audit; see `audit` for them."""

    samples: Mapping[str, Sequence[Sample]]
    normalise: str
    image_set: ImageSet
    published: Mapping[str, int] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    broken: Sequence[str] = ()
    baselines: Sequence[str] = ()
    encoder: str = ""
    other: Other | None = None
    progress: Progress = lambda what, done, total: None

    @cached_property
    def questions(self) -> dict[str, list[Sample]]:
        """The samples that ask something, by split; splits without any are absent."""
        questions = {split: [row for row in rows if not row.is_caption] for split, rows in self.samples.items()}
        return {split: rows for split, rows in questions.items() if rows}

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """(training split, evaluation split): train is compared with test and validation, where these exist."""
        known = self.questions
        return [("train", judged) for judged in EVALUATED_ON if "train" in known and judged in known]

    @property
    def leaks(self) -> list[tuple[str, str]]:
        """(evaluation split, the split that may give its answers away): a training split, or of test validation."""
        return [(judged, known) for judged in self.samples for known in self.samples if may_leak(judged, known)]

    @cached_property
    def plain(self) -> Callable[[str], str]:
        """The normaliser; each text is normalised once."""
        return cache(normaliser(self.normalise))

    @property
    def tokenizer_name(self) -> str:
        """The text encoder whose tokenizer counts `tokens`; "" where none is on this machine."""
        return self.text_tokenizer[0] if self.text_tokenizer else ""

    @cached_property
    def text_tokenizer(self) -> tuple[str, Tokenizer] | None:
        """A text encoder's tokenizer with its name, the first of `TOKENIZERS` that is on this machine."""
        folders = {name: folder for name in TOKENIZERS if (folder := find_local_weights(name)) is not None}
        read = ((name, read_tokenizer(folder)) for name, folder in folders.items())
        return next(((name, tokenizer) for name, tokenizer in read if tokenizer is not None), None)

    def tokens(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text has; words where no tokenizer is on this machine."""
        if self.text_tokenizer is None:
            return [len(text.split()) for text in texts]
        encodings = self.text_tokenizer[1].encode_batch(list(texts), add_special_tokens=False)
        return [len(encoding.ids) for encoding in encodings]

    @cached_property
    def spelled(self) -> Callable[[str], str]:
        """The most frequent spelling of what `plain` made of an answer or a question: what people are shown."""
        spellings: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for rows in self.questions.values():
            for row in rows:
                for text in (row.answer, row.question):
                    spellings[self.plain(text)][" ".join(text.split())] += 1
        return cache(lambda key: commonest(spellings[key]) if key in spellings else key)

    def shown_image(self, row: Sample) -> int:
        """The content of the row's image: equal for copies under other names."""
        return int(self.image_set.number[self.image_set.place[row.image]])

    def about(self, row: Sample) -> Hashable:
        """Image, question types and answer: equal for a question and its re-phrasing."""
        return row.image, row.question_type, self.plain(row.answer)


def may_leak(judged: str, known: str) -> bool:
    """Whether a score on the split `judged` is worth less for what it shares with the split `known`."""
    return judged in EVALUATED_ON and (known in LEARNED_FROM or (judged, known) == EVALUATED_ON)


def share(part: int, whole: int) -> float:
    """`part` of `whole`, 0 of nothing; rounded to four places for the report."""
    return round(part / whole, 4) if whole else 0.0


def percent(part: int, whole: int) -> str:
    """ "295 of 451 (65 %)"; a decimal below one per cent."""
    if not whole:
        return f"{part:,} of 0"
    digits = 1 if 0 < 100 * part < whole else 0
    return f"{part:,} of {whole:,} ({100 * part / whole:.{digits}f} %)"
