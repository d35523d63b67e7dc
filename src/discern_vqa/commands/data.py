"""`discern data ...`: lists data sets, draws phantoms, and writes the neutral formats."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from discern_vqa import paths, registry
from discern_vqa.commands import data_audit, data_get, data_look
from discern_vqa.commands._output import PrintJson, say_next
from discern_vqa.commands._sets import Name, Options, SkipBroken, named, read_and_report, refuse_over_set
from discern_vqa.errors import ConfigError

app = typer.Typer(help="List, get, look at, audit, split, preview, draw and convert data sets.")
app.command("get")(data_get.get)
app.command("look")(data_look.look)
app.command("audit")(data_audit.audit)
app.command("split")(data_audit.split)
app.command("preview")(data_audit.preview)


@app.callback(invoke_without_command=True)
def _data(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("list")
def list_(as_json: PrintJson = False) -> None:
    """List the data sets that can be read.

    Each with its splits, its licence, its source, and its folder on this machine.
    """
    rows = [_describe(name) for name in registry.names("datasets")]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        counts = [f"{part} {row['published'][part]:,}" if part in row["published"] else part for part in row["splits"]]
        typer.echo(f"{row['name']:16} {row['summary']}")
        typer.echo(f"{'':16} {', '.join(counts)} | {row['licence']} | {row['found'] or 'not found here'}")
        if row["source"]:
            how = f"discern data get {row['name']}" if row["parts"] else "by hand, from that page"
            typer.echo(f"{'':16} source: {row['source']} ({how})")
    here = next((row for row in rows if row["found"]), None)
    say_next(*(["data", "audit", here["name"], here["found"]] if here else ["start", "FOLDER"]))


def _describe(name: str) -> dict[str, Any]:
    module = registry.load("datasets", name)
    return {
        "name": name,
        "summary": module.SUMMARY,
        "licence": module.LICENCE,
        "splits": list(module.SPLITS),
        "published": dict(module.PUBLISHED),
        "source": getattr(module, "SOURCE", ""),
        "parts": list(getattr(module, "GET", {})),
        "found": str(paths.find_local_data(name) or ""),
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

    Images with known anatomy and findings; captions, questions and answers; a mask for every finding; image pairs that
    differ in one finding.
    """
    module = registry.load("datasets", name)
    if not hasattr(module, "draw"):
        drawn = [other for other in registry.names("datasets") if hasattr(registry.load("datasets", other), "draw")]
        raise ConfigError(
            f"{name!r} cannot be drawn: it is a published data set",
            hint=f"discern data draw {' or '.join(drawn)} {out}",
        )
    module.draw(out, images=images, size=size, seed=seed)
    typer.echo(f"drew {images} images into {out}")
    if sheet is not None:
        module.contact_sheet(out, "test", sheet)
        typer.echo(f"contact sheet: {sheet}")
    say_next("data", "audit", name, str(out))


@app.command()
def convert(
    name: Name,
    root: Annotated[Path, typer.Argument(help="The folder that holds it; after a data.toml, OUT stands here.")],
    out: Annotated[
        Path | None,
        typer.Argument(
            help="A .jsonl or .parquet file to write, or a folder for Parquet by split.", show_default=False
        ),
    ] = None,
    split: Annotated[list[str] | None, typer.Option(help="Only this split; may be repeated.")] = None,
    option: Options = None,
    skip_broken: SkipBroken = False,
    embed: Annotated[bool, typer.Option(help="Put the images into the Parquet files, or only their paths.")] = True,
) -> None:
    """Write a data set as neutral JSONL or Parquet.

    Each line or row is one question or caption; `discern train` and other programs read these files.
    """
    from discern_vqa.datasets import jsonl, parquet

    given = named(name, root if out is not None else None, option)
    name, root, option, out = given.name, given.root, given.options, out if out is not None else root
    if out.suffix not in (".jsonl", ".parquet", ""):
        raise ConfigError(f"{out} ends in {out.suffix}", hint="name it .jsonl or .parquet, or a folder for Parquet")
    parts = read_and_report(name, root, option, skip_broken, split, given.file)
    refuse_over_set(out, root, parts)
    samples = [sample for part in parts.values() for sample in part]
    if out.suffix == ".jsonl":
        jsonl.write(samples, out)
        typer.echo(f"wrote {len(samples)} lines to {out}")
    else:
        files = parquet.write(samples, out, embed)
        typer.echo(f"wrote {len(samples)} rows to {', '.join(str(file) for file in files)}")
    say_next("data", "audit", "jsonl" if out.suffix == ".jsonl" else "parquet", str(out))
