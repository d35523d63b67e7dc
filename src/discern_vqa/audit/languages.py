"""Languages: whether a set in several languages has the same split of its images in each of them."""

from itertools import permutations
from typing import Any

from discern_vqa.audit.inputs import EVALUATED_ON, LEARNED_FROM, AuditInputs

TITLE = "Languages"


def check(inputs: AuditInputs) -> dict[str, Any]:
    """Per language its samples by split; `conflicts`: images that are in an evaluation split in one language and in
    training in another.

    An image that one language has in both is no conflict of languages; the check `images` finds it.
    """
    images: dict[str, dict[str, set[str]]] = {}
    samples: dict[str, dict[str, int]] = {}
    for split, rows in inputs.samples.items():
        for row in rows:
            if row.language:
                images.setdefault(row.language, {}).setdefault(split, set()).add(row.image)
                counts = samples.setdefault(row.language, {})
                counts[split] = counts.get(split, 0) + 1
    conflicts = []
    for one, other in permutations(sorted(images), 2):
        for judged in EVALUATED_ON:
            for known in LEARNED_FROM:
                here = images[one].get(judged, set())
                both = (here & images[other].get(known, set())) - images[one].get(known, set())
                if both:
                    place = {"judged": judged, "language": one, "known": known, "other": other}
                    conflicts.append(place | {"images": len(both), "of_images": len(here)})
    return {"samples": samples, "conflicts": conflicts}


def verdict(found: dict[str, Any]) -> list[str]:
    """Each pair of languages that disagree."""
    return [
        f"the languages have different splits: {conflict['images']:,} of {conflict['of_images']:,} images that "
        f"{conflict['judged']} has in {conflict['language']!r} are in {conflict['known']} in {conflict['other']!r}. "
        "Read one language, or make a new split with `discern data split`."
        for conflict in found["conflicts"]
    ]


def lines(found: dict[str, Any]) -> list[str]:
    """A line per language."""
    if not found["samples"]:
        return ["the data set does not name its languages"]
    return [
        f"{language}: {', '.join(f'{split} {count:,}' for split, count in counts.items())}"
        for language, counts in found["samples"].items()
    ]
