"""`data.toml`: where a data set of your own lies and how it is read, written down once. Every verb takes the file in
place of a data set's name and folder. `discern start` writes one; it is meant to be changed by hand.

    name = "hospital"               # what pages call it; the folder's name where there is none
    reader = "csv"                  # `discern data list` shows the readers
    root = "hospital/fragen.csv"    # the table or the folder, relative to this file
    index = "split"                 # the folder that `discern data split` wrote, relative to this file; may be left out

    [options]                       # the reader's, as with --option
    images = "bilder"
    columns = { image = "Bild", question = "Frage", answer = "Antwort" }

A recipe takes it by `--data data.toml`: it then replaces the keys `dataset`, `root`, `options` and `index` of [data],
and `--set` has the last word.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from discern_vqa import registry
from discern_vqa.errors import ConfigError, DataError, DiscernError, did_you_mean
from discern_vqa.files import atomic_write_text
from discern_vqa.reading import split_files
from discern_vqa.reading.options import require_fit
from discern_vqa.reading.table_options import require_known
from discern_vqa.recipe_check import suggest
from discern_vqa.recipe_table import Table
from discern_vqa.toml import as_toml, read_toml, toml_value

NAME = "data.toml"
SPLIT = "split"
"""The folder beside a data.toml to which its split is written where nobody names another."""
OF_TABLES = ("columns", "values", "images", "use_as", "encoding", "delimiter", "sheet", "join")
"""Options of readers that are often written one level too high."""
_WRITE_ONE = "discern start FOLDER writes one; docs/own_data.md shows its keys"


class DataFile(Table):
    """The content of a `data.toml`. `root` and `index` are as written: relative to the file."""

    reader: str
    root: str
    index: str = ""
    name: str = ""
    options: dict[str, Any] = {}

    def write(self, path: Path, comment: str = "") -> None:
        """Writes the file, whole or not at all; `comment`: lines that stand above."""
        keys = {"name": self.name, "reader": self.reader, "root": self.root, "index": self.index}
        lines = [f"{key} = {toml_value(value)}\n" for key, value in keys.items() if value]
        lines = [*(f"# {line}\n" for line in comment.splitlines()), *lines]
        options = "\n" + as_toml({"options": self.options}) if self.options else ""
        atomic_write_text(path, "".join(lines) + options)

    def root_at(self, path: Path) -> Path:
        """Where the data lie, for the file `path`: without ".." where that names the same place, since OUT of a
        suggested command may not be there."""
        root = path.parent / self.root
        short = Path(os.path.normpath(root))
        return short if short.exists() and root.exists() and short.samefile(root) else root

    def index_at(self, path: Path) -> Path | None:
        """The folder of the split, for the file `path`; None where none is named."""
        return path.parent / self.index if self.index else None

    def title(self, path: Path) -> str:
        """What pages call the data set."""
        return self.name or path.resolve().parent.name


def is_data_file(path: Path | str | None) -> bool:
    """Whether a path is that of a `data.toml`, by its ending: data sets of no reader end so."""
    return path is not None and Path(path).suffix.lower() == ".toml"


def read(path: Path) -> DataFile:
    """Reads and checks a `data.toml`.

    Raises ConfigError, DataError, which name the file and the key: it is missing or no TOML, a key is unknown, missing
    or of another kind, there is no such reader, the reader has no such option, or root or index are not there.
    """
    path = Path(path)
    try:
        tables = read_toml(path, "texts need quotes; docs/own_data.md shows such a file")
    except FileNotFoundError:
        raise ConfigError(f"there is no file {path}", hint=_WRITE_ONE) from None
    try:
        content = DataFile.model_validate(tables)
    except ValidationError as error:
        mistakes = [
            _mistake(detail["loc"], detail["type"], detail["msg"], detail["input"]) for detail in error.errors()
        ]
        raise ConfigError(f"{path}: {'; '.join(mistakes)}", hint=_how_to_correct(tables)) from None
    if content.reader not in (known := registry.names("datasets")):
        hint = did_you_mean(content.reader, known, f"there are: {', '.join(known)}")
        raise ConfigError(f"{path}: reader = {json.dumps(content.reader)}: there is no such reader", hint=hint)
    reader = registry.reader(content.reader)
    require_fit(content.reader, reader.read, content.options, f"{path}: [options]: ", "write it as a TOML value")
    with named_in(path):
        require_known(content.options.get("columns", {}), content.options.get("values", {}))
    if not content.root_at(path).exists():
        raise DataError(
            f"{path}: root = {json.dumps(content.root)}: there is no {content.root_at(path)}",
            hint=f"write where the data lie, relative to {path.name}",
        )
    index = content.index_at(path)
    try:
        if index is not None:
            split_files.parts(index)
    except DiscernError as error:
        raise DataError(f"{path}: index = {json.dumps(content.index)}: {error}", hint=error.hint) from error
    return content


@contextmanager
def named_in(file: Path | None) -> Iterator[None]:
    """What is wrong with the options of a data.toml is told with its name. `file`: None where they come from none."""
    try:
        yield
    except ConfigError as error:
        if file is None or str(error).startswith(f"{file}: "):
            raise
        hint = f"correct it in {file}; {error.hint}" if error.hint else f"correct it in {file}"
        raise type(error)(f"{file}: [options]: {error}", hint=hint) from error


def relative(target: Path, file: Path) -> str:
    """`target` as it is written in the data file `file`: relative to its folder, with "/"."""
    return Path(os.path.relpath(target.resolve(), file.resolve().parent)).as_posix()


def data_keys(path: Path) -> dict[str, Any]:
    """The keys of a recipe's [data] for a `data.toml`, with absolute paths. Raises as `read`."""
    content = read(path)
    index = content.index_at(path)
    return {
        "dataset": content.reader,
        "root": str(content.root_at(path).resolve()),
        "options": content.options,
        "index": str(index.resolve()) if index is not None else "",
        # A set of one's own has no published folds, and a split made of files excludes any other.
        "protocol": "usual",
    }


def as_overrides(data: Path | None, overrides: list[str]) -> tuple[Path | None, list[str]]:
    """(folder for `--data`, overrides) of a recipe: a `data.toml` becomes overrides that stand before those given, so
    that these win, and there is no folder left to name; anything else is passed on. Raises as `read`."""
    if data is None or not is_data_file(data):
        return data, overrides
    return None, [*(f"data.{key}={toml_value(value)}" for key, value in data_keys(data).items()), *overrides]


def _mistake(location: tuple[int | str, ...], kind: str, message: str, value: object) -> str:
    key = ".".join(map(str, location))
    if kind == "extra_forbidden" and location[0] in OF_TABLES:
        return f"{key} is an option of the reader: write it as [options.{key}], or below [options]"
    if kind == "extra_forbidden":
        return f"{key}: unknown key{suggest(key, list(DataFile.model_fields))}"
    if kind == "missing":
        return f"{key} is missing"
    return f"{key} = {json.dumps(value, default=str)}: {message[0].lower()}{message[1:]}"


def _how_to_correct(tables: dict[str, Any]) -> str:
    if {"model", "objective"} & tables.keys() or isinstance(tables.get("data"), dict):
        return "this looks like a recipe, which is given first: discern train RECIPE --data data.toml --out RUN"
    return _WRITE_ONE
