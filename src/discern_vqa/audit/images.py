"""Images: which splits share them (by name, by content), which files hold the same bytes, which cannot be opened."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path
from typing import Any

from discern_vqa.audit._given import JUDGED_ON, LEARNED_FROM, Given
from discern_vqa.data.images import open_image
from discern_vqa.data.sample import Sample
from discern_vqa.errors import ImageError

TITLE = "Images"
_MOST_NAMED = 10


def check(given: Given) -> dict[str, Any]:
    """Shared images for each pair of splits, files of equal bytes, missing and unreadable files, pictures' sizes.

    `shared` has, for each pair "test in train": images of the first split, those that the second has by name, those
    that it has by name or by content (SHA-256 of the file), the samples about the latter, and the samples whose group
    (patient, case) the second has. Without
    `open_images` content is not looked at.
    """
    paths = {row.image: row.path for rows in given.samples.values() for row in rows}
    contents = {image: _content(path) for image, path in paths.items()} if given.open_images else {}
    found: dict[str, Any] = {"opened": given.open_images, "shared": {}}
    for one, other in combinations(given.samples, 2):
        judged, known = (one, other) if one in JUDGED_ON and other in LEARNED_FROM else (other, one)
        found["shared"][f"{judged} in {known}"] = _shared(given.samples[judged], given.samples[known], contents)
    same_bytes = defaultdict(list)
    for image, content in contents.items():
        if content:
            same_bytes[content].append(image)
    found["same_bytes"] = [sorted(images) for images in same_bytes.values() if len(images) > 1]
    found["missing"] = sorted(image for image, path in paths.items() if not path.is_file())
    found["unreadable"] = _unreadable(paths.items()) if given.open_images else []
    return found


def _shared(judged: Iterable[Sample], known: Iterable[Sample], contents: dict[str, str]) -> dict[str, int]:
    names, groups = {row.image for row in known}, {row.group for row in known}
    bytes_known = {contents[name] for name in names if contents.get(name)}
    rows = list(judged)
    images = {row.image for row in rows}
    shared = {image for image in images if image in names or contents.get(image, "") in bytes_known}
    return {
        "images": len(images),
        "by_name": len(images & names),
        "by_name_or_content": len(shared),
        "samples": sum(row.image in shared for row in rows),
        "by_group": sum(bool(row.group) and row.group in groups for row in rows),
        "of_samples": len(rows),
    }


def _content(path: Path) -> str:
    if not path.is_file():
        return ""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unreadable(paths: Iterable[tuple[str, Path]]) -> list[dict[str, str]]:
    broken = []
    for image, path in paths:
        try:
            if path.is_file():
                open_image(path)
        except ImageError as error:
            broken.append({"image": image, "reason": str(error)})
    return sorted(broken, key=lambda entry: entry["image"])


def verdict(found: dict[str, Any]) -> list[str]:
    """Shared images first: they decide what a score on this data set can mean."""
    said = []
    for pair, counts in found["shared"].items():
        judged, _, known = pair.partition(" in ")
        if counts["by_name_or_content"] and judged in JUDGED_ON and known in LEARNED_FROM:
            said.append(
                f"{counts['by_name_or_content']:,} of {counts['images']:,} {judged} images are also in {known} "
                f"({counts['samples']:,} of {counts['of_samples']:,} {judged} questions): a model can score by "
                "remembering images. Use an image-disjoint split to see what it makes of new ones."
            )
        if counts["by_group"] > counts["samples"] and judged in JUDGED_ON and known in LEARNED_FROM:
            said.append(
                f"{counts['by_group']:,} of {counts['of_samples']:,} {judged} questions are about a patient or case "
                f"that {known} has too: split by group, not by image alone."
            )
    if found["missing"]:
        said.append(f"{len(found['missing']):,} image files are missing, the first: {found['missing'][0]}.")
    if found["unreadable"]:
        first = found["unreadable"][0]
        said.append(f"{len(found['unreadable']):,} image files cannot be opened; {first['reason']}.")
    if found["same_bytes"]:
        first = found["same_bytes"][0]
        said.append(
            f"{len(found['same_bytes']):,} pictures lie there under more than one name, e.g. {' = '.join(first[:3])}: "
            "splitting by name does not keep these apart."
        )
    return said


def lines(found: dict[str, Any]) -> list[str]:
    """Shared images per pair of splits, then what is wrong with files."""
    said = [
        f"{pair}: {counts['by_name_or_content']:,} of {counts['images']:,} images ({counts['by_name']:,} by name)"
        for pair, counts in found["shared"].items()
    ]
    if not found["opened"]:
        return [*said, f"missing files: {len(found['missing'])}; contents were not looked at"]
    said.append(
        f"missing files: {len(found['missing'])}; unreadable: {len(found['unreadable'])}; "
        f"same content under several names: {len(found['same_bytes'])}"
    )
    return said + [f"  {entry['reason']}" for entry in found["unreadable"][:_MOST_NAMED]]
