"""Languages: whether a set in several languages divides its images in each of them in the same way."""

from itertools import permutations
from typing import Any

from discern_vqa.audit._given import JUDGED_ON, LEARNED_FROM, Given

TITLE = "Languages"


def check(given: Given) -> dict[str, Any]:
    """Per language its samples by split; `conflicts`: images that one language judges on and another learns from.

    An image that one language alone has on both sides is no conflict of languages; `images` finds it.
    """
    images: dict[str, dict[str, set[str]]] = {}
    samples: dict[str, dict[str, int]] = {}
    for split, rows in given.samples.items():
        for row in rows:
            if row.language:
                images.setdefault(row.language, {}).setdefault(split, set()).add(row.image)
                counts = samples.setdefault(row.language, {})
                counts[split] = counts.get(split, 0) + 1
    conflicts = []
    for one, other in permutations(sorted(images), 2):
        for judged in JUDGED_ON:
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
        f"the languages divide the images differently: {conflict['images']:,} of {conflict['of_images']:,} images that "
        f"{conflict['judged']} has in {conflict['language']!r} are in {conflict['known']} in {conflict['other']!r}. "
        "Read one language, or split anew."
        for conflict in found["conflicts"]
    ]


def lines(found: dict[str, Any]) -> list[str]:
    """A line per language."""
    if not found["samples"]:
        return ["the data set does not name any"]
    return [
        f"{language}: {', '.join(f'{split} {count:,}' for split, count in counts.items())}"
        for language, counts in found["samples"].items()
    ]
