"""The answers as a file of the user's own kind: their columns in their order, and what was answered behind them.

By the ending of its name: CSV (.csv, .tsv, .txt), an Excel workbook (.xlsx), or JSON Lines (.jsonl, .ndjson), which has
all that a run says of its answers and is what `discern score` and `discern calibrate` read. No torch here.
"""

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from discern_vqa.errors import ConfigError, DataError
from discern_vqa.evaluation.questions import Asked, Questions
from discern_vqa.files import atomic_path
from discern_vqa.reading import workbooks
from discern_vqa.reading.streamed_tables import INSTALL, TextTable
from discern_vqa.reading.table_files import LINES, TEXTS

OURS = ("answer", "confidence", "abstains", "outside", "error")
ENDINGS = (*TEXTS, *LINES, ".xlsx")
NOT_KNOWN, NOT_CALIBRATED = "not known", "not calibrated"
MOST_ROWS, MOST_SIGNS = 1_048_576, 32_767
"""Of a sheet, and of a cell, as Excel has them."""

Rows = Callable[[], Iterable[tuple[Asked, Mapping[str, Any]]]]
"""Each question and its line of the journal, from the beginning at each call."""
SCORED = frozenset(
    "prediction score alternatives others mode confidence answer_set set_coverage abstains reason outside typical "
    "notes error weights_sha256".split()
)
"""What a line of JSON says of an answer, by the names that `discern score` knows."""


def check_out(out: Path, count: int = 0) -> None:
    """Raises ConfigError where `count` rows cannot be written under such a name: another ending, too many for Excel;
    DataError where the package for Excel's files is missing."""
    ending = out.suffix.lower()
    if ending not in ENDINGS:
        raise ConfigError(
            f"{out} ends in {ending or 'nothing'}; expected one of {', '.join(ENDINGS)}",
            hint=f"--out {out.with_suffix('.csv').name}",
        )
    if ending in workbooks.ENDINGS:
        if count >= MOST_ROWS:
            raise ConfigError(
                f"{count:,} rows do not fit into a sheet of Excel ({MOST_ROWS:,})",
                hint=f"--out {out.with_suffix('.csv').name}",
            )
        try:
            import openpyxl  # noqa: F401
        except ImportError as error:
            raise DataError(f"{out}: Excel's files are written by the package openpyxl", hint=INSTALL) from error


def names_of_ours(columns: Sequence[str]) -> list[str]:
    """What our columns are called beside the user's: `discern_answer` where they have a column `answer`."""
    taken = {name.strip().lower() for name in columns}
    names = []
    for name in OURS:
        candidates = [name, f"discern_{name}", *(f"discern_{name}_{number}" for number in range(2, len(taken) + 3))]
        names.append(next(candidate for candidate in candidates if candidate not in taken))
    return names


def write_answers(out: Path, questions: Questions, rows: Rows) -> list[str]:
    """Writes all rows, whole or not at all; returns what the user should know about the file, a sentence each."""
    ending = out.suffix.lower()
    if ending in LINES:
        return _write_lines(out, questions, rows)
    return _write_book(out, questions, rows) if ending in workbooks.ENDINGS else _write_text(out, questions, rows)


def _write_lines(out: Path, questions: Questions, rows: Rows) -> list[str]:
    keys = _unique(questions.columns)
    renamed: dict[str, None] = {}
    with atomic_path(out) as partial, open(partial, "w", encoding="utf-8", errors="surrogateescape") as file:
        for asked, line in rows():
            own = asked.values if asked.values is not None else dict(zip(keys, map(_plain, asked.cells), strict=True))
            renamed |= dict.fromkeys(key for key in own if key in SCORED)
            own = {f"given_{key}" if key in SCORED else key: value for key, value in own.items()}
            answered = {key: value for key, value in line.items() if key != "number"}
            key = asked.sample.id if asked.sample is not None else asked.source.rpartition(":")[2]
            content = {**own, "id": key, **answered, "error": line.get("error", "")}
            file.write(json.dumps(content, ensure_ascii=False) + "\n")
    return [f"your columns {', '.join(renamed)} are called given_... in {out.name}"] if renamed else []


def _write_text(out: Path, questions: Questions, rows: Rows) -> list[str]:
    """As the input is written, where that is text: its delimiter and its encoding. A mark at the front of UTF-8 tells
    Excel what it is."""
    table = questions.table if isinstance(questions.table, TextTable) else None
    delimiter = "\t" if out.suffix.lower() == ".tsv" else table.delimiter if table is not None else ","
    encoding = "utf-8" if table is None else table.encoding
    encoding = "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding

    def write(encoding: str) -> None:
        with atomic_path(out) as partial, open(partial, "w", encoding=encoding, newline="") as file:
            writer = csv.writer(file, delimiter=delimiter)
            writer.writerow([*questions.columns, *names_of_ours(questions.columns)])
            for asked, line in rows():
                # The cells of a text come back as they stood; of another kind of file they become cells of a text.
                own = asked.cells if table is not None else [_harmless(cell) for cell in _own(questions, asked)]
                writer.writerow([*own, *map(_harmless, _ours(line))])

    try:
        write(encoding)
    except UnicodeEncodeError as error:
        missing = error.object[error.start : error.end]
        write("utf-8-sig")
        return [f"{out.name} is UTF-8, since {encoding}, the encoding of the questions, has no {missing!r}"]
    return []


def _write_book(out: Path, questions: Questions, rows: Rows) -> list[str]:
    """Texts are written as texts, never as formulas."""
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    book = Workbook(write_only=True)
    sheet = book.create_sheet("answers")
    cut = 0

    def cell(value: Any) -> Any:
        nonlocal cut
        if not isinstance(value, str):
            return value
        cut += len(value) > MOST_SIGNS
        made = WriteOnlyCell(sheet, value=ILLEGAL_CHARACTERS_RE.sub("\ufffd", value)[:MOST_SIGNS])
        made.data_type = "s"
        return made

    sheet.append([cell(name) for name in [*questions.columns, *names_of_ours(questions.columns)]])
    for asked, line in rows():
        sheet.append([cell(value) for value in [*_own(questions, asked), *_ours(line)]])
    with atomic_path(out) as partial:
        book.save(partial)
    return (
        [f"{cut:,} texts are longer than a cell of Excel holds ({MOST_SIGNS:,} characters) and were cut"] if cut else []
    )


def _own(questions: Questions, asked: Asked) -> Iterator[Any]:
    """The user's cells; of JSON Lines the values of all keys, nested ones as JSON."""
    if asked.values is None:
        yield from asked.cells
        return
    for name in questions.columns:
        value = asked.values.get(name)
        nested = isinstance(value, list | dict | bool)
        yield json.dumps(value, ensure_ascii=False) if nested else "" if value is None else value


def _ours(line: Mapping[str, Any]) -> list[Any]:
    """The columns `OURS` of one row."""
    if "error" in line:
        return ["", "", "", "", line["error"]]
    outside = line.get("outside")
    abstains = "yes" if line.get("abstains") or outside else "no" if "confidence" in line else NOT_CALIBRATED
    where = NOT_KNOWN if outside is None else ", ".join(outside) or "no"
    return [line["prediction"], line.get("confidence", line["score"]), abstains, where, ""]


def _harmless(value: Any) -> Any:
    """A text that a spreadsheet would take for a formula gets an apostrophe; numbers ("-2") stay as they are."""
    text = str(value) if isinstance(value, str) else ""
    if not text.startswith(("=", "+", "-", "@", "\t", "\r")):
        return value
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return value


def _plain(value: Any) -> Any:
    """A cell of a workbook as JSON has it: dates as text."""
    return value if value is None or isinstance(value, str | int | float) else str(value)


def _unique(names: Sequence[str]) -> list[str]:
    """The names as keys: stripped, each once, none empty."""
    keys: list[str] = []
    for number, name in enumerate(names, start=1):
        key = name.strip() or f"column {number}"
        keys.append(key if key not in keys else f"{key} ({number})")
    return keys
