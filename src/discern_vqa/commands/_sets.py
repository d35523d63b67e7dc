"""What the commands about data sets share: their arguments, and reading a set as the command line names it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from discern_vqa import paths, registry
from discern_vqa.errors import ConfigError
from discern_vqa.files import from_json

if TYPE_CHECKING:
    from discern_vqa.data.sample import Sample

Name = Annotated[
    str, typer.Argument(help="A data set's name (`discern data list` shows them), or a data.toml in place of both.")
]
Root = Annotated[Path | None, typer.Argument(help="The folder that holds it, in its own layout.", show_default=False)]
Options = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        help="key=value for the reader, may be repeated; index=DIR reads the split that `discern data split` wrote.",
        metavar="KEY=VALUE",
    ),
]
_KINDS = "a number as text, a list, a table: --option 'KEY=\"5\"', 'KEY=[\"a\"]', KEY.name=text"
SkipBroken = Annotated[bool, typer.Option("--skip-broken", help="Leave broken records out, and print how many.")]


@dataclass(frozen=True)
class Named:
    """A data set as the command line names it: its reader, its folder, the options of both, and what pages call it."""

    name: str
    root: Path
    options: list[str]  # "key=value"; those typed come last, and win
    title: str
    typed: tuple[str, ...]  # the words that name the set on the command line again
    file: Path | None = None  # the data.toml that names it


def named(name: str, root: Path | None, options: list[str] | None = None, split: bool = True) -> Named:
    """NAME and ROOT, or a `data.toml` in place of both.

    split: False leaves out the split that a data.toml names. Raises ConfigError where ROOT is missing, or is given
    beside a data.toml; and as `data_file.read`.
    """
    from discern_vqa import data_file

    given = options or []
    if not data_file.is_data_file(name):
        if root is None:
            raise ConfigError(
                f"{name!r} is given without the folder that holds it",
                hint="give NAME and ROOT, for example phantom FOLDER, or a data.toml, which `discern start` writes",
            )
        return Named(name, root, given, name, (name, str(root)))
    file = Path(name)
    if root is not None:
        raise ConfigError(f"{file} says where the data lie, and {root} is given too", hint=f"leave out {root}")
    content = data_file.read(file)
    written = [f"{key}={json.dumps(value)}" for key, value in content.options.items()]
    index = content.index_at(file)
    if index is not None and split and not any(option.startswith("index=") for option in given):
        written.append(f"index={index}")
    return Named(content.reader, content.root_at(file), [*written, *given], content.title(file), (name,), file)


def read_set(
    name: str,
    root: Path,
    splits: list[str],
    options: list[str],
    skipped: list[str] | None = None,
    file: Path | None = None,
) -> "dict[str, list[Sample]]":
    """The wanted splits (all that are there, if none is named) of a data set.

    options: "key=value" for the reader; `index=DIR` assigns the samples to the parts of that split.
    skipped: given a list, broken records are left out and what is wrong with each is appended to it.
    file: the data.toml that the options come from.
    """
    from discern_vqa.data_file import named_in
    from discern_vqa.reading import split_files
    from discern_vqa.reading.options import require_fit
    from discern_vqa.reading.records import present_splits

    module = registry.load("datasets", name)
    given = parsed(options)
    index = given.pop("index", "")
    if index and not isinstance(index, str):
        raise ConfigError(
            f"--option index={index} is not a folder", hint="name the folder that `discern data split` wrote"
        )
    there = split_files.parts(Path(index)) if index else module.SPLITS
    for split in splits:
        if split not in there:
            raise ConfigError(f"{name} has no split {split!r}", hint=f"it has: {', '.join(there)}")
    require_fit(name, module.read, given, "--option ", _KINDS, also=("index",))
    if skipped is not None:
        given["skipped"] = skipped
    folder = paths.find_data(name, root)
    with named_in(file):
        if index:
            parts = split_files.read(module, folder, Path(index), given)
            return {split: parts[split] for split in splits or parts}
        return {split: module.read(folder, split, **given) for split in splits or present_splits(module, folder)}


def read_and_report(
    name: str,
    root: Path,
    options: list[str] | None,
    skip_broken: bool,
    splits: list[str] | None = None,
    file: Path | None = None,
) -> "dict[str, list[Sample]]":
    """As `read_set`; of broken records that are to be left out, it prints to stderr how many there are."""
    skipped: list[str] | None = [] if skip_broken else None
    samples = read_set(name, root, splits or [], options or [], skipped, file)
    report_skipped(skipped or [])
    return samples


def refuse_over_set(out: Path | None, root: Path, parts: "dict[str, list[Sample]]") -> None:
    """Raises ConfigError when `out` is a file that the set was read from: the root itself, or a sample's source.

    A folder gets Parquet files, and may be the root where that holds none.
    """
    files = {sample.source.partition(":")[0] for part in parts.values() for sample in part}
    written = [out]
    if out is not None and out.is_dir():
        written = [out / Path(file).name for file in files if file.endswith(".parquet")]
    for target in written:
        paths.refuse_own_input(target, root, *(root / file for file in files))


def report_skipped(skipped: list[str]) -> None:
    """Prints to stderr how many broken records were left out."""
    if skipped:
        typer.echo(f"left out {len(skipped)} broken records, the first: {skipped[0]}", err=True)


def parsed(options: list[str]) -> dict[str, Any]:
    """ "key=value" pairs: a value is read as JSON where it is JSON, else it is text. "key.field=text" fills a table,
    "key.field.written=text" a table in a table (`written` may hold dots)."""
    values: dict[str, Any] = {}
    for option in options:
        key, separator, value = option.partition("=")
        name, *path = key.split(".", 2)
        if not separator or not name.isidentifier() or not all(path):
            raise ConfigError(
                f"--option {option!r} does not have the form key=value", hint="for example --option edition=owner"
            )
        try:
            read: Any = from_json(value)
        except ValueError:
            read = value
        if not path:
            values[name] = read
            continue
        table = values
        for inner in (name, *path[:-1]):
            table = table.setdefault(inner, {})
            if not isinstance(table, dict):
                raise ConfigError(
                    f"--option {option!r}: {inner!r} has a value already",
                    hint=f"give either {inner}=VALUE or {inner}.FIELD=TEXT",
                )
        table[path[-1]] = value
    return values
