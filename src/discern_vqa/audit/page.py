"""The audit as one page that needs no other file: the verdict, pairs of images side by side, every figure. No torch.

Filled from the findings alone (`audit` in `__init__`), and from the image files of the pairs that are shown: at most
`SHOWN` of each kind, 200 pixels high, as data URIs. The page loads nothing from anywhere and holds no script.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image

from discern_vqa.audit import lines_by_check
from discern_vqa.audit.baselines import SEE
from discern_vqa.data.sample import Sample
from discern_vqa.errors import ImageError
from discern_vqa.files import atomic_write_text
from discern_vqa.imaging.images import open_image
from discern_vqa.pages import data_uri, style, templates
from discern_vqa.version import __version__

SHOWN = 48
_SIDE = 200

Samples = Mapping[str, Sequence[Sample]]


def write_page(
    report: Mapping[str, Any], path: Path, name: str, samples: Samples, others: Samples | None = None
) -> None:
    """Writes the page of a report of `audit` on `samples`; others: of the set that they were compared with."""
    ours, theirs = ({row.image: row.path for rows in side.values() for row in rows} for side in (samples, others or {}))
    show = cache(_shown)
    flaws = report["flaws"]
    content = {
        "name": name,
        "flaws": report["verdict"][:flaws],
        "known": report["verdict"][flaws:],
        "counts": report["counts"],
        "records": report["records"]["splits"],
        "galleries": _galleries(report, ours, theirs, show),
        "rephrased": [
            {"split": split, "pairs": [example | {"picture": show(ours.get(example["image"]))} for example in examples]}
            for split, counts in report["rephrasings"].items()
            if (examples := counts["examples"][:12])
        ],
        "conflicts": [
            conflict | {"picture": show(ours.get(conflict["image"]))}
            for conflict in report["repetitions"]["all"]["conflicts"][:12]
        ],
        "baselines": report["baselines"],
        "see": SEE,
        "ceilings": {split: counts["normalisers"][report["normalise"]] for split, counts in report["answers"].items()},
        "missing_answers": {split: counts["examples"] for split, counts in report["answers"].items()},
        "balance": report["balance"],
        "asked_most": [row for counts in report["priors"].values() for row in counts["asked_most"][:12]][:12],
        "unreadable": report["images"]["unreadable"][:SHOWN],
        "missing": report["images"]["missing"][:SHOWN],
        "broken": report["records"]["broken_named"],
        "checks": lines_by_check(report),
    }
    atomic_write_text(path, fill("audit.html.j2", **content))


def _galleries(
    report: Mapping[str, Any], ours: Mapping[str, Path], theirs: Mapping[str, Path], show: Callable[[Path | None], str]
) -> list[dict[str, Any]]:
    """Pairs of images under headings: across splits, from the other set, then within splits."""
    near, against = report["near"], report["against"]
    galleries = []
    for pair, counts in near["across"].items():
        rule = f"{counts['images']:,} of {counts['of_images']:,} images are nearly identical to another one there"
        galleries.append((pair, rule, counts["pairs"], ours, tuple(pair.split(" in "))))
    if against:
        title = f"In {against['name']} too"
        rule = f"{len(against['images']):,} of {against['of_images']:,} images, each next to the one that it resembles"
        galleries.append((title, rule, against["images"], theirs, ("here", against["name"])))
    for pair, counts in report["encoder"].get("across", {}).items():
        rule = f"similar by the features of {report['encoder']['encoder']}, not as thumbnails"
        galleries.append((f"{pair}, by an encoder", rule, counts["pairs"], ours, tuple(pair.split(" in "))))
    rule = "the most similar of one split: no leak, but fewer distinct images than files"
    galleries.append(("Within a split", rule, near["within"][:12], ours, ("", "")))
    return [
        {
            "title": title,
            "rule": rule,
            "more": max(0, len(pairs) - SHOWN),
            "sides": sides,
            "pairs": [
                pair | {"left": show(ours.get(pair["image"])), "right": show(others.get(pair["other"]))}
                for pair in pairs[:SHOWN]
            ],
        }
        for title, rule, pairs, others, sides in galleries
        if pairs
    ]


def fill(template: str, **content: Any) -> str:
    """A page of `templates/`, with the style sheet of both."""
    css = style("discern_vqa.audit", "audit.css")
    return templates("discern_vqa.audit").get_template(template).render(css=css, version=__version__, **content)


def small_image(image: Image.Image, width: int, height: int) -> str:
    """An image, at most so large, as a data URI."""
    small = image.copy()
    small.thumbnail((width, height), Image.Resampling.LANCZOS)
    return data_uri(small, quality=80)


def _shown(path: Path | None) -> str:
    """An image file as a data URI; "" where it cannot be opened: the list of unreadable files says why."""
    try:
        return small_image(open_image(path), 2 * _SIDE, _SIDE) if path is not None else ""
    except ImageError:
        return ""
