"""Languages: whether a set in several languages has the same split of its images in each of them."""

from collections import Counter, defaultdict
from itertools import permutations, product
from typing import Any

from discern_vqa.audit.inputs import EVALUATED_ON, LEARNED_FROM, AuditInputs

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
    return {"samples": {language: dict(counts) for language, counts in samples.items()}, "conflicts": conflicts}


def verdict(found: dict[str, Any]) -> list[str]:
    return [
        f"the languages have different splits: {conflict['images']:,} of {conflict['of_images']:,} images that "
        f"{conflict['judged']} has in {conflict['language']!r} are in {conflict['known']} in {conflict['other']!r}. "
        "Read one language, or make a new split with `discern data split`."
        for conflict in found["conflicts"]
    ]


def lines(found: dict[str, Any]) -> list[str]:
    if not found["samples"]:
        return ["the data set does not name its languages"]
    return [
        f"{language}: {', '.join(f'{split} {count:,}' for split, count in counts.items())}"
        for language, counts in found["samples"].items()
    ]
