"""Printed results as data: the tables of CMDPI as published, with what is known against each row. No torch here.

`printed/cmdpi_table<n>.csv` holds the figures as printed, in %, one row each. Tables 1 and 2 (VQA-RAD, SLAKE) are at
the same time the literature table that stands beside our own results, so their rows have a caveat: they were scored by
different protocols (docs/metrics.md) and cannot be ranked. `printed/no_pixels.csv` says what needs no image at all.
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


@dataclass(frozen=True)
class Printed:
    """One row: figures in %, None where nothing is printed; sees_image is False for rows of ours that need none."""

    model: str
    open: float | None
    closed: float | None
    overall: float | None
    pretraining: str
    caveat: str
    sees_image: bool = True


def literature(dataset: str) -> list[Printed]:
    """The printed rows of that data set, then those that need no pixels; none for a data set without a table."""
    if dataset not in TABLES:
        return []
    others = [line for line in _lines("others") if line["dataset"] == dataset]
    rows = [_row(line, True) for line in [*_lines(TABLES[dataset]), *others]]
    return rows + [_row(line, False) for line in _lines("no_pixels") if line["dataset"] == dataset]


def printed(name: str) -> Path:
    """Where a printed table lies, by its name: `cmdpi_table1` ... `cmdpi_table5`."""
    return Path(str(files("discern_vqa.scoring") / "printed" / f"{name}.csv"))


def _lines(name: str) -> list[dict[str, str]]:
    with open(printed(name), encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _row(line: dict[str, str], sees_image: bool) -> Printed:
    open_, closed, overall = (float(line[key]) if line[key] else None for key in ("open", "closed", "overall"))
    return Printed(line["model"], open_, closed, overall, line.get("pretraining", ""), line["caveat"], sees_image)
