"""Which part of an image a question is about: what a heat map is held against. No torch here.

In this order, the first that is there:

1. the question's own mask (`Sample.mask`): the finding its answer rests on. So it is in the phantom set.
2. the regions of the image (`regions` of the data set's reader) that the *question* names: "Where is the liver?",
   "Is the left lung healthy?". A label is named by all of its words, in the singular or plural; one with a side also
   without it ("lung": both lungs, "left lung": that one).
3. all findings that are marked, where the question asks whether something is normal, or for diseases, naming none.
4. the regions that the true *answer* names: "What is the largest organ in the picture?" Lung.

Everything else has no evidence and is not scored: modality, plane, what is not there ("Does the picture contain the
liver?" No), and questions that knowledge answers and not the image (SLAKE's with a `triple`).
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from discern_vqa.contracts import MarksRegions, Reader
from discern_vqa.data.sample import Sample
from discern_vqa.imaging.regions import Region
from discern_vqa.reading.neutral import root_of

SIDES = ("left", "right")
_ABNORMAL = re.compile(r"\b((ab)?normal\w*|diseases?|lesions?|tumou?rs?|(un)?healthy|pathology)\b")


def finder(reader: Reader, root: Path) -> Callable[[Sample], list[Region]]:
    """What a question of the reader's data set is about; no region where that is not marked.

    The function raises DataError or ImageError where marks are broken.
    """
    seen: dict[str, list[Region]] = {}

    def find(sample: Sample) -> list[Region]:
        if sample.mask:
            mask = root_of(sample.path, sample.image) / sample.mask
            return [Region(label=_finding(sample), is_finding=True, mask=mask)]
        if not isinstance(reader, MarksRegions) or sample.extra.get("triple"):
            return []
        if sample.image not in seen:
            seen[sample.image] = reader.regions(root, sample.image)
        return about(sample.question, sample.answer, seen[sample.image])

    return find


def about(question: str, answer: str, regions: Sequence[Region]) -> list[Region]:
    """The regions that a question is about (rules 2 to 4)."""
    if in_question := [region for region in regions if named(region.label, question)]:
        return in_question
    if _ABNORMAL.search(question.lower()):
        return [region for region in regions if region.is_finding]
    return [region for region in regions if named(region.label, answer)]


def named(label: str, text: str) -> bool:
    """Whether a text names a label: every word of it, in order, or all but its side where the text gives no side."""
    words, text = _words(label), _words(text)
    if words in text:
        return True
    side, _, rest = words.strip().partition(" ")
    before, match, _ = text.partition(f" {rest} ")
    return side in SIDES and match != "" and not before.endswith(tuple(f" {word}" for word in SIDES))


def _words(text: str) -> str:
    """Lower case, without marks, in the singular; a space before and behind each word."""
    return f" {' '.join(_singular(word) for word in re.findall(r'[a-z]+', text.lower()))} "


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "is", "us")) else word


def _finding(sample: Sample) -> str:
    """The finding that a mask is named after ("masks/test/00004a-hemorrhage.png"), or "finding"."""
    return Path(sample.mask).stem.partition("-")[2].replace("-", " ") or "finding"
