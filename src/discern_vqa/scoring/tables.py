"""Tables of plain text, for the terminal. No torch here."""

from collections.abc import Mapping, Sequence
from typing import Any

GAP = "  "


def cell(figure: Mapping[str, Any] | None, value: str = "accuracy") -> str:
    """One figure as text: its value in % and its interval; a dash for nothing."""
    if not figure or figure.get(value) is None:
        return "-"
    text = f"{100 * figure[value]:.1f}"
    if figure.get("ci95"):
        text += f" [{100 * figure['ci95'][0]:.1f}, {100 * figure['ci95'][1]:.1f}]"
    return text


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """A line for each row: columns as wide as their widest cell, flush left; a row of one cell may run on."""
    count = max(len(row) for row in rows)
    whole = [row for row in rows if len(row) == count]
    widths = [max(len(row[place]) for row in whole) for place in range(count)]
    return [
        row[0]
        if len(row) < count
        else GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
