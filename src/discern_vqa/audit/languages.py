"""Languages: whether a set in several languages has the same split of its images in each of them, and what a text
encoder can read of it."""

from collections import Counter, defaultdict
from itertools import permutations, product
from typing import Any

from discern_vqa.audit.inputs import EVALUATED_ON, LEARNED_FROM, AuditInputs
from discern_vqa.data import pieces
from discern_vqa.data.languages import OTHER, with_languages
from discern_vqa.data.laterality import COVERED

TITLE = "Languages"


def check(inputs: AuditInputs) -> dict[str, Any]:
    """Per language its samples by split; `conflicts`: images that are in an evaluation split in one language and in
    training in another.

    An image that one language has in both is no conflict of languages; the check `images` finds it.
    """
    images: dict[tuple[str, str], set[str]] = defaultdict(set)
    samples: dict[str, Counter[str]] = defaultdict(Counter)
    for split, rows in inputs.samples.items():
        for row in rows:
            if row.language:
                images[row.language, split].add(row.image)
                samples[row.language][split] += 1
    conflicts = []
    for (one, other), judged, known in product(permutations(sorted(samples), 2), EVALUATED_ON, LEARNED_FROM):
        both = (images[one, judged] & images[other, known]) - images[one, known]
        if both:
            splits = {"judged": judged, "language": one, "known": known, "other": other}
            conflicts.append(splits | {"images": len(both), "of_images": len(images[one, judged])})
    return {
        "samples": {language: dict(counts) for language, counts in samples.items()},
        "conflicts": conflicts,
        "unread": _unread(inputs),
        "spoken": _spoken(inputs),
    }


def _unread(inputs: AuditInputs) -> list[str]:
    """What the tokenizer of the recipes' text encoder can hardly read, a sentence for each language that is so."""
    if inputs.text_tokenizer is None:
        return []
    name, tokenizer = inputs.text_tokenizer
    told = pieces.hardly_read(tokenizer, [row for rows in inputs.samples.values() for row in rows])
    return [sentence.replace("the text encoder", f"the text encoder {name}", 1) for sentence in told]


def _spoken(inputs: AuditInputs) -> dict[str, int]:
    """How many samples are in each language, by their words where the data set does not say; "": not known."""
    spoken: Counter[str] = Counter()
    for rows in inputs.samples.values():
        spoken.update(row.language for row in with_languages(rows))
    return dict(spoken.most_common())


def notes(found: dict[str, Any]) -> list[str]:
    """What the text encoder can hardly read, and which samples are not mirrored in a training."""
    told = [f"{sentence}." for sentence in found["unread"]]
    left = sum(count for code, count in found["spoken"].items() if code not in COVERED)
    if left:
        told.append(
            f"left and right are known in {', '.join(COVERED)} alone: {left:,} of "
            f"{sum(found['spoken'].values()):,} samples "
            "are in another language, or in one that their words do not tell, and are never mirrored in a training."
        )
    return told


def verdict(found: dict[str, Any]) -> list[str]:
    return [
        f"the languages have different splits: {conflict['images']:,} of {conflict['of_images']:,} images that "
        f"{conflict['judged']} has in {conflict['language']!r} are in {conflict['known']} in {conflict['other']!r}. "
        "Read one language, or make a new split with `discern data split`."
        for conflict in found["conflicts"]
    ]


def lines(found: dict[str, Any]) -> list[str]:
    if not found["samples"]:
        names = {"": "not known", OTHER: "another"}
        told = ", ".join(f"{names.get(code, code)} {count:,}" for code, count in found["spoken"].items())
        return [f"the data set does not name its languages; by their words: {told}"]
    return [
        f"{language}: {', '.join(f'{split} {count:,}' for split, count in counts.items())}"
        for language, counts in found["samples"].items()
    ]
