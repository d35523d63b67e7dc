"""Near-identical images: neighbouring slices and re-encoded copies, which a split by name does not keep apart."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discern_vqa.audit.image_set import ImageSet
from discern_vqa.audit.inputs import AuditInputs, percent
from discern_vqa.data.sample import Sample
from discern_vqa.imaging.clusters import Clusters
from discern_vqa.imaging.near_pairs import Pairs, near_pairs
from discern_vqa.imaging.thumbnails import NEAR, SAME_GREY, hash_distance, perceptual_hash

TITLE = "Near-identical images"
NEIGHBOURS = 5
"""File numbers no further apart than this are taken for one series."""

_MOST_WITHIN = 60


def check(inputs: AuditInputs) -> dict[str, Any]:
    """All near-identical pairs of distinct images (see `imaging.near_pairs`), and what they join across splits.

    `across` has, for each "test in train": how many images of the first split have a near-identical other image in
    the second and are not in it themselves, with `grey` of them by grey correlation, `numbered` of them with a
    neighbouring file number, the `questions` about them, how many of these the second split asks about the other
    image in the same words (`asked`) and answers in the same way (`answered`), and for each image its best pair.
    `within` holds the pairs of one split that are most similar.
    """
    image_set = inputs.image_set
    members = {split: mask_of(image_set, rows) for split, rows in inputs.samples.items()}
    best = {splits: Nearest(len(image_set.first)) for splits in inputs.leaks}
    compared = image_set.comparable
    clusters, counts = Clusters(len(image_set.first)), Counter({"pairs": 0, "by_grey": 0})
    within = Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.float32))
    blocks = near_pairs(
        image_set.thumbs()[compared],
        progress=lambda done, total: inputs.progress("comparing images", done, total),
    )
    for block in blocks:
        pairs = Pairs(compared[block.one], compared[block.other], block.likeness, block.grey)
        counts["pairs"] += len(pairs)
        counts["by_grey"] += int((pairs.grey >= SAME_GREY).sum())
        clusters.add(pairs.one, pairs.other)
        for (judged, known), nearest in best.items():
            for one, other in ((pairs.one, pairs.other), (pairs.other, pairs.one)):
                across = (members[judged] & ~members[known])[one] & members[known][other]
                nearest.add(Pairs(one, other, pairs.likeness, pairs.grey), across)
        in_one_split = [mask[pairs.one] & mask[pairs.other] for mask in members.values()]
        within = _most_similar(within, pairs.chosen(np.logical_or.reduce(in_one_split)))
    sizes = clusters.sizes()
    return {
        "compared": len(compared), "above": NEAR, "same_grey": SAME_GREY, **counts,
        "clusters": len(sizes), "largest": int(sizes[0]) if len(sizes) else 0,
        "across": {f"{judged} in {known}": _across(inputs, image_set, judged, known, nearest)
                   for (judged, known), nearest in best.items()},
        "within": described(image_set, image_set, within),
    }  # fmt: skip


class Nearest:
    """For each of n images its most similar image of another set, updated as pairs come in; `partner` -1: none."""

    def __init__(self, images: int) -> None:
        self.partner = np.full(images, -1, np.int64)
        self.likeness = np.full(images, -2, np.float32)
        self.grey = np.full(images, -2, np.float32)

    def add(self, pairs: Pairs, which: NDArray[np.bool_]) -> None:
        """Takes in some of the pairs: `one` is an image of ours, `other` of the other set."""
        order = np.flatnonzero(which)[np.argsort(pairs.likeness[which], kind="stable")]
        order = order[pairs.likeness[order] > self.likeness[pairs.one[order]]]
        place = pairs.one[order]
        self.partner[place], self.likeness[place] = pairs.other[order], pairs.likeness[order]
        self.grey[place] = pairs.grey[order]

    def pairs(self, numbers: NDArray[np.int64]) -> Pairs:
        """These images with their most similar images."""
        return Pairs(numbers, self.partner[numbers], self.likeness[numbers], self.grey[numbers])

    def described(self, ours: ImageSet, theirs: ImageSet) -> list[dict[str, Any]]:
        """Each image that has one, with its most similar image (see `described`)."""
        return described(ours, theirs, self.pairs(np.flatnonzero(self.partner >= 0)))


def _most_similar(pairs: Pairs, more: Pairs) -> Pairs:
    """The `_MOST_WITHIN` most similar of both; of equally similar ones those that came first."""
    both = Pairs(*(np.concatenate([getattr(part, column.name) for part in (pairs, more)]) for column in fields(Pairs)))
    return both.chosen(np.argsort(-both.likeness, kind="stable")[:_MOST_WITHIN])


def mask_of(image_set: ImageSet, rows: Sequence[Sample]) -> NDArray[np.bool_]:
    """(contents,) whether some sample is about the image."""
    out = np.zeros(len(image_set.first), bool)
    out[image_set.of(rows)] = True
    return out


def _across(inputs: AuditInputs, image_set: ImageSet, judged: str, known: str, nearest: Nearest) -> dict[str, Any]:
    """What the near-identical images mean for the questions."""
    rows = inputs.samples[judged]
    names = list(dict.fromkeys(row.image for row in rows))
    near = [name for name in names if nearest.partner[image_set.number[image_set.place[name]]] >= 0]
    numbers = image_set.number[[image_set.place[name] for name in near]] if near else np.empty(0, np.int64)
    nearest_pairs = nearest.pairs(numbers)
    pairs = described(image_set, image_set, nearest_pairs, near)
    partner_of = dict(zip(near, nearest_pairs.other.tolist(), strict=True))
    plain = inputs.plain
    answers: dict[tuple[int, str], set[str]] = {}
    for row in inputs.questions.get(known, []):
        about = (int(image_set.number[image_set.place[row.image]]), plain(row.question))
        answers.setdefault(about, set()).add(plain(row.answer))
    questions = [row for row in inputs.questions.get(judged, []) if row.image in partner_of]
    known_answers = [answers.get((partner_of[row.image], plain(row.question)), set()) for row in questions]
    return {
        "images": len(near),
        "of_images": len(names),
        "grey": int((nearest_pairs.grey >= SAME_GREY).sum()),
        "numbered": sum(pair["gap"] is not None and pair["gap"] <= NEIGHBOURS for pair in pairs),
        "questions": len(questions),
        "asked": sum(map(bool, known_answers)),
        "answered": sum(plain(row.answer) in those for row, those in zip(questions, known_answers, strict=True)),
        "pairs": pairs,
    }


def described(
    ours: ImageSet, theirs: ImageSet, pairs: Pairs, names: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """Each pair of images as plain data, the most similar first; `names`: of copies, the images to name (else the
    first)."""
    if not len(pairs):
        return []
    at, there = ours.first[pairs.one], theirs.first[pairs.other]
    bits = hash_distance(*(perceptual_hash(s.prints.thumbs[places, 0]) for s, places in ((ours, at), (theirs, there))))
    order = np.argsort(-pairs.likeness, kind="stable").tolist()
    rows = [(names[k] if names is not None else ours.names[at[k]], theirs.names[there[k]], k) for k in order]
    return [
        {
            "image": image,
            "other": partner,
            "likeness": round(float(pairs.likeness[k]), 4),
            "grey": round(float(pairs.grey[k]), 4),
            "bits": int(bits[k]),
            "gap": gap(image, partner) if ours is theirs else gap(Path(image).name, Path(partner).name),
        }
        for image, partner, k in rows
    ]


def gap(one: str, other: str) -> int | None:
    """How far apart the numbers of two names are that differ in one number alone; None for other names."""
    left, right = (re.split(r"(\d+)", name) for name in (one, other))
    different = [(a, b) for a, b in zip(left, right, strict=False) if a != b]
    if len(left) != len(right) or len(different) != 1 or not all(part.isdecimal() for part in different[0]):
        return None
    return abs(int(different[0][0]) - int(different[0][1]))


def verdict(found: dict[str, Any]) -> list[str]:
    sentences = []
    for pair, counts in found["across"].items():
        judged, _, known = pair.partition(" in ")
        series = f", {counts['numbered']:,} of them with a neighbouring file number" if counts["numbered"] else ""
        sentence = (
            f"{counts['images']:,} of {counts['of_images']:,} {judged} images are nearly identical to another image "
            f"in {known}{series}: slices of one patient or copies, which a split by name does not keep apart. Split "
            "with --by near."
        )
        if counts["answered"]:
            sentence += (
                f" {percent(counts['answered'], counts['questions'])} of the questions about them are asked in {known} "
                "about the other image in the same words, with the same answer."
            )
        sentences += [sentence] if counts["images"] else []
    return sentences


def lines(found: dict[str, Any]) -> list[str]:
    if not found["compared"]:
        return ["no image was compared"]
    return [
        f"{found['pairs']:,} pairs among {found['compared']:,} distinct images",
        f"{found['by_grey']:,} by grey correlation >= {found['same_grey']} (32 x 32), the others by thumbnail "
        f"similarity >= {found['above']}",
        f"they form {found['clusters']:,} clusters, the largest of {found['largest']:,} images",
        *(
            f"{pair}: {percent(counts['images'], counts['of_images'])} images, {counts['grey']:,} by grey correlation; "
            f"of {counts['questions']:,} questions about them {counts['answered']:,} are answered there"
            for pair, counts in found["across"].items()
        ),
    ]
