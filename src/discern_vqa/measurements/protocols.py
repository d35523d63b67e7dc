"""Protocols: the same answers as published programs would have counted them (`scoring/protocols.py`)."""

from collections.abc import Mapping
from typing import Any

from discern_vqa.data.sample import CHOICE, CLOSED, OPEN
from discern_vqa.measurements import Context, Scores
from discern_vqa.scoring.page_tables import Cell, Table, percent
from discern_vqa.scoring.protocols import score_protocols

ORDER = 110


def measure(context: Context) -> Mapping[str, Any]:
    """The figures of each protocol, or why it cannot be applied."""
    return {"protocols": score_protocols(context.rows, answers=context.run.vocabulary.givable or None)}


def tables(scores: Scores) -> list[Table]:
    applied = {name: one for name, one in (scores.get("protocols") or {}).items() if one.get("overall")}
    has_choice = any((one.get(CHOICE) or {}).get("n") for one in applied.values())
    parts = ("overall", OPEN, CLOSED, *([CHOICE] if has_choice else []))
    rows: list[list[Cell]] = [
        [name, one.get("n"), *(percent(one.get(part)) for part in parts)] for name, one in applied.items()
    ]
    note = "The same answers as published programs would count them (docs/metrics.md); in %"
    columns = ["protocol", "n", *parts]
    return [Table("protocols", "The same answers under published protocols", columns, rows, note)] if rows else []
