"""What a record is, before any tensor: `Sample`, the one type that every reader returns. No torch here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

SPLITS = ("pretrain", "train", "validation", "test")
OPEN, CLOSED, CHOICE = "open", "closed", "choice"
"""Answer types: words of one's own, a few possible answers (yes or no), and one of the answers that are offered."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One question about one image (with its answer), or one caption of one image. A text is "" where the data set does
    not say."""

    id: str  # unique within the data set, over all splits
    split: str  # one of SPLITS
    # The image's identity within the data set: its path relative to the data set's root, with "/". Intervals are
    # clustered and splits are made by it.
    image: str
    path: Path  # where that image lies on this machine
    question: str = ""  # as the data set has it, white space trimmed; empty for a caption
    answer: str = ""  # as the data set has it (never normalised here; see `data.answers`); empty for a caption
    caption: str = ""  # for a caption sample; empty for a question
    answer_type: str = ""  # "open", "closed" or "choice"
    question_type: tuple[str, ...] = ()  # the data set's types, upper-case, spelling repaired, the primary one first
    organ: str = ""  # the data set's own organ or region, lower-case
    modality: str = ""  # lower-case
    language: str = ""  # of question and answer, as a two-letter code ("en", "zh"); "" where the data set has but one
    choices: tuple[str, ...] = ()  # the answers that are offered, in their order; empty where none are
    phrase_type: str = ""  # "freeform", "para" or "frame" (VQA-RAD's terms)
    group: str = ""  # what else must not be divided by a disjoint split (patient, study, anatomy)
    patient: str = ""  # whose image it is, as a pseudonym or a hash, never a name or a number of the clinic
    study: str = ""  # the examination that the image belongs to, as a pseudonym or a hash
    # Id of the image pair that this sample belongs to: two images that differ in one finding, the same question, two
    # different answers.
    twin: str = ""
    mask: str = ""  # path relative to the root of a PNG whose non-zero pixels are the finding asked about
    source: str = ""  # "file:line" or "file:item", for error messages
    # More fields of the source, kept for conversion (`linked`, `triple`, `boxes`, ...); JSON values. `derived` lists
    # the fields that the reader worked out where the data set does not state them.
    extra: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def is_caption(self) -> bool:
        """A caption has text to align with the image, but nothing to answer."""
        return bool(self.caption) and not self.question

    @property
    def text(self) -> str:
        """What the text encoder reads: the question, or the caption of a caption sample."""
        return self.question or self.caption

    @property
    def statement(self) -> str:
        """What the text says of the image: a caption, or a question with its answer."""
        return f"{self.question} {self.answer}" if self.question else self.caption

    @property
    def kind(self) -> str:
        """The primary question type, or ""."""
        return self.question_type[0] if self.question_type else ""
