"""The verb export-tasks: a data set as tasks of another evaluation tool."""

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from discern_vqa.commands import _sets


def export_tasks(
    out: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to write.")],
    name: _sets.Name,
    root: _sets.Root = None,
    split: Annotated[str, typer.Option(help="The usual evaluation split; left out: test, or else validation.")] = "",
    folds: Annotated[int, typer.Option(help="Image-disjoint folds; 0: none.")] = 5,
    options: _sets.Options = None,
) -> None:
    """Write a data set as tasks of lmms-eval.

    One task for the usual split and one for each image-disjoint fold; intervals there are clustered by image. The
    images are named where they lie, and nothing is downloaded. docs/other_tools.md shows how they are run.
    """
    from discern_vqa.config import DataConfig
    from discern_vqa.other_tools.export_tasks import export_tasks as export
    from discern_vqa.paths import find_data, find_local_data

    if root is None and Path(name).suffix != ".toml":
        root = find_local_data(name)
    named = _sets.named(name, root, options)
    given = _sets.parsed(named.options)
    index = given.pop("index", "")
    choice = DataConfig(dataset=named.name, options=given, index=str(index))
    title = named.title if named.file is not None else named.name
    exported = export(out, choice, find_data(named.name, named.root), title, split, folds)
    for task in exported.tasks:
        images = len({sample.image for sample in task.samples})
        typer.echo(f"  {task.name}: {len(task.samples):,} questions of {images:,} images ({task.protocol})")
    if exported.group:
        typer.echo(f"  {exported.group}: the folds together")
    if exported.converted:
        typer.echo(f"images written as PNG, since lmms-eval could not open them as they are: {exported.converted:,}")
    first = exported.tasks[0].name
    typer.echo(
        f"\nlmms-eval --model discern --model_args run=RUN --tasks {first} --include_path {quote(str(out.resolve()))} "
        "--log_samples --output_path results"
    )
