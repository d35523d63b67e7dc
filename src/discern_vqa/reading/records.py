"""What the readers share: records and what is wrong with them, JSON, files that are missing."""

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from discern_vqa.contracts import Reader
from discern_vqa.data.sample import Sample
from discern_vqa.errors import ConfigError, DataError
from discern_vqa.files import from_json
from discern_vqa.imaging.image_ref import split_choice
from discern_vqa.paths import is_regular_file, names_beside
from discern_vqa.reading.placeholders import refuse_placeholder
from discern_vqa.reading.shapes import READERS
from discern_vqa.reading.spellings import answer_type

CORRECT_IT = "correct that record, or take it out of the file"

_MOST_NAMED = 10
"""Records with the same problem that a message names."""

MANY_FILES = 20_000
"""In a folder of more files no similar name is looked for: it would take longer than reading the set."""


@dataclass(frozen=True)
class Record:
    """A record of a data set's file: its values by key, where it stands ("file:line"), its number from 1."""

    values: Mapping[str, Any]
    source: str
    number: int

    def text(self, key: str, verbatim: bool = False) -> str:
        """The text under `key`, numbers as text: white space trimmed and collapsed (tabs too) unless `verbatim`.

        Raises DataError when the key is missing, null, empty or of another type.
        """
        if key not in self.values:
            raise self.broken(f"{key!r} is missing; there are: {one_line(', '.join(map(str, self.values)))}")
        value = self.values[key]
        unfit = isinstance(value, bool) or not isinstance(value, str | int | float)
        if unfit or (isinstance(value, float) and not math.isfinite(value)):
            raise self.broken(f"{key!r} is {_kind(value)}; expected text")
        written = value if isinstance(value, str) else number_text(value)
        text = written if verbatim else " ".join(written.split())
        if not text.strip():
            raise self.broken(f"{key!r} is empty; expected text")
        return text

    def optional(self, key: str, verbatim: bool = False) -> str:
        """The text under `key`; "" where it is absent or empty."""
        return "" if self.values.get(key, "") == "" else self.text(key, verbatim)

    def answer_type(self) -> str:
        """ "open", "closed" or "choice", however "answer_type" is written (see `spellings`).

        Raises DataError for others.
        """
        text = self.text("answer_type")
        if not (kind := answer_type(text)):
            raise self.unexpected("answer_type", text, "open, closed or choice")
        return kind

    def broken(self, message: str) -> DataError:
        """What is wrong with the record."""
        return DataError(f"{self.source}: {message}", hint=CORRECT_IT)

    def unexpected(self, key: str, value: object, expected: str) -> DataError:
        """What is wrong with the value under `key`."""
        return self.broken(f"{key!r} is {shown(value)}; expected {expected}")


R = TypeVar("R", bound=Record)


def collect(
    rows: Iterable[R | DataError],
    samples_of: Callable[[R], Iterable[Sample]],
    split: str,
    skipped: list[str] | None,
    nothing: DataError | None = None,
    leave_out: tuple[type[DataError], ...] = (),
) -> list[Sample]:
    """The samples of a split. All records are read first, so that the user learns of all problems at once.

    Args:
        rows: the records of a file, or what is wrong with them.
        samples_of: the samples of one record, which may belong to other splits; a DataError is one problem.
        skipped: given a list, broken records are left out, and what is wrong with each is appended to it.
        nothing: raised when no record is left and nothing was wrong with any.
        leave_out: kinds of problems for which a record is left out even without `skipped`.

    Raises DataError: the first problem and the number of the others.
    """
    samples: list[Sample] = []
    problems: list[DataError] = []
    for row in rows:
        try:
            if isinstance(row, DataError):
                raise row
            samples += samples_of(row)
        except DataError as error:
            problems.append(error)
    first: dict[str, Sample] = {}
    for sample in samples:
        if first.setdefault(sample.id, sample) is not sample:
            message = f"{sample.source}: the id {sample.id!r} was used before, by {first[sample.id].source}"
            problems.append(DataError(message, hint="give each record an id of its own"))
    if skipped is not None:
        skipped += map(str, problems)
    else:
        _raise_first([problem for problem in problems if not isinstance(problem, leave_out)])
    if nothing and not first:
        _raise_first(problems)
        raise nothing
    return [sample for sample in first.values() if sample.split == split]


def _raise_first(problems: Sequence[DataError]) -> None:
    if problems:
        first, more = problems[0], len(problems) - 1
        same = [str(problem).partition(": ")[0] for problem in problems[1:] if _what(problem) == _what(first)]
        listed = f", {len(same):,} of them the same: {', '.join(same[:_MOST_NAMED])}" if same else ""
        listed += ", ..." if len(same) > _MOST_NAMED else ""
        count = (
            f" (and {more:,} more {'problem' if more == 1 else 'problems'} in this data set{listed})" if more else ""
        )
        raise DataError(f"{first}{count}", hint=first.hint)


def _what(problem: DataError) -> str:
    """What is wrong, without the place, and without what the record holds otherwise."""
    return str(problem).partition(": ")[2].partition(";")[0]


def no_record(file: Path, split: str) -> DataError:
    """That a file has nothing of a split."""
    return DataError(f"{file} has no usable record of the split {split!r}", hint="check the file and the split")


def is_file(path: Path) -> bool:
    """Whether there is such a file, itself or before an image reference (`volume.nii#slice=3`)."""
    return is_regular_file(path) or is_regular_file(split_choice(path)[0])


def near_file(path: Path, otherwise: str = "") -> str:
    """A hint for a file that is missing: the most similar name in its folder, or `otherwise`."""
    if not path.parent.is_dir():
        return f"there is no folder {one_line(path.parent)}; check the data set's folder"
    names = names_beside(path)
    near = get_close_matches(path.name, names, n=1) if len(names) <= MANY_FILES else []
    if near:
        return f"did you mean {near[0]!r}?"
    return otherwise or f"put {one_line(path.name)} into {one_line(path.parent)}, or name another folder"


def require_folder(root: Path) -> None:
    """Raises DataError when `root` is not a folder."""
    if not root.is_dir():
        what = "is a file, not a folder" if root.exists() else "is not there"
        reader = READERS.get(root.suffix.lower(), "") if root.exists() else ""
        otherwise = "name the folder that holds the data set"
        if reader:
            otherwise += f", or read the file as your own data: discern data audit {reader} {one_line(root)}"
        hint = near_file(root, otherwise) if not root.exists() and root.parent.is_dir() else otherwise
        raise DataError(f"the data set's folder {root} {what}", hint=hint)


def first_present(paths: Sequence[Path]) -> Path:
    """The first of the paths that is there; where none is, the first."""
    return next((path for path in paths if path.exists()), paths[0])


def folder_with(root: Path, folders: Sequence[str], files: Mapping[str, Sequence[str]], name: str) -> Path:
    """The first of the folders in `root` ("" for itself) that holds one of the files: split -> possible names.

    Raises DataError when there is none.
    """
    require_folder(root)
    for folder in folders:
        if any((root / folder / file).is_file() for names in files.values() for file in names):
            return root / folder
    expected = ", ".join(names[0] for names in files.values())
    raise DataError(f"{root} holds no {name}: {expected} are not there", hint=near_file(root / files["train"][0]))


def present_files(folder: Path, files: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The splits of which one of the files is there."""
    return tuple(split for split, names in files.items() if any((folder / name).is_file() for name in names))


def present_splits(reader: Reader, root: Path) -> tuple[str, ...]:
    """The splits of a reader's set that are in `root`: all of them, unless the reader has a `present` that says."""
    present: Callable[[Path], tuple[str, ...]] | None = getattr(reader, "present", None)
    splits: tuple[str, ...] = reader.SPLITS
    return present(root) if present else splits


def require_split(split: str, splits: Sequence[str], name: str) -> None:
    """Raises DataError when the data set has no such split."""
    if split not in splits:
        held_out = "; a validation part is held out of train" if split == "validation" else ""
        raise DataError(f"{name} has no split {split!r}", hint=f"there are: {', '.join(splits)}{held_out}")


def read_text(path: Path, encoding: str = "utf-8-sig", hint: str = "save the file as UTF-8") -> str:
    """The text of a file in `encoding`, without its byte order mark; `hint`: what to do about another encoding.

    Raises DataError when it is missing, unreadable or in another encoding, and ConfigError for an encoding that does
    not exist.
    """
    if not isinstance(encoding, str):
        raise ConfigError(f"the encoding is {encoding!r}; expected a name", hint="utf-8, cp1252 and utf-16 are usual")
    refuse_placeholder(path)
    try:
        return path.read_text(encoding=encoding)
    except LookupError as error:
        raise ConfigError(f"there is no encoding {encoding!r}", hint="utf-8, cp1252 and utf-16 are usual") from error
    except FileNotFoundError as error:
        raise DataError(f"the file {path} is not there", hint=near_file(path)) from error
    except UnicodeError as error:
        where = (
            f": byte {error.start} is {error.object[error.start]:#04x}" if isinstance(error, UnicodeDecodeError) else ""
        )
        name = "UTF-8" if encoding == "utf-8-sig" else encoding
        raise DataError(f"{path} is not {name} text{where}", hint=hint) from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}", hint="check the file and its permissions") from error


def parse_json(text: str, place: str, lines: bool = True, hint: str = "") -> Any:
    """The JSON value that `text` holds. `place` is what is read, for messages: a path, to which the number of a broken
    line is added, or (`lines=False`) "file:line". `hint`: what to do about broken JSON.

    Raises DataError: it is not JSON, nested too deep, or holds a number or a character that no file can hold.
    """
    try:
        content = from_json(text)
        if "\\ud" in text.lower():
            json.dumps(content, ensure_ascii=False).encode("utf-8")
    except json.JSONDecodeError as error:
        where = f"{place}:{error.lineno}" if lines else place
        hint = hint or "the file may be truncated: download it again, or correct it there"
        raise DataError(f"{where}: broken JSON at column {error.colno}: {error.msg}", hint=hint) from error
    except UnicodeEncodeError as error:
        raise DataError(f"{place}: a text holds half a character (\\ud800 to \\udfff)", hint=CORRECT_IT) from error
    except ValueError as error:
        raise DataError(f"{place}: the JSON cannot be read: {error}", hint=CORRECT_IT) from error
    return content


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file that hold anything, numbered from 1. Lines end at line feeds alone: `splitlines()` would
    cut inside a text at U+2028 and its like. Raises DataError as `read_text`."""
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            yield number, line


def read_json_list(path: Path) -> list[Any]:
    """The records of a JSON file that holds one list. Raises DataError with line and column when it is broken."""
    content = parse_json(read_text(path), str(path))
    if not isinstance(content, list):
        raise DataError(
            f"{path} holds {_kind(content)}; expected a list of records [{{...}}, ...]",
            hint="give the data set's own file",
        )
    return content


def require_record(values: Any, source: str, number: int = 0) -> Record:
    """The record that was read. Raises DataError when it is not a JSON object."""
    if not isinstance(values, Mapping):
        raise DataError(f"{source}: the record is {_kind(values)}; expected an object {{...}}", hint=CORRECT_IT)
    return Record(values, source, number)


def json_items(path: Path) -> Iterator[Record | DataError]:
    """The records of a JSON file that holds one list. Raises DataError as `read_json_list`."""
    for number, values in enumerate(read_json_list(path), start=1):
        try:
            yield require_record(values, f"{path.name}:item {number}", number)
        except DataError as error:
            yield error


def derived_answer_type(question: str, answer: str) -> str:
    """ "closed" for an answer yes or no, or a question that offers a choice ("CT or MRI?"); "open" otherwise.

    For data sets that do not say. Measured where they do: it agrees on 451 of 451 questions of VQA-RAD's test split,
    1,784 of 1,797 of its train split (owner's edition), and 4,918 of 4,918 of SLAKE's English train split.
    """
    offers = re.search(r"\bor\b", question, re.IGNORECASE)
    return "closed" if answer.lower() in ("yes", "no") or offers else "open"


def number_text(value: float) -> str:
    """A number as people write it: a whole one without decimals (2.0 is "2")."""
    whole = isinstance(value, float) and value.is_integer() and abs(value) < 1e15
    return str(int(value) if whole else value)


def shown(value: object) -> str:
    """A value in an error message: quoted, and cut when it is long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def one_line(value: object) -> str:
    """A path in an error message: as it is, but for line breaks and other characters that cannot be seen."""
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in str(value))


def _kind(value: object) -> str:
    if value is None:
        return "null"
    kinds = {bool: "a truth value", int: "a number", float: "a number", str: "text", list: "a list", dict: "an object"}
    return f"{kinds.get(type(value), type(value).__name__)} ({shown(value)})"
