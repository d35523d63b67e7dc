"""Another data set: which images the two sets share, so that neither is trained on test images of the other."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from discern_vqa.audit.image_set import ImageSet
from discern_vqa.audit.inputs import AuditInputs, Other
from discern_vqa.audit.near import Nearest
from discern_vqa.imaging.near_pairs import Pairs, near_pairs

TITLE = "Comparison with another data set"


def check(inputs: AuditInputs) -> dict[str, Any]:
    """{} without another set; else how many of this set's images it has: by bytes, by pixels, nearly.

    `images` has an entry for each of them: {"image", "other", "how", "likeness", "grey", "bits", "splits": of the
    other set}, with the most similar image where there are several; `exclude` is the list of their file names;
    `by_split` counts them for each split of the other set. `same_file_names` counts images of equal names, whatever
    they show.
    """
    if inputs.other is None:
        return {}
    ours, other = inputs.image_set, inputs.other
    # An exact copy replaces a near-identical entry.
    every = [*_alike(inputs, ours, other), *_copies(ours, other.image_set)]
    entries = {entry["image"]: entry for entry in every}
    splits: dict[str, set[str]] = {}
    for split, rows in other.samples.items():
        for row in rows:
            splits.setdefault(row.image, set()).add(split)
    images = sorted(entries.values(), key=lambda entry: (-entry["likeness"], entry["image"]))
    for entry in images:
        entry["splits"] = sorted(splits[entry["other"]])
    kinds = Counter(entry["how"] for entry in images)
    rows = [row for part in inputs.samples.values() for row in part]
    file_names, their_file_names = ({Path(name).name for name in side.names} for side in (ours, other.image_set))
    return {
        "name": other.name,
        "of_images": len(ours.names),
        "other_images": len(other.image_set.names),
        "by_bytes": kinds["bytes"],
        "by_pixels": kinds["pixels"],
        "near": kinds["near"],
        "samples": sum(row.image in entries for row in rows),
        "of_samples": len(rows),
        "same_file_names": len(file_names & their_file_names),
        "by_split": dict(Counter(split for entry in images for split in entry["splits"])),
        "images": images,
        "exclude": sorted({Path(entry["image"]).name for entry in images}),
    }


def _copies(ours: ImageSet, theirs: ImageSet) -> list[dict[str, Any]]:
    entries: dict[str, dict[str, Any]] = {}
    for how, digests, their_digests in (
        ("pixels", ours.prints.pixels, theirs.prints.pixels),
        ("bytes", ours.prints.content, theirs.prints.content),  # last, so that equal bytes win
    ):
        # Of several images the first: it is put in last.
        named = {digest: name for digest, name in reversed(list(zip(their_digests, theirs.names, strict=True)))}
        for name, digest in zip(ours.names, digests, strict=True):
            if digest and digest in named:
                exact = {"likeness": 1.0, "grey": 1.0, "bits": 0, "gap": None}
                entries[name] = {"image": name, "other": named[digest], "how": how} | exact
    return list(entries.values())


def _alike(inputs: AuditInputs, ours: ImageSet, other: Other) -> list[dict[str, Any]]:
    theirs, nearest = other.image_set, Nearest(len(ours.first))
    here, there = ours.comparable, theirs.comparable
    blocks = near_pairs(
        ours.thumbs()[here],
        theirs.thumbs()[there],
        progress=lambda done, total: inputs.progress(f"comparing with {other.name}", done, total),
    )
    for block in blocks:
        pairs = Pairs(here[block.one], there[block.other], block.likeness, block.grey)
        nearest.add(pairs, np.ones(len(pairs), bool))
    copies: dict[int, list[str]] = {}
    for name, number in zip(ours.names, ours.number.tolist(), strict=True):
        copies.setdefault(number, []).append(name)
    return [
        pair | {"image": name, "how": "near"}
        for pair in nearest.described(ours, theirs)
        for name in copies[int(ours.number[ours.place[pair["image"]]])]
    ]


def verdict(found: dict[str, Any]) -> list[str]:
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
    if not found:
        return ["no other set was named (--against NAME ROOT)"]
    return [
        f"{found['of_images']:,} images compared with the {found['other_images']:,} of {found['name']}; file names in "
        f"both: {found['same_file_names']:,}",
        f"equal bytes: {found['by_bytes']:,}, equal pixels: {found['by_pixels']:,}, near-identical: {found['near']:,}",
    ]
