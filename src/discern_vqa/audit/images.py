"""Images: which splits share them (by name, bytes, pixels), copies under several names, files that cannot be opened."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from discern_vqa.audit.image_set import ImageSet
from discern_vqa.audit.inputs import EVALUATED_ON, LEARNED_FROM, AuditInputs, may_leak
from discern_vqa.data.sample import Sample
from discern_vqa.imaging.content import NOTHING
from discern_vqa.imaging.image_ref import file_of

TITLE = "Images"
_MOST_NAMED = 10


def check(inputs: AuditInputs) -> dict[str, Any]:
    """Shared images for each pair of splits, files of equal bytes or pixels, missing and unreadable files, sizes.

    `shared` has, for each pair "test in train": images of the first split, those that the second has by name, by name
    or content (SHA-256 of the file), by name or pixels (of the decoded image; content included), the samples about
    the last, and the samples whose group, patient or study the second has. `blank` are images of one even area.
    `warned` has, for each other warning that came up while images were opened (sides stated twice and differently, maps
    of labels, ...), its words for the first image and the names of all.
    """
    image_set = inputs.image_set
    paths = {row.image: row.path for rows in inputs.samples.values() for row in rows}
    figures: dict[str, Any] = {"opened": True, "shared": {}}
    for one, other in combinations(inputs.samples, 2):
        judged, known = (one, other) if one in EVALUATED_ON and other in LEARNED_FROM else (other, one)
        figures["shared"][f"{judged} in {known}"] = _shared(inputs.samples[judged], inputs.samples[known], image_set)
    same_bytes = _groups(image_set.names, image_set.prints.content)
    same_pixels = _groups(image_set.names, image_set.prints.pixels)
    figures["same_bytes"] = same_bytes
    figures["same_pixels"] = [names for names in same_pixels if names not in same_bytes]
    figures["missing"] = sorted(image for image, path in paths.items() if not file_of(path).is_file())
    figures |= _opened(image_set, set(figures["missing"]))
    return figures


def _shared(rows: Sequence[Sample], known: Sequence[Sample], image_set: ImageSet) -> dict[str, int]:
    images, names = ({row.image for row in part} for part in (rows, known))
    content = dict(zip(image_set.names, image_set.prints.content, strict=True))
    known_content = {content[name] for name in names} - {b""}
    known_pixels = set(image_set.of(known).tolist())
    by_content = {name for name in images if name in names or content[name] in known_content}
    by_pixels = by_content | {name for name in images if int(image_set.number[image_set.place[name]]) in known_pixels}

    def of_both(name: str) -> int:
        theirs = {getattr(row, name) for row in known} - {""}
        return sum(getattr(row, name) in theirs for row in rows)

    return {
        "images": len(images),
        "by_name": len(images & names),
        "by_name_or_content": len(by_content),
        "by_name_or_pixels": len(by_pixels),
        "samples": sum(row.image in by_pixels for row in rows),
        "by_group": of_both("group"),
        "by_patient": of_both("patient"),
        "by_study": of_both("study"),
        "of_samples": len(rows),
    }


def _groups(names: Sequence[str], digests: Sequence[bytes]) -> list[list[str]]:
    """The names that share a digest, where several do."""
    same: dict[bytes, list[str]] = defaultdict(list)
    for name, digest in zip(names, digests, strict=True):
        if digest:
            same[digest].append(name)
    return [sorted(group) for group in same.values() if len(group) > 1]


def _opened(image_set: ImageSet, missing: set[str]) -> dict[str, Any]:
    reasons = zip(image_set.names, image_set.paths, image_set.prints.reasons, strict=True)
    broken = [
        # The path may name a patient where the image's own name is a pseudonym.
        {"image": name, "reason": reason.replace(str(path), name)}
        for name, path, reason in reasons
        if reason and name not in missing
    ]
    readable = np.flatnonzero(image_set.prints.sizes.all(axis=1))
    blank = {image_set.names[place] for place in readable[~image_set.shows[readable]]}
    warned: dict[str, dict[str, Any]] = {}
    for name, warnings in zip(image_set.names, image_set.prints.warnings, strict=True):
        if NOTHING in warnings:
            blank.add(name)
        for warning in set(warnings) - {NOTHING}:
            # What stands behind the colon differs from image to image.
            warned.setdefault(warning.partition(":")[0], {"warning": warning, "images": []})["images"].append(name)
    longer = np.sort(image_set.prints.sizes[readable].max(axis=1))
    return {
        "unreadable": sorted(broken, key=lambda entry: entry["image"]),
        "blank": [name for name in image_set.names if name in blank],
        "warned": [warned[key] for key in sorted(warned)],
        "sizes": {"least": int(longer[0]), "median": int(longer[len(longer) // 2]), "greatest": int(longer[-1])}
        if len(longer)
        else None,
    }


def verdict(found: dict[str, Any]) -> list[str]:
    """Shared images first: they decide what a score on this data set can mean."""
    sentences = []
    for pair, counts in found["shared"].items():
        judged, _, known = pair.partition(" in ")
        if not may_leak(judged, known):
            continue
        if counts["by_name_or_pixels"]:
            hidden = counts["by_name_or_pixels"] - counts["by_name"]
            also = f"; {hidden:,} of them under another name" if hidden else ""
            sentences.append(
                f"{counts['by_name_or_pixels']:,} of {counts['images']:,} {judged} images are also in {known} "
                f"({counts['samples']:,} of {counts['of_samples']:,} {judged} questions{also}): a model can score by "
                "remembering images. Use an image-disjoint split to see how it does on new ones."
            )
        sentences += [
            f"{counts[f'by_{kind}']:,} of {counts['of_samples']:,} {judged} questions are about {what} that {known} "
            f"has too: split by {how}, not by image alone."
            for kind, what, how in (
                ("group", "a patient or case", "group"),
                ("patient", "a patient", "patient"),
                ("study", "a study", "study"),
            )
            if counts[f"by_{kind}"] > counts["samples"]
        ]
    if found["missing"]:
        sentences.append(f"{len(found['missing']):,} image files are missing, the first: {found['missing'][0]}.")
    if found["unreadable"]:
        first = found["unreadable"][0]
        sentences.append(f"{len(found['unreadable']):,} image files cannot be opened; {first['reason']}.")
    if found["blank"]:
        sentences.append(
            f"{len(found['blank']):,} images show one even area and nothing else, e.g. {found['blank'][0]}."
        )
    for entry in found["warned"]:
        names = entry["images"]
        which = f"{len(names):,} images, e.g. {names[0]}" if len(names) > 1 else names[0]
        sentences.append(f"{which}: {entry['warning']}.")
    for key, what in (("same_bytes", "images are stored"), ("same_pixels", "images are stored in different files,")):
        if found[key]:
            sentences.append(
                f"{len(found[key]):,} {what} under more than one name, e.g. {' = '.join(found[key][0][:3])}: "
                "splitting by name does not keep these apart."
            )
    return sentences


def lines(found: dict[str, Any]) -> list[str]:
    texts = [
        f"{pair}: {counts['by_name_or_pixels']:,} of {counts['images']:,} images ({counts['by_name']:,} by name)"
        for pair, counts in found["shared"].items()
    ]
    if found["sizes"]:
        sizes = found["sizes"]
        texts.append(
            f"longer side: {sizes['least']} to {sizes['greatest']} pixels, half of them up to {sizes['median']}"
        )
    texts.append(
        f"missing files: {len(found['missing'])}; unreadable: {len(found['unreadable'])}; blank: {len(found['blank'])}"
    )
    texts.append(
        f"same content under several names: {len(found['same_bytes'])}; same pixels in other files: "
        f"{len(found['same_pixels'])}"
    )
    return texts + [f"  {entry['reason']}" for entry in found["unreadable"][:_MOST_NAMED]]
