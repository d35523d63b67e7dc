"""`discern new ...`: the files of something that is to be added."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Write the files of a model of your own, which work as they are.")


@app.callback(invoke_without_command=True)
def _new(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def model(
    name: Annotated[str, typer.Argument(help="The name of the model, as recipes will name it.")],
    out: Annotated[
        Path | None,
        typer.Option(
            help="A folder for a package of your own, or one that there is; default: this checkout of Discern.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write a model, its recipe and its test.

    A small network that learns by the objective `classify`. The test passes at once; change the model from there
    (docs/adding.md).
    """
    from discern_vqa.scaffold import write_model

    written = write_model(name, out, Path.cwd())
    for file in written.files:
        typer.echo(f"wrote {file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file}")
    typer.echo("next:")
    for command in written.next:
        typer.echo(f"  {command}")
