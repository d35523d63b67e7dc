"""`discern data ...`: what data sets there are, what is wrong with one, phantoms, and the neutral formats."""

import inspect
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from discern_vqa import paths, registry
from discern_vqa.commands import data_get, data_look
from discern_vqa.errors import ConfigError, DataError

if TYPE_CHECKING:
    from discern_vqa.data.sample import Sample

app = typer.Typer(help="List, get, look at, audit, draw and convert data sets.")
app.command("get")(data_get.get)
app.command("look")(data_look.look)

Name = Annotated[str, typer.Argument(help="A data set's name; `discern data list` shows them.")]
Root = Annotated[Path, typer.Argument(help="The folder that holds it, in its own layout.")]
Options = Annotated[
    list[str] | None, typer.Option("--option", help="key=value for the reader, may be repeated.", metavar="KEY=VALUE")
]

SkipBroken = Annotated[bool, typer.Option("--skip-broken", help="Leave broken records out, and say how many.")]


@app.callback(invoke_without_command=True)
def _data(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("list")
def list_(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the data sets that can be read.

    Each with its splits, its licence, where it is to be had, and where it was found on this machine.
    """
    rows = [_describe(name) for name in registry.names("datasets")]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        counts = [f"{part} {row['published'][part]:,}" if part in row["published"] else part for part in row["splits"]]
        typer.echo(f"{row['name']:14} {row['summary']}")
        typer.echo(f"{'':14} {', '.join(counts)} | {row['licence']} | {row['found'] or 'not found here'}")
        if row["source"]:
            how = f"discern data get {row['name']}" if row["parts"] else "not by a program"
            typer.echo(f"{'':14} to be had {row['source']} ({how})")


def _describe(name: str) -> dict[str, Any]:
    module = registry.load("datasets", name)
    try:
        found = str(paths.find_data(name))
    except DataError:
        found = ""
    return {
        "name": name,
        "summary": module.SUMMARY,
        "licence": module.LICENCE,
        "splits": list(module.SPLITS),
        "published": dict(module.PUBLISHED),
        "source": getattr(module, "SOURCE", ""),
        "parts": list(getattr(module, "GET", {})),
        "found": found,
    }


@app.command()
def draw(
    name: Annotated[str, typer.Argument(help="Which set to draw: phantom.")],
    out: Annotated[Path, typer.Argument(help="A folder to draw it into.")],
    images: Annotated[int, typer.Option(help="How many images, over all splits.", min=1)] = 1200,
    size: Annotated[int, typer.Option(help="Width and height in pixels.", min=32)] = 128,
    seed: Annotated[int, typer.Option(help="The same seed draws the same set.")] = 0,
    sheet: Annotated[Path | None, typer.Option(help="Also write a contact sheet of the test split here.")] = None,
) -> None:
    """Draw a data set of phantoms.

    Images with known anatomy and findings; captions, questions and answers; a mask for every finding; twins.
    """
    module = registry.load("datasets", name)
    if not hasattr(module, "draw"):
        drawn = [other for other in registry.names("datasets") if hasattr(registry.load("datasets", other), "draw")]
        raise ConfigError(f"{name!r} is read, not drawn", hint=f"discern data draw {' or '.join(drawn)} {out}")
    module.draw(out, images=images, size=size, seed=seed)
    typer.echo(f"drew {images} images into {out}")
    if sheet is not None:
        module.contact_sheet(out, "test", sheet)
        typer.echo(f"contact sheet: {sheet}")


@app.command()
def convert(
    name: Name,
    root: Root,
    out: Annotated[Path, typer.Argument(help="A .jsonl or .parquet file to write, or a folder for Parquet by split.")],
    split: Annotated[list[str] | None, typer.Option(help="Only this split; may be repeated.")] = None,
    option: Options = None,
    skip_broken: SkipBroken = False,
    embed: Annotated[bool, typer.Option(help="Put the images into the Parquet files, or only their places.")] = True,
) -> None:
    """Write a data set as neutral JSONL or Parquet.

    One question or caption a line or row; `discern train` and other programs read it.
    """
    from discern_vqa.datasets import jsonl, parquet

    if out.suffix not in (".jsonl", ".parquet", ""):
        raise ConfigError(f"{out} ends in {out.suffix}", hint="name it .jsonl or .parquet, or a folder for Parquet")
    parts = _read(name, root, split or [], option or [], skip_broken)
    samples = [sample for part in parts.values() for sample in part]
    if out.suffix == ".jsonl":
        jsonl.write(samples, out)
        typer.echo(f"wrote {len(samples)} lines to {out}")
        return
    files = parquet.write(samples, out, embed)
    typer.echo(f"wrote {len(samples)} rows to {', '.join(str(file) for file in files)}")


@app.command()
def audit(
    name: Name,
    root: Root,
    as_json: Annotated[Path | None, typer.Option("--json", help="Also write the findings to this file.")] = None,
    option: Options = None,
    skip_broken: SkipBroken = False,
) -> None:
    """Say what is wrong with a data set.

    Images that train and test share, near copies, test questions re-phrased in train, answers that only test has.
    """
    from discern_vqa import audit
    from discern_vqa.files import atomic_write_text

    found = audit.audit(_read(name, root, [], option or [], skip_broken))
    if as_json is not None:
        atomic_write_text(as_json, json.dumps(found, indent=2) + "\n")
    typer.echo(audit.as_text(found))


def _read(
    name: str, root: Path, splits: list[str], options: list[str], skip_broken: bool
) -> "dict[str, list[Sample]]":
    """The wanted splits (all that are there, if none is named) of a data set; broken records are counted on stderr."""
    from discern_vqa.datasets._reading import present_splits

    module = registry.load("datasets", name)
    for split in splits:
        if split not in module.SPLITS:
            raise ConfigError(f"{name} has no split {split!r}", hint=f"it has: {', '.join(module.SPLITS)}")
    given: dict[str, Any] = _parsed(options)
    skipped: list[str] = []
    if skip_broken:
        given["skipped"] = skipped
    known = list(inspect.signature(module.read).parameters)[2:]
    for key in given.keys() - known:
        raise ConfigError(f"{name} has no option {key!r}", hint=f"it has: {', '.join(known) or 'none'}")
    folder = paths.find_data(name, root)
    read = {split: module.read(folder, split, **given) for split in splits or present_splits(module, folder)}
    if skipped:
        typer.echo(f"left out {len(skipped)} broken records, the first: {skipped[0]}", err=True)
    return read


def _parsed(options: list[str]) -> dict[str, Any]:
    """"key=value" pairs: a value is read as JSON where it is JSON, else it is text; "key.field=text" fills a table."""
    parsed: dict[str, Any] = {}
    for option in options:
        key, separator, value = option.partition("=")
        name, dot, field = key.partition(".")
        if not separator or not name.isidentifier() or (dot and not field):
            raise ConfigError(f"--option {option!r} is not of the form key=value", hint="e.g. --option edition=owner")
        try:
            read: Any = json.loads(value)
        except (ValueError, RecursionError):
            read = value
        if not dot:
            parsed[name] = read
            continue
        table = parsed.setdefault(name, {})
        if not isinstance(table, dict):
            raise ConfigError(f"--option {option!r}: {name!r} was given as one value", hint="give one or the other")
        table[field] = value
    return parsed
