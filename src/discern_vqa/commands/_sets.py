"""What the commands about data sets share: their arguments, and reading a set as the command line names it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from discern_vqa import paths, registry
from discern_vqa.errors import ConfigError
from discern_vqa.files import from_json

if TYPE_CHECKING:
    from discern_vqa.data.sample import Sample

Name = Annotated[str, typer.Argument(help="A data set's name; `discern data list` shows them.")]
Root = Annotated[Path, typer.Argument(help="The folder that holds it, in its own layout.")]
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


def read_set(
    name: str, root: Path, splits: list[str], options: list[str], skipped: list[str] | None = None
) -> "dict[str, list[Sample]]":
    """The wanted splits (all that are there, if none is named) of a data set.

    options: "key=value" for the reader; `index=DIR` assigns the samples to the parts of that split.
    skipped: given a list, broken records are left out and what is wrong with each is appended to it.
    """
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
    if index:
        parts = split_files.read(module, folder, Path(index), given)
        return {split: parts[split] for split in splits or parts}
    return {split: module.read(folder, split, **given) for split in splits or present_splits(module, folder)}


def read_and_report(
    name: str, root: Path, options: list[str] | None, skip_broken: bool, splits: list[str] | None = None
) -> "dict[str, list[Sample]]":
    """As `read_set`; of broken records that are to be left out, it prints to stderr how many there are."""
    skipped: list[str] | None = [] if skip_broken else None
    samples = read_set(name, root, splits or [], options or [], skipped)
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
