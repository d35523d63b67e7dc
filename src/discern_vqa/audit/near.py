"""Near-identical images: neighbouring slices and copies with other bytes, which a split by name does not keep apart."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discern_vqa.audit._given import JUDGED_ON, LEARNED_FROM, Given, percent
from discern_vqa.audit._pictures import Pictures
from discern_vqa.data.sample import Sample
from discern_vqa.imaging.clusters import Clusters
from discern_vqa.imaging.near_pairs import Pairs, near_pairs
from discern_vqa.imaging.thumbnails import NEAR, SAME_GREY, hash_distance, perceptual_hash

TITLE = "Near-identical images"
NEIGHBOURS = 5
"""File numbers no further apart than this are taken for one series."""

_MOST_WITHIN = 60


def check(given: Given) -> dict[str, Any]:
    """All near-identical pairs of different pictures (see `imaging.near_pairs`), and what they join across splits.

    `across` has, for each "test in train": how many images of the first split have a near-identical other picture in
    the second and are not in it themselves, with `grey` of them by grey correlation, `numbered` of them with a
    neighbouring file number, the `questions` about them, how many of these the second split asks about the other
    picture in the same words (`asked`) and answers in the same way (`answered`), and for each image its best pair.
    `within` holds the pairs of one split that are most alike. Without images opened nothing is looked at.
    """
    pictures = given.pictures
    found: dict[str, Any] = {"compared": 0, "above": NEAR, "same_grey": SAME_GREY, "pairs": 0, "by_grey": 0}
    found |= {"clusters": 0, "largest": 0, "across": {}, "within": []}
    if pictures is None:
        return found
    members = {split: mask_of(pictures, rows) for split, rows in given.samples.items()}
    best = {
        (judged, known): Nearest(members[judged] & ~members[known], members[known])
        for judged in members
        for known in members
        if judged in JUDGED_ON and (known in LEARNED_FROM or (judged, known) == JUDGED_ON)
    }
    kept = np.flatnonzero(pictures.shows[pictures.first])
    thumbs = pictures.thumbs()[kept]
    clusters, within = Clusters(len(pictures.first)), _Most(_MOST_WITHIN)
    for block in near_pairs(thumbs, progress=lambda done, total: given.progress("comparing images", done, total)):
        pairs = Pairs(kept[block.one], kept[block.other], block.likeness, block.grey)
        found["pairs"] += len(pairs)
        found["by_grey"] += int((pairs.grey >= SAME_GREY).sum())
        clusters.add(pairs.one, pairs.other)
        for nearest in best.values():
            nearest.add(pairs)
        within.add(pairs, np.logical_or.reduce([mask[pairs.one] & mask[pairs.other] for mask in members.values()]))
    sizes = clusters.sizes()
    found |= {"compared": len(kept), "clusters": len(sizes), "largest": int(sizes[0]) if len(sizes) else 0}
    for (judged, known), nearest in best.items():
        found["across"][f"{judged} in {known}"] = _across(given, pictures, judged, known, nearest)
    found["within"] = described(pictures, pictures, *within.kept)
    return found


class Nearest:
    """For each picture of one side its most alike picture of the other, as pairs come in."""

    def __init__(self, judged: NDArray[np.bool_], known: NDArray[np.bool_]) -> None:
        self._judged, self._known = judged, known
        self.partner = np.full(len(judged), -1, np.int64)
        self.likeness = np.full(len(judged), -2, np.float32)
        self.grey = np.full(len(judged), -2, np.float32)

    def add(self, pairs: Pairs) -> None:
        """Takes note of the pairs that lead from one side to the other."""
        for one, other in ((pairs.one, pairs.other), (pairs.other, pairs.one)):
            across = self._judged[one] & self._known[other]
            order = np.flatnonzero(across)[np.argsort(pairs.likeness[across], kind="stable")]
            order = order[pairs.likeness[order] > self.likeness[one[order]]]
            self.partner[one[order]], self.likeness[one[order]] = other[order], pairs.likeness[order]
            self.grey[one[order]] = pairs.grey[order]


class _Most:
    """The pairs that are most alike, as they come in."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.kept: tuple[Any, ...] = tuple(np.empty(0, kind) for kind in (np.int64, np.int64, np.float32, np.float32))

    def add(self, pairs: Pairs, which: NDArray[np.bool_]) -> None:
        new = (pairs.one[which], pairs.other[which], pairs.likeness[which], pairs.grey[which])
        every: list[Any] = [np.concatenate([old, more]) for old, more in zip(self.kept, new, strict=True)]
        order = np.argsort(-every[2], kind="stable")[: self._most]
        self.kept = tuple(column[order] for column in every)


def mask_of(pictures: Pictures, rows: Sequence[Sample]) -> NDArray[np.bool_]:
    """(pictures,) whether some sample is about the picture."""
    out = np.zeros(len(pictures.first), bool)
    out[pictures.of(rows)] = True
    return out


def _across(given: Given, pictures: Pictures, judged: str, known: str, nearest: Nearest) -> dict[str, Any]:
    """What the nearest pictures mean for the questions."""
    rows = given.samples[judged]
    names = list(dict.fromkeys(row.image for row in rows))
    near = [name for name in names if nearest.partner[pictures.number[pictures.place[name]]] >= 0]
    numbers = pictures.number[[pictures.place[name] for name in near]] if near else np.empty(0, np.int64)
    partners = nearest.partner[numbers]
    pairs = described(pictures, pictures, numbers, partners, nearest.likeness[numbers], nearest.grey[numbers], near)
    partner_of = dict(zip(near, partners.tolist(), strict=True))
    plain = given.plain
    answers: dict[tuple[int, str], set[str]] = {}
    for row in given.questions.get(known, []):
        about = (int(pictures.number[pictures.place[row.image]]), plain(row.question))
        answers.setdefault(about, set()).add(plain(row.answer))
    asked = [row for row in given.questions.get(judged, []) if row.image in partner_of]
    said = [answers.get((partner_of[row.image], plain(row.question)), set()) for row in asked]
    return {
        "images": len(near),
        "of_images": len(names),
        "grey": int((nearest.grey[numbers] >= SAME_GREY).sum()),
        "numbered": sum(pair["gap"] is not None and pair["gap"] <= NEIGHBOURS for pair in pairs),
        "questions": len(asked),
        "asked": sum(map(bool, said)),
        "answered": sum(plain(row.answer) in known_answers for row, known_answers in zip(asked, said, strict=True)),
        "pairs": pairs,
    }


def described(
    ours: Pictures,
    theirs: Pictures,
    one: NDArray[np.int64],
    other: NDArray[np.int64],
    likeness: NDArray[np.float32],
    grey: NDArray[np.float32],
    names: Sequence[str] | None = None,
) -> list[dict[str, Any]]:
    """Each pair of pictures as plain data, the most alike first; `names` are the images meant, else the first ones."""
    if not len(one):
        return []
    at, there = ours.first[one], theirs.first[other]
    bits = hash_distance(*(perceptual_hash(s.prints.thumbs[places, 0]) for s, places in ((ours, at), (theirs, there))))
    order = np.argsort(-likeness, kind="stable").tolist()
    rows = [(names[k] if names is not None else ours.names[at[k]], theirs.names[there[k]], k) for k in order]
    return [
        {
            "image": image,
            "other": partner,
            "likeness": round(float(likeness[k]), 4),
            "grey": round(float(grey[k]), 4),
            "bits": int(bits[k]),
            "gap": gap(image, partner)
            if ours is theirs
            else gap(*(name.rpartition("/")[2] for name in (image, partner))),
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
    """Images that are another split's but for a slice, a border or a codec."""
    said = []
    for pair, counts in found["across"].items():
        judged, _, known = pair.partition(" in ")
        if not counts["images"]:
            continue
        series = f", {counts['numbered']:,} of them with a neighbouring file number" if counts["numbered"] else ""
        words = (
            f" {percent(counts['answered'], counts['questions'])} of the questions about them are asked in {known} "
            "about the other image in the same words, with the same answer."
            if counts["answered"]
            else ""
        )
        said.append(
            f"{counts['images']:,} of {counts['of_images']:,} {judged} images are nearly identical to another image "
            f"in {known}{series}: slices of one patient or copies, which a split by name does not keep apart. Split "
            f"with --by near.{words}"
        )
    return said


def lines(found: dict[str, Any]) -> list[str]:
    """The rule, the pairs in all, then a line per pair of splits."""
    if not found["compared"]:
        return ["no image was compared"]
    said = [
        f"{found['pairs']:,} pairs among {found['compared']:,} different pictures",
        f"{found['by_grey']:,} by grey correlation >= {found['same_grey']} (32 x 32), the others by likeness >= "
        f"{found['above']}",
        f"they form {found['clusters']:,} clusters, the largest of {found['largest']:,} pictures",
    ]
    return said + [
        f"{pair}: {percent(counts['images'], counts['of_images'])} images, {counts['grey']:,} by grey correlation; of "
        f"{counts['questions']:,} questions about them {counts['answered']:,} are answered there"
        for pair, counts in found["across"].items()
    ]
