"""`discern score --check-table`: which rows of a printed table cannot be true. Exact arithmetic, no torch.

One set of predictions has an overall accuracy that is the weighted mean of open and closed:

    overall = (n_open * open + n_closed * closed) / (n_open + n_closed)

This also holds for means over several runs. A row that breaks it by more than printing can explain is *impossible* for
one model. A figure that is no k / n for any whole k is no single run's share of n questions: it may be a mean of runs,
another subset or another metric, so it is *odd*, not impossible. Printed figures are given room for rounding either way
and for digits cut off.
"""

import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from discern_vqa.errors import ConfigError, DataError
from discern_vqa.scoring.predictions import read_text_of
from discern_vqa.scoring.tables import aligned

FIGURES = ("open", "closed", "overall")
_SAME = {
    "open": {"open", "open-ended", "opened"},
    "closed": {"closed", "close", "closed-ended", "close-ended"},
    "overall": {"overall", "all", "total"},
}
_SPREAD = r"(?:\s*(?:±|\+/?-)\s*\d{1,4}(?:\.\d{1,20})?\s*%?)?"
"""What follows a mean over several trainings; it is read past."""
_NUMBER = re.compile(rf"(-?(?:\d{{1,4}}(?:\.\d{{1,20}})?|\.\d{{1,20}}))\s*%?{_SPREAD}", re.ASCII)
_WHOLE = re.compile(r"\d{1,7}", re.ASCII)
_NOTHING = {"", "-", "–", "—", "n/a", "na"}
MOST = 1_000_000
"""Questions, open or closed: no published set asks half as many, and every k of k / n is listed."""
IMPOSSIBLE, ODD, FINE, UNCHECKED = "impossible", "odd", "fine", "unchecked"


@dataclass(frozen=True)
class Figure:
    """A printed number as a share, and how far the true one may lie below and above it."""

    text: str
    low: Fraction
    value: Fraction
    high: Fraction

    def counts(self, n: int) -> list[int]:
        """The whole numbers k for which k / n could be printed so."""
        first, last = math.ceil(self.low * n), math.floor(self.high * n)
        return list(range(max(first, 0), min(last, n) + 1))


def check_table(path: Path, counts: str | None = None) -> dict[str, Any]:
    """Checks every row of a CSV.

    Args:
        path: a CSV with a header that names `open`, `closed` and `overall` (and may name `n_open`, `n_closed`). What
            stands before the first of them names the row.
        counts: "179/272": how many open and closed questions; not needed where the table says it.

    Returns:
        {"rows": [{"row", "line", "verdict", "findings": [text], "gap", "weighted", "counts"}], "impossible", "odd",
        "fine", "unchecked"}; gap is overall minus the weighted mean, in percentage points.

    Raises:
        DataError with file and line for a table that cannot be read, ConfigError for counts that are none.
    """
    sizes = _counts(counts) if counts else None
    rows = [_check(row) for row in _read(Path(path), sizes)]
    verdicts = [row["verdict"] for row in rows]
    return {"table": Path(path).name, "rows": rows} | {
        verdict: verdicts.count(verdict) for verdict in (IMPOSSIBLE, ODD, FINE, UNCHECKED)
    }


def as_text(checked: dict[str, Any]) -> str:
    """The verdicts as lines of plain text, and what they mean."""
    table = [["row", "verdict", "why"]]
    for row in checked["rows"]:
        table.append([row["row"], row["verdict"], row["findings"][0] if row["findings"] else _attained(row)])
        table += [["", "", finding] for finding in row["findings"][1:]]
    total = len(checked["rows"])
    lines = [*aligned(table), ""]
    lines.append(
        f"{checked['table']}: of {total} rows {checked[IMPOSSIBLE]} impossible (no one model has these three figures), "
        f"{checked[ODD]} odd (a figure is no single run's share of these questions: a mean of runs, another subset or "
        f"another metric?), {checked[FINE]} fine"
        + (f", {checked[UNCHECKED]} with too few figures to check" if checked[UNCHECKED] else "")
    )
    gaps = [row["gap"] for row in checked["rows"] if row["verdict"] == IMPOSSIBLE]
    if len(gaps) > 2 and max(gaps) < 0:
        lines.append(
            f"all {len(gaps)} gaps are below 0, as when open, closed and overall are each taken from a best epoch of"
            " their own"
        )
    return "\n".join(lines)


def _read(path: Path, given: tuple[int, int] | None) -> list[dict[str, Any]]:
    hint = "a CSV with the columns open, closed and overall"
    text = read_text_of(path, hint)
    reader = csv.reader(io.StringIO(text))
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        lines = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num}: not CSV: {error}", hint=hint) from None
    columns = {figure: next((i for i, name in enumerate(header) if name in _SAME[figure]), -1) for figure in FIGURES}
    missing = [figure for figure, column in columns.items() if column < 0]
    if missing:
        raise DataError(f"{path}:1: no column named {', '.join(missing)}", hint=hint)
    sizes = [header.index(name) if name in header else -1 for name in ("n_open", "n_closed")]
    if given is None and min(sizes) < 0:
        raise DataError(
            f"{path} does not say how many questions are open and closed",
            hint="--counts OPEN/CLOSED (VQA-RAD 179/272, SLAKE in English 645/416), or columns n_open and n_closed",
        )
    label = max(1, min(columns.values()))
    if not lines:
        raise DataError(f"{path} holds no rows", hint=hint)
    printed = {
        (line, figure): _number(cells, column, f"{path}:{line}: column {column + 1} ({header[column]})")
        for line, cells in lines
        for figure, column in columns.items()
    }
    scale = 100 if any(Fraction(text) > 1 for text in printed.values() if text) else 1
    rows = []
    for line, cells in lines:
        row: dict[str, Any] = {"row": ", ".join(filter(None, map(str.strip, cells[:label]))) or f"line {line}"}
        for figure in FIGURES:
            row[figure] = _figure(printed[line, figure], scale, f"{path}:{line}", figure)
        row["n"] = given or tuple(_size(cells, column, f"{path}:{line}: column {column + 1}") for column in sizes)
        rows.append(row | {"line": line})
    return rows


def _number(cells: Sequence[str], column: int, where: str) -> str:
    """The number in a cell; "" where it says that there is none."""
    text = cells[column].strip() if column < len(cells) else ""
    if text.lower() in _NOTHING:
        return ""
    number = _NUMBER.fullmatch(text)
    if not number:
        cell = text if len(text) <= 40 else f"{text[:40]}..."
        raise DataError(f"{where}: {cell!r} is no number", hint="74.3, 74.3 %, 74.3 ± 0.2 or 0.743; a dash for nothing")
    return number[1]


def _figure(text: str, scale: int, where: str, name: str) -> Figure | None:
    if not text:
        return None
    value = Fraction(text) / scale
    if not 0 <= value <= 1:
        raise DataError(f"{where}: {name} is {text}, no share of questions", hint="per cent, or fractions in [0, 1]")
    unit = Fraction(1, 10 ** len(text.partition(".")[2])) / scale
    return Figure(text, value - unit / 2, value, value + unit)


def _size(cells: Sequence[str], column: int, where: str) -> int:
    text = cells[column].strip() if column < len(cells) else ""
    if not _WHOLE.fullmatch(text) or not 0 < int(text) <= MOST:
        hint = f"whole numbers from 1 to {MOST:,} in n_open and n_closed, without commas"
        raise DataError(f"{where}: {text[:40]!r} is no number of questions", hint=hint)
    return int(text)


def _counts(text: str) -> tuple[int, int]:
    parts = [part.strip() for part in text.split("/")]
    if len(parts) != 2 or not all(_WHOLE.fullmatch(part) and 0 < int(part) <= MOST for part in parts):
        expected = f"expected OPEN/CLOSED, each from 1 to {MOST:,}"
        raise ConfigError(f"--counts {text[:40]!r}: {expected}", hint="for example: --counts 179/272")
    return int(parts[0]), int(parts[1])


def _check(row: dict[str, Any]) -> dict[str, Any]:
    n_open, n_closed = row["n"]
    sizes = {"open": n_open, "closed": n_closed, "overall": n_open + n_closed}
    findings, impossible, gap, weighted = [], False, None, None
    figures: dict[str, Figure] = {name: row[name] for name in FIGURES if row[name]}
    if len(figures) == len(FIGURES):
        open_, closed, overall = (figures[name] for name in FIGURES)
        low, middle, high = (
            (n_open * getattr(open_, end) + n_closed * getattr(closed, end)) / (n_open + n_closed)
            for end in ("low", "value", "high")
        )
        gap, weighted = float(100 * (overall.value - middle)), float(100 * middle)
        impossible = overall.high < low or overall.low > high
        if impossible:
            findings.append(
                f"overall {overall.text} is not the weighted mean of its parts, {weighted:.1f} ({gap:+.1f}); "
                + _other_counts(open_, closed, overall, n_open / (n_open + n_closed))
            )
    counts = {name: figure.counts(sizes[name]) for name, figure in figures.items()}
    for name, possible in counts.items():
        if not possible:
            n, figure = sizes[name], figures[name]
            k = math.floor(figure.value * n)
            near = " and ".join(f"{100 * (k + i) / n:.2f} ({k + i})" for i in (0, 1) if k + i <= n)
            findings.append(f"{name} {figure.text} is no k/{n}; the nearest are {near}")
    verdict = IMPOSSIBLE if impossible else ODD if findings else FINE if counts else UNCHECKED
    about = {"row": row["row"], "line": row["line"], "verdict": verdict, "findings": findings}
    return about | {"gap": gap, "weighted": weighted, "n": sizes, "counts": counts}


def _other_counts(open_: Figure, closed: Figure, overall: Figure, share: float) -> str:
    """Which share of open questions would make the row true."""
    if not min(open_.value, closed.value) <= overall.value <= max(open_.value, closed.value):
        return "it lies outside its parts, whatever their counts"
    needed = float((overall.value - closed.value) / (open_.value - closed.value)) if open_.value != closed.value else 1
    return f"it would hold if {100 * needed:.0f} % of the questions were open, and {100 * share:.0f} % are"


def _attained(row: dict[str, Any]) -> str:
    shares = [f"{possible[0]}/{row['n'][name]}" for name, possible in row["counts"].items() if possible]
    return f"for example {name_list(shares)}" if shares else "no figures"


def name_list(names: Sequence[str]) -> str:
    """ "a, b and c"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
