"""Another data set: which images the two sets share, so that neither is trained on test images of the other."""

from collections import Counter
from typing import Any

import numpy as np

from discern_vqa.audit.image_set import ImageSet
from discern_vqa.audit.inputs import AuditInputs, Other
from discern_vqa.audit.near import Nearest, described
from discern_vqa.imaging.near_pairs import Pairs, near_pairs

TITLE = "Comparison with another data set"


def check(inputs: AuditInputs) -> dict[str, Any]:
    """{} without another set; else how many of this set's images it has: by bytes, by pixels, nearly.

    `images` has an entry for each of them: {"image", "other", "how", "likeness", "grey", "bits", "splits": of the
    other set}, with the most similar image where there are several; `exclude` is the list of their file names;
    `by_split` counts them for each split of the other set. `same_file_names` counts images of equal names, whatever
    they show.
    """
    if inputs.other is None or inputs.image_set is None:
        return {}
    ours, other = inputs.image_set, inputs.other
    copies = _copies(ours, other.image_set)
    alike = _alike(inputs, ours, other)
    entries = {entry["image"]: entry for entry in [*alike, *copies]}  # an exact copy replaces a near-identical entry
    splits: dict[str, set[str]] = {}
    for split, rows in other.samples.items():
        for row in rows:
            splits.setdefault(row.image, set()).add(split)
    images = sorted(entries.values(), key=lambda entry: (-entry["likeness"], entry["image"]))
    for entry in images:
        entry["splits"] = sorted(splits[entry["other"]])
    rows = [row for part in inputs.samples.values() for row in part]
    file_names = {name.rpartition("/")[2] for name in ours.names}
    return {
        "name": other.name,
        "of_images": len(ours.names),
        "other_images": len(other.image_set.names),
        "by_bytes": sum(entry["how"] == "bytes" for entry in images),
        "by_pixels": sum(entry["how"] == "pixels" for entry in images),
        "near": sum(entry["how"] == "near" for entry in images),
        "samples": sum(row.image in entries for row in rows),
        "of_samples": len(rows),
        "same_file_names": len(file_names & {name.rpartition("/")[2] for name in other.image_set.names}),
        "by_split": dict(Counter(split for entry in images for split in entry["splits"])),
        "images": images,
        "exclude": sorted({entry["image"].rpartition("/")[2] for entry in images}),
    }


def _copies(ours: ImageSet, theirs: ImageSet) -> list[dict[str, Any]]:
    entries: dict[int, dict[str, Any]] = {}
    for how in ("pixels", "content"):  # equal bytes last, so that they win
        known = {key: place for place, key in reversed(list(enumerate(getattr(theirs.prints, how)))) if key}
        for place, key in enumerate(getattr(ours.prints, how)):
            if key in known:
                names = {"image": ours.names[place], "other": theirs.names[known[key]]}
                how_said = "bytes" if how == "content" else how
                entries[place] = names | {"how": how_said, "likeness": 1.0, "grey": 1.0, "bits": 0, "gap": None}
    return list(entries.values())


def _alike(inputs: AuditInputs, ours: ImageSet, other: Other) -> list[dict[str, Any]]:
    theirs = other.image_set
    kept, there = (np.flatnonzero(side.shows[side.first]) for side in (ours, theirs))
    sizes = len(ours.first), len(theirs.first)
    nearest = Nearest(
        *(np.arange(sum(sizes)) // sizes[0] == side if sizes[0] else np.zeros(0, bool) for side in (0, 1))
    )
    blocks = near_pairs(
        ours.thumbs()[kept],
        theirs.thumbs()[there],
        progress=lambda done, total: inputs.progress(f"comparing with {other.name}", done, total),
    )
    for block in blocks:
        nearest.add(Pairs(kept[block.one], there[block.other] + sizes[0], block.likeness, block.grey))
    found = np.flatnonzero(nearest.partner[: sizes[0]] >= 0)
    partners = nearest.partner[found] - sizes[0]
    pairs = described(ours, theirs, found, partners, nearest.likeness[found], nearest.grey[found])
    names: dict[int, list[str]] = {}
    for place, number in enumerate(ours.number.tolist()):
        names.setdefault(number, []).append(ours.names[place])
    every = [(name, pair) for pair in pairs for name in names[int(ours.number[ours.place[pair["image"]]])]]
    return [pair | {"image": name, "how": "near"} for name, pair in every]


def verdict(found: dict[str, Any]) -> list[str]:
    """A sentence when the sets share an image."""
    if not found or not found["images"]:
        return []
    splits = ", ".join(f"{count:,} of its {split}" for split, count in sorted(found["by_split"].items()))
    return [
        f"{len(found['images']):,} of {found['of_images']:,} images ({found['samples']:,} of {found['of_samples']:,} "
        f"samples) are in {found['name']} too ({splits}): {found['by_bytes']:,} with equal bytes, "
        f"{found['by_pixels']:,} with equal pixels, {found['near']:,} nearly identical. Leave them out of "
        f"training before a score on {found['name']}."
    ]


def lines(found: dict[str, Any]) -> list[str]:
    """What was compared, and what the sets share."""
    if not found:
        return ["no other set was named (--against NAME ROOT)"]
    return [
        f"{found['of_images']:,} images compared with the {found['other_images']:,} of {found['name']}; file names in "
        f"both: {found['same_file_names']:,}",
        f"equal bytes: {found['by_bytes']:,}, equal pixels: {found['by_pixels']:,}, near-identical: {found['near']:,}",
    ]
