"""From scores to what a page shows: headline cards, the table's rows, bars, sentences. Plain data, no torch."""

from collections.abc import Mapping
from typing import Any

from discern_vqa.report.more_tables import further
from discern_vqa.report.read import RunFiles
from discern_vqa.report.summary import NO_PIXELS, paired_tests, strongest, summary
from discern_vqa.report.tables import Cell, Figure, Table
from discern_vqa.report.terminal import by_sight, warnings
from discern_vqa.scoring.metrics import rights
from discern_vqa.scoring.predictions import Prediction

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
    "prior_alone": "what the recipe's [prior] knows before the network looks",
    "thumbnail": "the question and a picture of 32 x 32 greys, nearest neighbour",
    "blank_image": "the model, shown an empty image",
    "noise_image": "the model, shown the image's own points in another order",
    "shuffled_image": "the model, shown another question's image",
    "wrong_organ_image": "the model, shown another organ",
}


def view(run: RunFiles) -> dict[str, Any]:
    """Everything the template shows of one run, but for pictures and curves."""
    scores = run.scores
    columns = [column for column in COLUMNS if (scores.get(column) or {}).get("n")]
    beside = strongest(scores, NO_PIXELS) or strongest(scores)
    tested = paired_tests(run)
    rows = _rows(run, columns, tested)
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
        "cards": [_card(key, scores, beside) for key in columns],
        "rows": rows,
        "warnings": warnings(scores, {name for name, test in tested.items() if test["verdict"] == "better"}),
        "summary": summary(run, tested),
        "beside": beside,
        "by": _groups(run, beside),
        "tables": [_table(rows, columns, scores), *further(run)],
    }


def _rows(run: RunFiles, columns: list[str], tested: Mapping[str, Any]) -> list[dict[str, Any]]:
    scores = run.scores
    controls = scores.get("controls") or {}
    modes = {name: one for name, one in (scores.get("modes") or {}).items() if name != scores.get("mode")}
    named: list[tuple[str, str, str, Mapping[str, Any]]] = [("", "model", run.name, scores)]
    named += [("Other ways of answering, the same model", "mode", name, modes[name]) for name in modes]
    for title, members in by_sight(scores).items():
        named += [
            (f"Baselines that {title}" if "see" in title else f"Baselines {title}", "baseline", name, one)
            for name, one in members.items()
        ]
    named += [
        ("Controls: the model, without the right image", "control", name, one)
        for name, one in controls.items()
        if isinstance(one, Mapping) and "overall" in one
    ]
    return [
        {
            "section": section,
            "kind": kind,
            "name": name,
            "sees": "the image and the question" if kind in ("model", "mode") else SEES.get(name, ""),
            "cells": [_bar(column, figures.get(column)) for column in columns],
            "difference": tested.get(name) if kind == "baseline" else None,
        }
        for section, kind, name, figures in named
    ]


def _table(rows: list[dict[str, Any]], columns: list[str], scores: Mapping[str, Any]) -> Table:
    """The rows as a table for files."""
    paired = any(row["difference"] for row in rows)
    cells: list[list[Cell]] = []
    for row in rows:
        found = row["difference"]
        difference = None
        if found:
            low, high = (100 * end for end in found["ci95"]) if found["ci95"] else (None, None)
            difference = Figure(100 * found["points"], low, high, scores["n"], signed=True)
        tested: list[Cell] = [difference, found["p"] if found else None, found["verdict"] if found else None]
        figures: list[Cell] = [
            None if bar["value"] is None else Figure(bar["value"], bar["low"], bar["high"], bar["n"])
            for bar in row["cells"]
        ]
        cells.append([row["name"], *figures, *(tested if paired else [])])
    titles = [f"{column} (n = {scores[column]['n']:,})" for column in columns]
    more = ["model minus this", "p, Holm", "model is"] if paired else []
    note = "Accuracy in %, with its 95 % interval clustered by image"
    return Table("results", "Model, baselines and controls", ["answers by", *titles, *more], cells, note, marked=[0])


def _groups(run: RunFiles, beside: str) -> list[dict[str, Any]]:
    """Bars by organ, question type and so on; `beside`: the baseline whose figure is marked on each bar."""
    theirs = {row.id: row for row in run.baselines.get(beside, [])}
    how = run.scores.get("normaliser", "m3ae")
    groups = []
    for key, figures in sorted((run.scores.get("by") or {}).items(), key=lambda item: len(item[1])):
        bars = [_bar(name, one) for name, one in figures.items()]
        for bar in bars:
            asked = [theirs.get(row.id) for row in run.rows if _value(row, key) == bar["name"]]
            known = [row for row in asked if row is not None]
            bar["beside"] = 100 * float(rights(known, how).mean()) if known and len(known) == len(asked) else None
        if bars:
            titles = {"organ": "By organ", "question_type": "By question type", "phrase_type": "By phrasing"}
            groups.append({"key": key, "title": titles.get(key, f"By {key.replace('_', ' ')}"), "bars": bars})
    return groups


def _value(row: Prediction, key: str) -> str:
    return str(getattr(row, key, ""))


def _card(key: str, scores: dict[str, Any], name: str) -> dict[str, Any]:
    beside = ((scores.get("baselines") or {}).get(name) or {}).get(key)
    return {"title": TITLES[key]} | _bar(key, scores[key]) | {"beside": _bar(name, beside) if beside else None}


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
