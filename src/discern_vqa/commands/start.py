"""`discern start`: from data of one's own to a first report."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from discern_vqa.reading.guess import Doubt


def start(
    source: Annotated[Path, typer.Argument(help="A folder, a table of questions, or a data.toml.")],
    out: Annotated[Path, typer.Option(help="A folder for all that is made; the same one goes on.")] = Path("start"),
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing: take the likeliest, and say what it was.")] = False,
    minutes: Annotated[float, typer.Option(help="How long it may take: decides which networks are tried.")] = 10,
) -> None:
    """Make a first model and an honest report of your own data.

    Looks at a folder or table (CSV, Excel, JSON, conversations, COCO-VQA, Parquet, DICOM), says how it is understood
    and writes that as data.toml. Then it audits and splits the data, fits models from the simplest on, chooses one on
    held-out images, and evaluates it.
    """
    import time

    began = time.monotonic()  # the imports of the next line take seconds, too
    from discern_vqa import start as walking

    walking.run(source, out, minutes, _take_first if yes else _ask, typer.echo, began)


def _take_first(doubt: "Doubt") -> int:
    others = ", ".join(doubt.choices[1:])
    typer.echo(f"{doubt.question} Took {doubt.choices[0]}; it could also be {others}.")
    return 0


def _ask(doubt: "Doubt") -> int:
    import sys

    from discern_vqa.errors import ConfigError

    if not sys.stdin.isatty():
        raise ConfigError(
            f"{doubt.question} {', '.join(doubt.choices)}", hint="add --yes to take the first, or write a data.toml"
        )
    typer.echo(doubt.question)
    for number, text in enumerate(doubt.choices, start=1):
        typer.echo(f"  {number}  {text}")
    number = 0
    while not 1 <= number <= len(doubt.choices):
        number = int(typer.prompt("Which", type=int, default=1))
    return number - 1
