"""From scores to what a page shows: headline cards, the table's rows, bars, sentences. Plain data, no torch."""

from collections.abc import Mapping
from typing import Any

from discern_vqa import measurements
from discern_vqa.measurements.baselines import NO_PIXELS, paired_tests, strongest
from discern_vqa.report.question_types import legend
from discern_vqa.report.read import RunFiles, evaluate_anew
from discern_vqa.report.summary import summary
from discern_vqa.report.usable import uses
from discern_vqa.report.words import UNNAMED, data_in_words, model_in_words, no_pixels, split_in_words, what_it_sees
from discern_vqa.scoring.metrics import rights, shown_parts
from discern_vqa.scoring.page_tables import Cell, Figure, Table, in_percent, table_of
from discern_vqa.scoring.stored import own_file

TITLES = {
    "overall": "Overall",
    "open": "Open questions",
    "closed": "Closed questions",
    "choice": "Multiple-choice questions",
    "unknown": "Type not given",
    "twins": "Image pairs, both right",
}

SHORT = {"choice": "multiple choice", "unknown": "type not given", "twins": "image pairs"}
"""What the columns of the main table are called; of the others the part's own name."""


def view(run: RunFiles) -> dict[str, Any]:
    """Everything the template shows of one run, but for images and curves.

    Raises RunError where the scores lack what they are shown by: a damaged file, or another version's.
    """
    with own_file(f"a file of {run.folder}", evaluate_anew(run.folder)):
        tested = paired_tests(run.rows, run.baselines, run.scores.get("normaliser", "m3ae"))
        blind = no_pixels(run.config)
        scores = {key: value for key, value in run.scores.items() if not (blind and key == "mirror")}
        scores["paired"] = tested
        columns = shown_parts(scores)
        beside = strongest(scores, NO_PIXELS) or strongest(scores)
        rows, measured = _rows(run, columns, tested), measurements.tables(scores)
        return {
            "name": run.name,
            "split": run.split,
            "model": (scores.get("outside") or {}).get("model") or (run.config.get("model") or {}).get("name", "model"),
            "dataset": (run.config.get("data") or {}).get("dataset", UNNAMED),
            "in_words": {
                "model": model_in_words(run.config),
                "data": data_in_words(run.config),
                "split": split_in_words(str(scores.get("protocol") or "")),
            },
            "n": scores["n"],
            "images": scores.get("images"),
            "normaliser": scores.get("normaliser", ""),
            "vocabulary": scores.get("vocabulary"),
            "columns": [{"key": key, "title": SHORT.get(key, key), "n": scores[key]["n"]} for key in columns],
            "cards": [_card(key, scores, beside) for key in columns],
            "rows": rows,
            "warnings": measurements.warnings(scores),
            "uses": uses(scores, sees_no_pixels=bool(blind)),
            "summary": [*summary(run, scores), *([blind] if blind else [])],
            "beside": beside,
            "by": _groups(run, beside),
            "tables": [_table(rows, columns, scores), *measured, *([] if blind else _explained(run.explained))],
            "measured": measured,
        }


def _rows(run: RunFiles, columns: list[str], tested: Mapping[str, Any]) -> list[dict[str, Any]]:
    named: list[tuple[str, str, str, str, Mapping[str, Any]]] = [
        ("", "model", run.name, what_it_sees(run.config).what, run.scores)
    ]
    for group in measurements.groups(run.scores):
        title = group.title[0].upper() + group.title[1:]
        named += [(title, group.kind, name, group.sees.get(name, ""), one) for name, one in group.members.items()]
    return [
        {
            "section": section,
            "kind": kind,
            "name": name,
            "sees": sees,
            "cells": [_bar(column, figures.get(column)) for column in columns],
            "difference": tested.get(name) if kind == "baseline" else None,
        }
        for section, kind, name, sees, figures in named
    ]


def _table(rows: list[dict[str, Any]], columns: list[str], scores: Mapping[str, Any]) -> Table:
    paired = any(row["difference"] for row in rows)
    cells: list[list[Cell]] = []
    for row in rows:
        test = row["difference"] or {}
        points = in_percent(test.get("points"), test.get("ci95"), scores["n"], signed=True)
        tested: list[Cell] = [points, test.get("p"), test.get("verdict")]
        figures: list[Cell] = [
            None if bar["value"] is None else Figure(bar["value"], bar["low"], bar["high"], bar["n"])
            for bar in row["cells"]
        ]
        cells.append([row["name"], *figures, *(tested if paired else [])])
    titles = [f"{column} (n = {scores[column]['n']:,})" for column in columns]
    more = ["model minus this", "p, Holm", "model is"] if paired else []
    note = "Accuracy in %, with its 95 % interval clustered by image"
    return Table("results", "Model, baselines and controls", ["answers by", *titles, *more], cells, note, marked=[0])


def _explained(content: Mapping[str, Any]) -> list[Table]:
    """The heat maps' own scores (`discern explain --score`), whatever methods and measures the file has."""
    note = "Do the heat maps point at the finding? Compare each method with the random and centre baselines among them"
    methods = content.get("methods", content)
    table = table_of("explanations", "The heat maps' own scores", methods, note) if methods else None
    return [table] if table else []


def _groups(run: RunFiles, beside: str) -> list[dict[str, Any]]:
    """Bars by organ, question type and so on; `beside`: the baseline whose figure is marked on each bar."""
    theirs = {row.id: row for row in run.baselines.get(beside, [])}
    how = run.scores.get("normaliser", "m3ae")
    groups = []
    for key, figures in sorted((run.scores.get("by") or {}).items(), key=lambda item: len(item[1])):
        bars = [_bar(name, one) for name, one in figures.items()]
        for bar in bars:
            asked = [theirs.get(row.id) for row in run.rows if getattr(row, key, "") == bar["name"]]
            known = [row for row in asked if row is not None]
            bar["beside"] = 100 * float(rights(known, how).mean()) if known and len(known) == len(asked) else None
        if bars:
            titles = {"organ": "By organ", "question_type": "By question type", "phrase_type": "By phrasing"}
            title = titles.get(key, f"By {key.replace('_', ' ')}")
            note = legend(bar["name"] for bar in bars) if key == "question_type" else ""
            groups.append({"key": key, "title": title, "bars": bars, "note": note})
    return groups


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
