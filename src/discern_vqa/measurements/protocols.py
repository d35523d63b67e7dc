"""Protocols: the same answers as published programs would have counted them (`scoring/protocols.py`)."""

from collections.abc import Mapping
from typing import Any

from discern_vqa.measurements import Context, Scores
from discern_vqa.scoring.page_tables import Cell, Table, percent
from discern_vqa.scoring.protocols import score_protocols

ORDER = 110


def measure(context: Context) -> Mapping[str, Any]:
    """The figures of each protocol, or why it cannot be applied."""
    return {"protocols": score_protocols(context.rows, answers=context.run.vocabulary.givable)}


def tables(scores: Scores) -> list[Table]:
    rows: list[list[Cell]] = [
        [name, one.get("n"), *(percent(one.get(part)) for part in ("overall", "open", "closed"))]
        for name, one in (scores.get("protocols") or {}).items()
        if one.get("overall")
    ]
    note = "The same answers as published programs would count them (docs/metrics.md); in %"
    columns = ["protocol", "n", "overall", "open", "closed"]
    return [Table("protocols", "The same answers under published protocols", columns, rows, note)] if rows else []
