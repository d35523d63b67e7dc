"""Printed results as data: the tables of CMDPI as published, and what others print, with what is known against each
row. No torch here.

`printed/cmdpi_table<n>.csv` holds the figures as printed, in %, one row each. Tables 1 and 2 (VQA-RAD, SLAKE) are at
the same time the literature table that stands beside our own results, so their rows have a caveat: they were scored by
different protocols (docs/metrics.md) and cannot be ranked. `printed/others.csv` has the rows of others, each with its
protocol, split, number of questions, judge and source, "not stated" where that is so. `printed/no_pixels.csv` says what
needs no image at all. docs/leaderboard.md shows them all.
"""

import csv
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

TABLES = {"vqa_rad": "cmdpi_table1", "slake": "cmdpi_table2"}
CAVEAT = (
    "Rows were scored by different protocols, on different questions and with vocabularies that may hold test answers;"
    " they cannot be ranked. Figures are as printed; none of the programs was run here."
)


NOT_STATED = "not stated"
_OF_TABLE = {"cmdpi_table1": "CMDPI, Table 1", "cmdpi_table2": "CMDPI, Table 2"}
_MEASURED = {
    "vqa_rad": ("usual split, common pair", "451"),
    "slake": ("English test split", "1,061"),
}


@dataclass(frozen=True)
class Printed:
    """One row: figures in %, None where nothing is printed; sees_image is False for rows of ours that need none.
    protocol, split, n and judge: how it was scored, on which copy of the questions, on how many, and by whom."""

    model: str
    open: float | None
    closed: float | None
    overall: float | None
    pretraining: str
    caveat: str
    sees_image: bool = True
    protocol: str = NOT_STATED
    split: str = NOT_STATED
    n: str = NOT_STATED
    judge: str = NOT_STATED
    source: str = NOT_STATED


def datasets() -> list[str]:
    """The data sets of which anything is printed."""
    return list(dict.fromkeys([*TABLES, *(line["dataset"] for line in _lines("others"))]))


def literature(dataset: str) -> list[Printed]:
    """The printed rows of that data set that have a figure, then those that need no pixels; none for a data set of
    which nothing is printed."""
    return [row for row in everything(dataset) if (row.open, row.closed, row.overall) != (None, None, None)]


def everything(dataset: str) -> list[Printed]:
    """The same, and the rows whose figures are of another kind, which their caveat says."""
    of_table = [line | {"source": _OF_TABLE[name]} for name in [TABLES.get(dataset)] if name for line in _lines(name)]
    others = [line for line in _lines("others") if line["dataset"] == dataset]
    rows = [_row(line, True) for line in [*of_table, *others]]
    own = [line | _measured(dataset) for line in _lines("no_pixels") if line["dataset"] == dataset]
    return rows + [_row(line, False) for line in own]


def _measured(dataset: str) -> dict[str, str]:
    split, n = _MEASURED[dataset]
    return {"protocol": "exact match", "split": split, "n": n, "judge": "none", "source": "measured here"}


def printed(name: str) -> Path:
    """Where a printed table lies, by its name: `cmdpi_table1` ... `cmdpi_table5`."""
    return Path(str(files("discern_vqa.scoring") / "printed" / f"{name}.csv"))


def _lines(name: str) -> list[dict[str, str]]:
    with open(printed(name), encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _row(line: dict[str, str], sees_image: bool) -> Printed:
    open_, closed, overall = (float(line[key]) if line[key] else None for key in ("open", "closed", "overall"))
    how = {key: line[key] for key in ("protocol", "split", "n", "judge", "source") if line.get(key)}
    return Printed(
        line["model"], open_, closed, overall, line.get("pretraining", ""), line["caveat"], sees_image, **how
    )
