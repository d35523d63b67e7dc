"""Which questions ask the same in other words, as the data themselves say. No torch here.

A data set links a question and its paraphrases (`extra["linked"]`: VQA-RAD's owner, RoMed, any table of one's own with
a column `linked`). VQA-RAD's common pair names paraphrases ("para") and leaves the links out. There a paraphrase
belongs to the question of the same image, type and answer, where there is exactly one of either: of the 111 pairs that
this finds in the test split, 110 are the owner's (who links 129 pairs with the same answer).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from discern_vqa.data.sample import Sample

LINKED, PARAPHRASES = "the data's own links", "paraphrases of the same image, type and answer"


@dataclass(frozen=True)
class Rephrased:
    """groups: places of questions that ask the same of one image and have the same true answer, two or more each.
    linked_by: how they are known, `LINKED` or `PARAPHRASES`; "" where the data name none. left_out: how many linked
    questions are in no group because their true answer, or their image, is another one."""

    groups: tuple[tuple[int, ...], ...] = ()
    linked_by: str = ""
    left_out: int = 0


def rephrased(samples: Sequence[Sample], plain: Callable[[str], str]) -> Rephrased:
    """The re-phrasings among the samples; `plain` is how answers are compared."""
    if any(link_of(sample) for sample in samples):
        by_link = _grouped(samples, link_of)
        wholes = [places for places in by_link if len(places) > 1]
        parts = [_grouped(samples, lambda sample: (sample.image, plain(sample.answer)), places) for places in wholes]
        groups = tuple(tuple(places) for part in parts for places in part if len(places) > 1)
        return Rephrased(groups, LINKED, sum(map(len, wholes)) - sum(map(len, groups)))
    asked = [place for place, sample in enumerate(samples) if sample.phrase_type in ("freeform", "para")]
    alike = _grouped(samples, lambda sample: (sample.image, sample.kind, plain(sample.answer)), asked)
    pairs = tuple(
        tuple(places)
        for places in alike
        if len(places) == 2 and {samples[place].phrase_type for place in places} == {"freeform", "para"}
    )
    return Rephrased(pairs, PARAPHRASES if pairs else "")


def link_of(sample: Sample) -> str:
    """What all wordings of one question share; "" where the data link none to this one. A number may be 0."""
    link = sample.extra.get("linked")
    return "" if link is None else str(link)


def _grouped(
    samples: Sequence[Sample], key: Callable[[Sample], object], places: Sequence[int] | None = None
) -> list[list[int]]:
    """The places with the same key, in order of appearance; a key that is "" is none."""
    groups: dict[object, list[int]] = {}
    for place in range(len(samples)) if places is None else places:
        if (found := key(samples[place])) != "":
            groups.setdefault(found, []).append(place)
    return list(groups.values())
