"""From scores to what a page shows: headline cards, the table's rows, bars, sentences. Plain data, no torch."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from discern_vqa.evaluation import mirror, reliance, scope
from discern_vqa.evaluation.intervals import clustered_bootstrap
from discern_vqa.evaluation.metrics import rights
from discern_vqa.evaluation.report_read import RunFiles
from discern_vqa.evaluation.scoring import BASELINES, warnings

COLUMNS = ("overall", "open", "closed", "unknown", "twins")
TITLES = {
    "overall": "Overall",
    "open": "Open questions",
    "closed": "Closed questions",
    "unknown": "Type not given",
    "twins": "Twins, both right",
}
SEES = {
    "majority": "the commonest answer of the question's type",
    "question_only": "the question",
    "lookup": "the question and the image's file name, in a table",
    "image_identity": "the question and which image it is, no pixels",
    "plain_transformer": "the question and the same frozen features, two plain layers",
    "blank_image": "the model, shown an empty image",
    "noise_image": "the model, shown the image's own points in another order",
    "shuffled_image": "the model, shown another question's image",
    "wrong_organ_image": "the model, shown another organ",
}

_SAID = ((reliance, "reliance"), (mirror, "mirror"), (scope, "scope"))


def view(run: RunFiles) -> dict[str, Any]:
    """Everything the template shows of one run, but for pictures and curves."""
    scores = run.scores
    columns = [column for column in COLUMNS if (scores.get(column) or {}).get("n")]
    strongest = _strongest(scores)
    return {
        "name": run.name,
        "split": run.split,
        "model": (run.config.get("model") or {}).get("name", "model"),
        "dataset": (run.config.get("data") or {}).get("dataset", "data set not named"),
        "protocol": scores.get("protocol", ""),
        "n": scores["n"],
        "images": scores.get("images"),
        "normaliser": scores.get("normaliser", ""),
        "vocabulary": scores.get("vocabulary"),
        "columns": [{"key": key, "title": TITLES[key], "n": scores[key]["n"]} for key in columns],
        "cards": [_card(key, scores, strongest) for key in columns],
        "rows": _rows(run, columns),
        "warnings": warnings(scores),
        "sentences": _sentences(run, strongest),
        "strongest": strongest,
        "by": [
            {"title": f"By {key.replace('_', ' ')}", "bars": [_bar(name, one) for name, one in figures.items()]}
            for key, figures in sorted((scores.get("by") or {}).items(), key=lambda item: len(item[1]))
            if figures
        ],
        "recipe": run.recipe,
        "settings": settings(run.config),
    }


def settings(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The resolved config as tables of name and value; nested names are joined with dots, folders left out."""
    tables = []
    for title, content in config.items():
        if isinstance(content, dict):
            rows = _flat(content)
            if rows:
                tables.append({"title": title, "rows": rows})
    return tables


def difference(run: RunFiles, name: str) -> dict[str, Any] | None:
    """The model minus a baseline on the same questions: {"points", "ci95"} in fractions, paired and clustered by image.

    None where the run folder does not keep that baseline's predictions, or they are of other questions.
    """
    other = {row.id: row for row in run.baselines.get(name, [])}
    if not other or {row.id for row in run.rows} != set(other):
        return None
    how = run.scores.get("normaliser", "m3ae")
    ours = rights(run.rows, how).astype(float)
    theirs = rights([other[row.id] for row in run.rows], how).astype(float)
    low, high = clustered_bootstrap(ours - theirs, [row.image for row in run.rows])
    return {"points": float(np.mean(ours - theirs)), "ci95": [low, high]}


def _rows(run: RunFiles, columns: list[str]) -> list[dict[str, Any]]:
    scores = run.scores
    baselines, controls = scores.get("baselines") or {}, scores.get("controls") or {}
    order = [name for name in BASELINES if name in baselines] + sorted(set(baselines) - set(BASELINES))
    modes = {name: one for name, one in (scores.get("modes") or {}).items() if name != scores.get("mode")}
    named = [("model", run.name, scores), *(("mode", name, modes[name]) for name in modes)]
    named += [("baseline", name, baselines[name]) for name in order]
    named += [("control", name, controls[name]) for name in controls]
    return [
        {
            "kind": kind,
            "name": name,
            "sees": "the image and the question" if kind in ("model", "mode") else SEES.get(name, ""),
            "cells": [_bar(column, figures.get(column)) for column in columns],
            "difference": difference(run, name) if kind == "baseline" else None,
        }
        for kind, name, figures in named
    ]


def _card(key: str, scores: dict[str, Any], strongest: str) -> dict[str, Any]:
    beside = ((scores.get("baselines") or {}).get(strongest) or {}).get(key)
    return {"title": TITLES[key]} | _bar(key, scores[key]) | {"beside": _bar(strongest, beside) if beside else None}


def _bar(name: str, figure: Mapping[str, Any] | None) -> dict[str, Any]:
    """A figure in %, for text and for the width of a bar; "value" is None where there is nothing."""
    if not figure or figure.get("accuracy") is None:
        return {"name": name, "value": None, "n": 0, "correct": 0, "low": None, "high": None}
    low, high = figure.get("ci95") or (figure["accuracy"], figure["accuracy"])
    return {
        "name": name,
        "value": 100 * figure["accuracy"],
        "n": figure.get("n", 0),
        "correct": figure.get("correct", 0),
        "low": 100 * low,
        "high": 100 * high,
    }


def _strongest(scores: dict[str, Any]) -> str:
    """The baseline with the best overall accuracy, "" where there is none."""
    found = {name: one["overall"]["accuracy"] for name, one in (scores.get("baselines") or {}).items()}
    found = {name: accuracy for name, accuracy in found.items() if accuracy is not None}
    return max(found, key=lambda name: found[name]) if found else ""


def _sentences(run: RunFiles, strongest: str) -> list[str]:
    """What the figures say, in words, the same for every reader."""
    overall = run.scores["overall"]
    said = []
    if strongest:
        paired = difference(run, strongest)
        if paired:
            low, high = (100 * end for end in paired["ci95"])
            verdict = "chance alone may explain that" if low <= 0 <= high else "more than chance explains"
            said.append(
                f"{100 * paired['points']:+.1f} points against {strongest}, the strongest baseline, on the same "
                f"questions (95 % interval {low:+.1f} to {high:+.1f}): {verdict}."
            )
        else:
            beside = run.scores["baselines"][strongest]["overall"]["accuracy"]
            gain = 100 * (overall["accuracy"] - beside)
            said.append(f"{gain:+.1f} points against {strongest}, the strongest baseline.")
    blank = ((run.scores.get("controls") or {}).get("blank_image") or {}).get("overall", {}).get("accuracy")
    if blank is not None and not run.scores.get("reliance"):
        lost = 100 * (overall["accuracy"] - blank)
        blanked = f"{lost:.1f} points are lost" if lost > 0 else "Nothing is lost"
        said.append(f"{blanked} when the image is blank.")
    found = [module.lines(run.scores.get(key)) for module, key in _SAID]
    for text in (line for some in found for line in some):
        said.append(f"{text[0].upper()}{text[1:]}.")
    said += [f"Left out: {name}: {why}." for name, why in (run.scores.get("controls_left_out") or {}).items()]
    vocabulary = run.scores.get("vocabulary")
    if vocabulary:
        said.append(
            f"{vocabulary['size']:,} answers can be given; they cover {100 * vocabulary['coverage']:.1f} % of the "
            "questions, and no score can be higher."
        )
    return said


def _flat(content: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, value in content.items():
        if key == "root":  # a page is passed on: no folder of this machine
            continue
        if isinstance(value, dict) and value:
            rows += _flat(value, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", _plain(value)))
    return rows


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value in ("", [], {}):
        return "–"
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    if isinstance(value, str) and value.startswith("/"):
        return f".../{value.rstrip('/').rpartition('/')[2]}"
    return str(value)
