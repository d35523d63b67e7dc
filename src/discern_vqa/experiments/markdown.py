"""Tables of Markdown, and figures as they stand in them."""

from collections.abc import Sequence
from typing import Any

NOT_TOLD = "not distinguishable"
"""The verdict of a test that cannot tell two apart."""


def shown(figure: dict[str, Any] | None, scale: float = 100, digits: int = 1) -> str:
    """A mean and its spread over seeds."""
    if not figure:
        return "-"
    text = f"{scale * figure['mean']:.{digits}f}"
    return text + (f" +- {scale * figure['sd']:.{digits}f}" if figure["sd"] is not None else "")


def markdown_table(rows: Sequence[Sequence[str]]) -> list[str]:
    """A table; bars within cells are escaped."""
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return [lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]]
