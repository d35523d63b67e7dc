"""Several runs side by side: paired tests with correction, verdicts in words, where they differ, where they disagree.

The first run is the reference, as in `discern compare`. Runs that answer other questions than the first stand in the
table, but are not tested. No torch.
"""

from collections.abc import Sequence
from itertools import compress
from typing import Any

from discern_vqa.report.cases import disagreements
from discern_vqa.report.question_types import legend
from discern_vqa.report.read import RunFiles
from discern_vqa.scoring.compare import Answerer, compare
from discern_vqa.scoring.metrics import PARTS, shown_parts
from discern_vqa.scoring.page_tables import Cell, Table, in_percent, percent

MOST_CARDS = 3
"""So many runs stand side by side where they disagree."""


def comparison(runs: Sequence[RunFiles], names: Sequence[str], cases: int = 6) -> dict[str, Any]:
    """{"words", "tables", "groups", "left": runs that answer other questions} of two runs or more.

    names: what each run is called on the page; no two are the same.
    """
    asked = [{row.id: row.image for row in run.rows} for run in runs]
    are_same = [questions == asked[0] for questions in asked]
    paired = list(compress(zip(runs, names, strict=True), are_same))
    left = [name for name, is_same in zip(names, are_same, strict=True) if not is_same]
    tables = [_models(runs, names), *_by(runs, names)]
    if len(paired) < 2:
        return {"words": [], "tables": tables, "groups": [], "left": left, "alone": True, "seeds": ""}
    how = runs[0].scores.get("normaliser", "m3ae")
    compared = compare([Answerer(name, (run.rows,)) for run, name in paired], how)
    shown = paired[:MOST_CARDS]
    return {
        "words": [test["words"] for test in compared["tests"]],
        "tables": [tables[0], _tests(compared), *tables[1:]],
        "groups": disagreements([run for run, _ in shown], [name for _, name in shown], cases),
        "left": left,
        "alone": False,
        "seeds": "One training run each: this speaks of these trained models, not of the methods behind them.",
    }


def unique_names(runs: Sequence[RunFiles]) -> list[str]:
    """Each run's name, with a number where two have the same."""
    names = [run.name for run in runs]
    return [
        f"{name} ({names[:place].count(name) + 1})" if names.count(name) > 1 else name
        for place, name in enumerate(names)
    ]


def _models(runs: Sequence[RunFiles], names: Sequence[str]) -> Table:
    told = [shown_parts(run.scores) for run in runs]
    parts = [part for part in ("overall", *PARTS, "twins") if any(part in parts for parts in told)]
    rows: list[list[Cell]] = []
    for run, name in zip(runs, names, strict=True):
        config = run.config
        about = [(config.get(table) or {}).get(key) for table, key in (("model", "name"), ("data", "dataset"))]
        rows.append(
            [name, *(one or "" for one in about), run.scores["n"], *(percent(run.scores.get(part)) for part in parts)]
        )
    note = "Accuracy in %, with its 95 % interval clustered by image"
    return Table("comparison", "The runs side by side", ["run", "model", "data", "n", *parts], rows, note)


def _tests(compared: dict[str, Any]) -> Table:
    rows: list[list[Cell]] = []
    for test in compared["tests"]:
        points = in_percent(test["difference"], test["ci95"], test["n"], signed=True)
        detectable = in_percent(test["detectable"])
        mcnemar = test["mcnemar"]["p"] if test["mcnemar"] else None
        rows.append(
            [test["name"], test["part"], points, mcnemar, test["p"], test["p_holm"], detectable, test["verdict"]]
        )
    note = (
        f"Percentage points above {compared['reference']} on the same {compared['n']:,} questions; p of a permutation "
        f"over images, correction: {compared['correction']}; detectable: the difference found four times in five"
    )
    columns = ["against the first", "part", "points", "McNemar p", "p", "p corrected", "detectable", "verdict"]
    return Table("tests", f"Paired tests against {compared['reference']}", columns, rows, note)


def _by(runs: Sequence[RunFiles], names: Sequence[str]) -> list[Table]:
    """For each grouping that every run has: a row per group, a column per run."""
    groupings = [
        key for key in runs[0].scores.get("by") or {} if all((run.scores.get("by") or {}).get(key) for run in runs)
    ]
    tables = []
    for key in groupings:
        figures = [run.scores["by"][key] for run in runs]
        groups = list(dict.fromkeys(group for by_group in figures for group in by_group))
        rows: list[list[Cell]] = [
            [
                group,
                next(by_group[group]["n"] for by_group in figures if group in by_group),
                *(percent(by_group.get(group)) for by_group in figures),
            ]
            for group in groups
        ]
        title = f"By {key.replace('_', ' ')}"
        told = legend(groups) if key == "question_type" else ""
        note = "Accuracy in %" + (f". {told}" if told else "")
        tables.append(Table(f"comparison_by_{key}", title, [key.replace("_", " "), "n", *names], rows, note))
    return tables
