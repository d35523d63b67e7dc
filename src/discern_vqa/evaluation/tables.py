"""Tables of plain text, for the terminal. No torch here."""

from collections.abc import Sequence

GAP = "  "


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
