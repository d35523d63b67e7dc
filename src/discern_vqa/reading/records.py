"""What the readers share: collecting problems, JSON errors with their place, finding images, tiny images."""

import glob
import io
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

import numpy as np
from PIL import Image

from discern_vqa.contracts import Reader
from discern_vqa.data.sample import Sample
from discern_vqa.errors import ConfigError, DataError
from discern_vqa.files import atomic_write_bytes, from_json
from discern_vqa.imaging.image_ref import split_choice
from discern_vqa.paths import is_regular_file, names_beside, what_it_is

CORRECT_IT = "correct that record, or take it out of the file"

MANY_FILES = 20_000
"""In a folder of more files no similar name is looked for: it would take longer than reading the set."""


class MissingImage(DataError):
    """A record's image is not there."""

    @classmethod
    def to_leave_out(cls, missing: str) -> tuple[type[DataError], ...]:
        """The problems that the option `missing` of a reader leaves out: none for "stop", missing images for
        "leave_out"."""
        if missing not in ("stop", "leave_out"):
            raise ConfigError(f"missing is {missing!r}", hint="choose stop or leave_out")
        return (cls,) if missing == "leave_out" else ()


class Problems:
    """Collects what is wrong with the records of one file, so that the user learns of all problems at once.

    `close` raises DataError with the first problem and the number of the others. When the caller gave a list
    `skipped`, the broken records are left out instead, and each problem is appended to that list. Problems of the kinds
    in `leave_out` are left out without a list.
    """

    def __init__(self, skipped: list[str] | None = None, leave_out: tuple[type[DataError], ...] = ()) -> None:
        self._skipped, self._leave_out = skipped, leave_out
        self._found: list[DataError] = []

    @contextmanager
    def record(self) -> Iterator[None]:
        """A DataError inside the block is one problem; the record is left out."""
        try:
            yield
        except DataError as error:
            self._found.append(error)

    def close(self) -> None:
        """Call after the last record."""
        if self._skipped is not None:
            self._skipped.extend(str(error) for error in self._found)
            return
        self._stop([error for error in self._found if not isinstance(error, self._leave_out)])

    def close_empty(self, message: str, hint: str) -> NoReturn:
        """Call after `close` when no record is left. Raises DataError: the first problem, even where records were to be
        left out; `message` where there was none."""
        self._stop(self._found)
        raise DataError(message, hint=hint)

    @staticmethod
    def _stop(found: Sequence[DataError]) -> None:
        if found:
            first, more = found[0], len(found) - 1
            count = f" (and {more} more {'problem' if more == 1 else 'problems'} in this data set)" if more else ""
            raise DataError(f"{first}{count}", hint=first.hint)


class Images:
    """The image files under `root`, each looked for once. Only existence is checked; the audit opens them."""

    def __init__(self, root: Path, option: str = "") -> None:
        """`option`: the reader's option that names the folder of the images below `root`, for hints; "": it has
        none."""
        self._root, self._option = root, option
        self._known: dict[tuple[str, Path | None], Path | DataError] = {}
        self._missing = 0

    def find(self, name: str, source: str, at: Path | None = None) -> Path:
        """Where the image `name` (relative to the root, with "/") lies: there, or at `at` when that is given.

        Raises DataError when it is not there or `name` leads out of the root.
        """
        if (name, at) not in self._known:
            self._known[name, at] = self._look(name, at)
        found = self._known[name, at]
        if isinstance(found, DataError):
            raise type(found)(f"{source}: {found}", hint=found.hint)
        return found

    def _look(self, name: str, at: Path | None) -> Path | DataError:
        relative = PurePosixPath(name)
        if relative.is_absolute() or ".." in relative.parts:
            return DataError(
                f"the image {name!r} leads out of the data set's folder", hint="name it relative to that folder"
            )
        path = at or self._root / relative
        if is_file(path):
            return path
        self._missing += 1
        hint = self._hint(path, name) if self._missing <= 3 else "see the first of these errors"
        return MissingImage(f"the image {name!r} {what_it_is(path)}; expected a file at {one_line(path)}", hint=hint)

    def _hint(self, path: Path, name: str) -> str:
        below = (
            next((file.parent for file in self._root.glob(f"*/{glob.escape(name)}")), None) if self._option else None
        )
        if below is not None:
            return f"did you mean --option {self._option}={below.relative_to(self._root).parts[0]}?"
        return near_file(path, f"put the image into {one_line(path.parent)}, or take its records out of the file")


def is_file(path: Path) -> bool:
    """Whether there is such a file, with or without an image reference (`volume.nii#slice=3`).

    False for a name that no file can have.
    """
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
        otherwise = "name the folder that holds the data set"
        hint = near_file(root, otherwise) if not root.exists() and root.parent.is_dir() else otherwise
        raise DataError(f"the data set's folder {root} {what}", hint=hint)


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
    """The JSON value that `text` holds.

    Args:
        text: JSON.
        place: what is read, for messages: a path, or "file:line" where `lines` is False.
        lines: say the line within `text`.
        hint: what to do about broken JSON.

    Raises:
        DataError: it is not JSON, nested too deep, or holds a number or a character that no file can hold.
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
    """The lines of a text file that hold anything, with their numbers from 1. Lines end at line feeds alone:
    `splitlines()` would cut inside a text at U+2028 and its like. Raises DataError as `read_text`."""
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


def require_record(record: Any, source: str) -> Mapping[str, Any]:
    """`record` itself. Raises DataError when it is not a JSON object."""
    if not isinstance(record, Mapping):
        raise DataError(f"{source}: the record is {_kind(record)}; expected an object {{...}}", hint=CORRECT_IT)
    return record


def text_of(record: Mapping[str, Any], key: str, source: str, verbatim: bool = False) -> str:
    """The text under `key`, numbers as text: white space trimmed and collapsed (tabs too) unless `verbatim`.

    Raises DataError when the key is missing, null, empty or of another type.
    """
    if key not in record:
        names = one_line(", ".join(map(str, record)))
        raise DataError(f"{source}: {key!r} is missing; there are: {names}", hint=CORRECT_IT)
    value = record[key]
    unfit = isinstance(value, bool) or not isinstance(value, str | int | float)
    if unfit or (isinstance(value, float) and not math.isfinite(value)):
        raise DataError(f"{source}: {key!r} is {_kind(value)}; expected text", hint=CORRECT_IT)
    text = str(value) if verbatim else " ".join(str(value).split())
    if not text.strip():
        raise DataError(f"{source}: {key!r} is empty; expected text", hint=CORRECT_IT)
    return text


def answer_type_of(record: Mapping[str, Any], key: str, source: str) -> str:
    """ "open" or "closed", however it is written. Raises DataError for anything else."""
    text = text_of(record, key, source)
    if text.lower() not in ("open", "closed"):
        raise DataError(f"{source}: {key!r} is {shown(text)}; expected OPEN or CLOSED", hint=CORRECT_IT)
    return text.lower()


def derived_answer_type(question: str, answer: str) -> str:
    """ "closed" for an answer yes or no, or a question that offers a choice ("CT or MRI?"); "open" otherwise.

    For data sets that do not say. Measured where they do: it agrees on 451 of 451 questions of VQA-RAD's test split,
    1,784 of 1,797 of its train split (owner's edition), and 4,918 of 4,918 of SLAKE's English train split.
    """
    offers = re.search(r"\bor\b", question, re.IGNORECASE)
    return "closed" if answer.lower() in ("yes", "no") or offers else "open"


def require_unique(samples: Sequence[Sample], problems: Problems) -> list[Sample]:
    """`samples` without those whose id was used before; each of these is a problem."""
    first: dict[str, Sample] = {}
    for sample in samples:
        with problems.record():
            if sample.id in first:
                raise DataError(
                    f"{sample.source}: the id {sample.id!r} was used before, by {first[sample.id].source}",
                    hint="give each record an id of its own",
                )
            first[sample.id] = sample
    return list(first.values())


def require_some(samples: Sequence[Sample], problems: Problems, file: Path, split: str) -> list[Sample]:
    """`samples` as a list. Raises DataError when there is none: the first problem, if there was one."""
    if not samples:
        message = f"{file} has no usable record of the split {split!r}"
        problems.close_empty(message, hint="check the file and the split")
    return list(samples)


def shown(value: object) -> str:
    """A value in an error message: quoted, and cut when it is long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def one_line(value: object) -> str:
    """A path in an error message: as it is, but for line breaks and other characters that cannot be seen."""
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in str(value))


def tiny_image(path: Path, number: int) -> None:
    """Writes a grey image of 48 x 40 pixels: a shaded field with one disc, different for each `number`."""
    rows, columns = np.mgrid[:40, :48]
    random = np.random.default_rng(number)
    field = 40 + 40 * np.sin(columns / (4 + number % 5)) + rows + random.normal(0, 4, rows.shape)
    disc = (rows - random.integers(10, 30)) ** 2 + (columns - random.integers(10, 38)) ** 2 < random.integers(20, 80)
    image = Image.fromarray(np.clip(np.where(disc, 230, field), 0, 255).astype(np.uint8))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG" if path.suffix == ".png" else "JPEG")
    atomic_write_bytes(path, buffer.getvalue())


def _kind(value: object) -> str:
    if value is None:
        return "null"
    kinds = {bool: "a truth value", int: "a number", float: "a number", str: "text", list: "a list", dict: "an object"}
    return f"{kinds.get(type(value), type(value).__name__)} ({shown(value)})"
