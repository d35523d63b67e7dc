"""`discern data get NAME`: downloads a public data set from its owners, after its licence was shown and accepted."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from discern_vqa import paths, registry
from discern_vqa.errors import ConfigError

if TYPE_CHECKING:
    from discern_vqa.reading.download import Progress
    from discern_vqa.reading.sources import File


def get(
    name: Annotated[str, typer.Argument(help="A data set's name; `discern data list` shows them.")],
    out: Annotated[Path | None, typer.Option(help="Where to put it; by default where `discern` looks for it.")] = None,
    part: Annotated[str, typer.Option(help="Which part or version, where there are several.")] = "",
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Accept the licence without being asked.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be downloaded, and stop.")] = False,
) -> None:
    """Download a data set from its owners.

    Shows the licence first. The same command resumes an interrupted download. Checksums are compared where the owners
    state them.
    """
    from discern_vqa.reading import get

    reader = registry.load("datasets", name)
    part, sources = get.sources_of(reader, name, part)
    root = out if out is not None else paths.cache_dir() / "data" / name
    typer.echo(f"{reader.SUMMARY}\nlicence: {reader.LICENCE}\nsource: {reader.SOURCE}")
    files = [file for source in sources for file in source.files()]
    known = sum(file.size for file in files)
    typer.echo(f"{part}: {len(files)} files{f', {known / 1e6:,.0f} MB' if known else ''}, into {root}")
    if dry_run:
        for file in files:
            checked = file.checksum.partition(":")[0] or "no checksum"
            typer.echo(f"  {file.name}  {f'{file.size:,} bytes' if file.size else 'size unknown'}  {checked}")
            for url in file.urls:
                typer.echo(f"    {url}")
        return
    if not accept_licence:
        if not sys.stdin.isatty():
            raise ConfigError(f"the licence of {name} was not accepted", hint="read it, then add --accept-licence")
        typer.confirm("Do you accept this licence?", abort=True)
    get.get(files, root, reader.LICENCE, tell=typer.echo, progress=_progress)
    typer.echo(f"next: discern data audit {name} {root}")


def _progress(file: "File") -> "Progress":
    """Prints the progress of a file to stderr: every ten percent, or every 100 MB where its size is not known."""
    printed = 0

    def tell(done: int, whole: int) -> None:
        nonlocal printed
        step = 10 * done // whole if whole else done // 100_000_000
        if step > printed:
            printed = step
            amount = f"{100 * done // whole} %" if whole else f"{done / 1e6:,.0f} MB"
            typer.echo(f"{file.name}: {amount}", err=True)

    return tell
