"""Re-phrasings: the same question about the same image in other words, as the data themselves link them
(`data.rephrased`). A model that understood the question answers all wordings alike. Nothing is asked anew: the wordings
are questions of the split, whoever answered them. No torch here.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from discern_vqa.data import rephrased
from discern_vqa.data.normalisers import normaliser
from discern_vqa.data.sample import Sample
from discern_vqa.measurements import Context, Scores
from discern_vqa.scoring.metrics import figure, rights
from discern_vqa.scoring.page_tables import Cell, Table, percent
from discern_vqa.scoring.predictions import Prediction
from discern_vqa.scoring.tables import cell

ORDER = 46
_MANY_CHANGE = 0.1
"""A share of the groups that get several answers from which on a reader is warned: one in ten."""


def measure(context: Context) -> Mapping[str, Any]:
    """{"rephrased": see `compared`}; {} where the split has no linked wordings."""
    found = rephrased.rephrased(context.samples, normaliser(context.normalise))
    if not found.groups:
        return {}
    return {"rephrased": compared(context.samples, context.rows, found, context.normalise)}


def compared(
    samples: Sequence[Sample], rows: Sequence[Prediction], found: rephrased.Rephrased, normalise: str
) -> dict[str, Any]:
    """What the answers to several wordings of one question are worth.

    Args:
        samples, rows: (n,) the questions of a split and the answers to them, in the same order.
        found: the groups of places among them.

    Returns:
        {"linked_by", "left_out": as in `Rephrased`, "questions": how many in the groups, "same": figure of the groups
        in which every wording gets the same answer, right or wrong (no answer is not the same), "always" and "ever":
        of those in which all wordings, and in which any, are answered right, "by": {"phrase_type", "level"}: of the
        questions in the groups, figures of right answers, the one or the other where the data name it, and "changed":
        {level: figure of the re-phrasings that are answered otherwise than their original}}. Clustered by image.
    """
    same = normaliser(normalise)
    right = rights(rows, normalise)
    given = [same(row.prediction) if row.prediction.strip() else None for row in rows]
    images = np.array([rows[places[0]].image for places in found.groups], dtype=str)
    alike = [len({given[place] for place in places}) == 1 and given[places[0]] is not None for places in found.groups]
    inside = [place for places in found.groups for place in places]
    changed: dict[str, list[tuple[bool, str]]] = {}
    for places in found.groups:
        originals = [place for place in places if samples[place].phrase_type == "freeform"]
        for place in places if len(originals) == 1 else ():
            if level := samples[place].extra.get("level"):
                other = given[place] is None or given[place] != given[originals[0]]
                changed.setdefault(str(level), []).append((other, rows[place].image))
    return {
        "linked_by": found.linked_by,
        "left_out": found.left_out,
        "questions": len(inside),
        "same": figure(np.array(alike), images),
        "always": figure(np.array([bool(right[list(places)].all()) for places in found.groups]), images),
        "ever": figure(np.array([bool(right[list(places)].any()) for places in found.groups]), images),
        "by": {
            "phrase_type": _by(inside, right, rows, [samples[place].phrase_type for place in inside]),
            "level": _by(inside, right, rows, [str(samples[place].extra.get("level") or "") for place in inside]),
        },
        "changed": {
            level: figure(np.array([other for other, _ in pairs]), [image for _, image in pairs])
            for level, pairs in sorted(changed.items())
        },
    }


def _by(
    places: Sequence[int], right: np.ndarray, rows: Sequence[Prediction], names: Sequence[str]
) -> dict[str, dict[str, Any]]:
    groups: dict[str, list[int]] = {}
    for place, name in zip(places, names, strict=True):
        if name:
            groups.setdefault(name, []).append(place)
    return {
        name: figure(right[members], [rows[place].image for place in members])
        for name, members in sorted(groups.items())
    }


def lines(scores: Scores) -> list[str]:
    found = scores.get("rephrased") or {}
    if not found:
        return []
    return [
        f"re-phrasings, {found['same']['n']:,} groups of {found['questions']:,} questions ({found['linked_by']}): "
        f"{cell(found['same'])} % of the groups get the same answer in all wordings; in {cell(found['always'])} % all "
        f"wordings are answered right, in {cell(found['ever'])} % at least one"
    ]


def sentences(scores: Scores) -> list[str]:
    return [f"{line[0].upper()}{line[1:]}." for line in lines(scores)]


def warnings(scores: Scores) -> list[str]:
    """A sentence where more than one group in ten is shown to change its answer with the wording."""
    same = (scores.get("rephrased") or {}).get("same") or {}
    if not same.get("n") or same["ci95"][1] >= 1 - _MANY_CHANGE:
        return []
    several = same["n"] - same["correct"]
    return [
        f"answers hang on the wording: {several:,} of {same['n']:,} questions that the data ask in several wordings "
        "do not get the same answer in all of them"
    ]


_PHRASES = {"freeform": "the original question", "para": "a paraphrase"}


def tables(scores: Scores) -> list[Table]:
    found = scores.get("rephrased") or {}
    if not found:
        return []
    by = found["by"]
    rows: list[list[Cell]] = [
        ["groups with the same answer in all wordings", found["same"]["n"], percent(found["same"])],
        ["groups with all wordings right", found["always"]["n"], percent(found["always"])],
        ["groups with any wording right", found["ever"]["n"], percent(found["ever"])],
        *([f"right: {_PHRASES.get(name, name)}", one["n"], percent(one)] for name, one in by["phrase_type"].items()),
        *([f"right: re-phrased, level {name}", one["n"], percent(one)] for name, one in by["level"].items()),
        *([f"answer changed, level {name}", one["n"], percent(one)] for name, one in found["changed"].items()),
    ]
    left = f"; {found['left_out']:,} linked questions have another true answer and are left out"
    note = (
        f"Questions that ask the same of one image, by {found['linked_by']}; in %{left if found['left_out'] else ''}. "
        "A model that answers every question alike gives the same answer in all wordings, too"
    )
    return [Table("rephrased", "The same question in other words", ["", "n", "share"], rows, note)]
