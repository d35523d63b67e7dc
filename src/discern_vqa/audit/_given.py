"""What every check is given: the questions by split, the pairs of splits to compare, and one meaning of "the same"."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

from discern_vqa.data.answers import normaliser
from discern_vqa.data.sample import Sample

LEARNED_FROM = ("train", "pretrain")
JUDGED_ON = ("test", "validation")


@dataclass(frozen=True)
class Given:
    """The samples of a data set by split, and the name of the answer normaliser.

    Args:
        samples: all of them, captions too, by split.
        normalise: two answers, or two questions, are the same when this normaliser makes them so.
        open_images: whether image files may be opened (hashing and decoding takes the time of the audit).
    """

    samples: Mapping[str, Sequence[Sample]]
    normalise: str
    open_images: bool

    @property
    def questions(self) -> dict[str, list[Sample]]:
        """The samples that ask something, by split; splits without any are absent."""
        asked = {split: [row for row in rows if not row.is_caption] for split, rows in self.samples.items()}
        return {split: rows for split, rows in asked.items() if rows}

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """(learned from, judged on): train is compared with test and validation, where these are there."""
        known = self.questions
        return [("train", judged) for judged in JUDGED_ON if "train" in known and judged in known]

    @property
    def plain(self) -> Callable[[str], str]:
        """The normaliser."""
        return normaliser(self.normalise)

    def about(self, row: Sample) -> Hashable:
        """Image, question types and answer: equal for a question and its re-phrasing."""
        return row.image, row.question_type, self.plain(row.answer)


def share(part: int, whole: int) -> float:
    """`part` of `whole`, 0 of nothing; rounded to four places for the report."""
    return round(part / whole, 4) if whole else 0.0


def percent(part: int, whole: int) -> str:
    """ "295 of 451 (65 %)"."""
    return f"{part:,} of {whole:,} ({100 * part / whole:.0f} %)" if whole else f"{part:,} of 0"
