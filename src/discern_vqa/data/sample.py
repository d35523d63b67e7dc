"""What a record is, before any tensor: `Sample`, the one type that every reader returns. No torch here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

SPLITS = ("pretrain", "train", "validation", "test")
OPEN, CLOSED = "open", "closed"


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One question about one image (with its answer), or one caption of one image.

    Args:
        id: unique within the data set, over all splits.
        split: "pretrain", "train", "validation" or "test".
        image: the image's identity within the data set: its path relative to the data set's root, with "/".
            Intervals are clustered and splits are made by it.
        path: where that image lies on this machine.
        question: as the data set has it, white space trimmed; empty for a caption.
        answer: as the data set has it (never normalised here; see `data.answers`); empty for a caption.
        caption: for a caption sample; empty for a question.
        answer_type: "open", "closed", or "" where the data set does not say.
        question_type: the data set's own types, spelling repaired, upper-case as published; the first is the
            primary one; empty where there is none.
        organ: the data set's own organ or region, lower-case; "" where there is none.
        modality: lower-case; "" where the data set does not say.
        language: of question and answer, as a two-letter code ("en", "zh"); "" where the data set has but one.
        choices: the answers that are offered, in their order; empty where none are.
        phrase_type: "freeform", "para" or "frame" (VQA-RAD's terms); "" elsewhere.
        group: what else must not be divided by a disjoint split (patient, study, anatomy); "" for none.
        patient: whose image it is, as a pseudonym or a hash, never a name or a number of the clinic; "" if not known.
        study: the examination that the image belongs to, as a pseudonym or a hash; "" if not known.
        twin: id of the image pair that this sample belongs to: two images that differ in one finding, the same
            question, two different answers; "" for none.
        mask: path relative to the root of a PNG whose non-zero pixels are the finding asked about; "" for none.
        source: "file:line" or "file:item", for error messages.
        extra: more fields of the source, kept for conversion (`linked`, `triple`, `boxes`, ...); JSON values.
            `derived` lists the fields that the reader worked out where the data set does not state them.
    """

    id: str
    split: str
    image: str
    path: Path
    question: str = ""
    answer: str = ""
    caption: str = ""
    answer_type: str = ""
    question_type: tuple[str, ...] = ()
    organ: str = ""
    modality: str = ""
    language: str = ""
    choices: tuple[str, ...] = ()
    phrase_type: str = ""
    group: str = ""
    patient: str = ""
    study: str = ""
    twin: str = ""
    mask: str = ""
    source: str = ""
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
