"""`discern recipe ...`: which recipes there are, what one says, and what can be set in one."""

import shutil
import textwrap
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from discern_vqa.recipe_keys import Key

app = typer.Typer(help="List recipes, show one, and look up the keys that a recipe can set.")
_WIDTH = 100


@app.callback(invoke_without_command=True)
def _recipe(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("list")
def list_() -> None:
    """List the recipes that `discern train` takes by name.

    A line for each: the data set, what it is, and how long it takes where the recipe says so.
    """
    from discern_vqa.recipe_list import shipped

    recipes = shipped()
    wide = max(len(recipe.name) for recipe in recipes)
    for recipe in recipes:
        time = f" ({recipe.time})" if recipe.time else ""
        typer.echo(f"{recipe.name:{wide}}  {recipe.data:12}  {recipe.what}{time}")


@app.command()
def show(
    recipe: Annotated[Path, typer.Argument(help="A recipe (TOML): a path, or the name of a shipped one.")],
    whole: Annotated[
        bool, typer.Option("--all", help="Check it, and show every key, also those that it leaves at their defaults.")
    ] = False,
) -> None:
    """Print a recipe: its comment, and its tables put together with those of its base."""
    from discern_vqa.paths import find_recipe
    from discern_vqa.toml import as_toml, whole_recipe

    path = find_recipe(recipe)
    if not whole:
        typer.echo(whole_recipe(path).rstrip())
        return
    from discern_vqa.config import read_recipe
    from discern_vqa.recipe_list import comment_of

    tables = read_recipe(path).resolved_tables()
    comment = textwrap.fill(comment_of(path), _WIDTH, initial_indent="# ", subsequent_indent="# ")
    typer.echo("\n".join(part for part in (comment, as_toml(tables).rstrip()) if part))


@app.command()
def keys(
    wanted: Annotated[str, typer.Argument(help="Part of a key's name, or a word of its meaning.")] = "",
    form: Annotated[Literal["text", "markdown"], typer.Option("--format", help="How to print them.")] = "text",
) -> None:
    """Say what a recipe can set.

    Every key with what may be given, its default, its meaning, and the models or objectives that have it.
    """
    from discern_vqa.recipe_keys import matching

    chosen = matching(wanted)
    typer.echo((as_markdown(chosen) if form == "markdown" else as_text(chosen)).rstrip())


def as_text(chosen: "Sequence[Key]") -> str:
    """The keys to read in a terminal, a paragraph each."""
    wide = min(shutil.get_terminal_size((_WIDTH, 24)).columns, 120)
    lines = []
    for key in chosen:
        lines.append(f"{key.full}: {key.kind}; default {key.default}")
        takers = f" ({', '.join(key.takers)})" if key.takers else ""
        lines.append(textwrap.fill(key.meaning + takers, wide, initial_indent="    ", subsequent_indent="    "))
    return "\n".join(lines)


def as_markdown(chosen: "Sequence[Key]") -> str:
    """A table of the keys for each table of a recipe; those of models and objectives name who has them."""
    parts = []
    for table, members in groupby(chosen, key=lambda key: key.table):
        rows = list(members)
        named = any(key.takers for key in rows)
        head = ["key", "what may be given", "default", "meaning", *(["of"] if named else [])]
        lines = [f"## [{table}]", "", _row(head), _row(["---"] * len(head))]
        for key in rows:
            cells = [f"`{key.name}`", key.kind, f"`{key.default}`", key.meaning]
            lines.append(_row([*cells, *([", ".join(key.takers) or "all"] if named else [])]))
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
