"""Tables as files: CSV for programs, LaTeX with booktabs for papers, Markdown for everything else. No torch."""

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

from discern_vqa.files import atomic_write_text
from discern_vqa.scoring.page_tables import Cell, Figure, Table, said

_LATEX = {letter: f"\\{letter}" for letter in "{}&%$#_"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "–": "--",
    "−": r"\ensuremath{-}",
    "×": r"\ensuremath{\times}",
    "±": r"\ensuremath{\pm}",
}
_SENTENCE = 24
_PLAIN = re.compile(r"[\x20-\x7e]")


def write_tables(tables: Sequence[Table], folder: Path) -> None:
    """Writes `<name>.csv` and `<name>.tex` of each table into `folder`."""
    for table in tables:
        atomic_write_text(folder / f"{table.name}.csv", as_csv(table))
        atomic_write_text(folder / f"{table.name}.tex", as_latex(table))


def as_csv(table: Table) -> str:
    """Full precision; a column of figures becomes four: the value, `_low`, `_high` (its 95 % interval) and `_n`."""
    figures = [any(isinstance(row[place], Figure) for row in table.rows) for place in range(len(table.columns))]
    head: list[str] = []
    for place, title in enumerate(table.columns):
        name = title or "row"
        head += [name, f"{name}_low", f"{name}_high", f"{name}_n"] if figures[place] else [name]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(head)
    for row in table.rows:
        line: list[object] = []
        for place, cell in enumerate(row):
            line += _spread(cell) if figures[place] else [_guarded(cell)]
        writer.writerow(line)
    return buffer.getvalue()


def as_latex(table: Table) -> str:
    """A `table` environment for `\\usepackage{booktabs}`, in ASCII; n stands behind a figure's interval in the CSV."""
    columns = "l" + "".join(map(_column, list(table.worded)[1:], list(zip(*table.rows, strict=True))[1:]))
    head = " & ".join(escaped(title) for title in table.columns)
    lines = [" & ".join(map(_latex_cell, row)) for row in table.rows]
    for row in table.marked:
        lines[row] = " & ".join(rf"\textbf{{{_latex_cell(cell)}}}" for cell in table.rows[row])
    caption = escaped(". ".join(part for part in (table.title, table.note.rstrip(".")) if part)) + "."
    return "\n".join(
        [
            r"% needs \usepackage{booktabs} and \usepackage[T1]{fontenc}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{caption}}}",
            rf"\label{{tab:{re.sub('[^a-z0-9]+', '-', table.name.lower())}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            rf"{head} \\",
            r"\midrule",
            *(rf"{_safe_start(line)} \\" for line in lines),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def as_markdown(table: Table) -> str:
    """A table of pipes."""
    head = [_piped(title) for title in table.columns]
    rule = ["---", *["---:"] * (len(head) - 1)]
    rows = [[_piped(said(cell)) for cell in row] for row in table.rows]
    for place in table.marked:
        rows[place][0] = f"**{rows[place][0]}**"
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, rule, *rows])


def escaped(text: str) -> str:
    """Text as LaTeX prints it, whatever is in it; what T1 fonts may not have becomes a question mark."""
    text = " ".join(text.split())
    return "".join(_LATEX.get(letter) or (letter if _PLAIN.match(letter) else _letter(letter)) for letter in text)


def _latex_cell(cell: Cell) -> str:
    text = escaped(said(cell))
    return text.replace("-", r"\ensuremath{-}") if isinstance(cell, Figure) else text


def _column(worded: bool, cells: Sequence[Cell]) -> str:
    """Figures flush right, words flush left, sentences as a paragraph."""
    if not worded:
        return "r"
    return "l" if max((len(said(cell)) for cell in cells), default=0) <= _SENTENCE else "p{50mm}"


def _letter(letter: str) -> str:
    # Latin-1 and Latin Extended-A letters are in T1 fonts and read as UTF-8 by every LaTeX since 2018.
    return letter if "\u00c0" <= letter <= "\u017f" and letter.isalpha() else "?"


def _safe_start(line: str) -> str:
    """A line that begins with [ or * would be taken for an argument of the line break before it."""
    return f"{{}}{line}" if line.startswith(("[", "*")) else line


def _spread(cell: Cell) -> list[object]:
    if isinstance(cell, Figure):
        return [_rounded(cell.value), _rounded(cell.low), _rounded(cell.high), "" if cell.n is None else cell.n]
    return [_guarded(cell), "", "", ""]


def _guarded(cell: Cell) -> object:
    """Text that a spreadsheet would take for a formula gets an apostrophe in front."""
    if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{cell}"
    return "" if cell is None else cell


def _rounded(value: float | None) -> object:
    return "" if value is None else round(value, 6)


def _piped(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
