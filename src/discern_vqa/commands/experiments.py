"""The verb about experiments: the papers' tables and figures, each as one command."""

import shlex
import signal
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from discern_vqa.commands._output import Data, Overrides, say_next
from discern_vqa.errors import ConfigError, DiscernError, RunError


class _ByName(TyperGroup):
    """`discern experiment fig8` is `discern experiment run fig8`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Puts the name of the first command before what is none."""
        if not args or args[0] not in (*self.commands, "-h", "--help"):
            args = ["run", *args]
        parsed: list[str] = super().parse_args(ctx, args)
        return parsed


app = typer.Typer(
    cls=_ByName,
    help="Repeat the papers' tables and figures: discern experiment NAME, short for run NAME; --list shows the names.",
)


@app.callback()
def _experiment() -> None:
    """Repeat the papers' tables and figures: `discern experiment NAME ...`, `discern experiment --list`.

    Every row is trained with every seed, then the test split is opened and a report written.
    """


@app.command()
def run(
    names: Annotated[
        list[str] | None, typer.Argument(help="Experiments by name, or TOML files of your own.", show_default=False)
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="Say which experiments there are.")] = False,
    out: Annotated[Path, typer.Option(help="A folder for all trainings and reports; the same one goes on.")] = Path(
        "experiments"
    ),
    on: Annotated[
        str,
        typer.Option(
            help="Another recipe of the family: phantom, vqa_rad_lite, base, or a path.",
            show_default="each experiment's own, see --list",
        ),
    ] = "",
    data: Data = None,
    seeds: Annotated[str, typer.Option(help="Seeds of the trainings, as 0,1,2.")] = "0,1,2",
    workers: Annotated[int, typer.Option(min=1, help="Trainings at a time, each on one thread.")] = 1,
    split: Annotated[
        str,
        typer.Option(
            help="Which split is reported; opened after the last training.",
            show_default="each experiment's own, most often test",
        ),
    ] = "",
    plan_only: Annotated[bool, typer.Option("--plan", help="Only say what would be trained.")] = False,
) -> None:
    """Train all rows of experiments and report them.

    What is finished is kept, what was killed goes on, what failed is tried again: give the same command once more.
    """
    from discern_vqa.experiments import catalogue

    if listed or not names:
        for name in catalogue.names():
            one = catalogue.load(name)
            typer.echo(f"{name:15} {one.source}: {one.title} ({len(one.rows)} rows of {one.family}/{one.base})")
        for name, together in catalogue.collections().items():
            typer.echo(f"{name:15} {together.source}: {together.title} (all of {', '.join(together.parts)})")
        say_next("experiment", catalogue.names()[0], "--plan")
        return
    from discern_vqa.data_file import is_data_file
    from discern_vqa.experiments import runner

    chosen = parsed_seeds(seeds)
    own = data if is_data_file(data) else None
    grids = runner.prepare(names, on, chosen, split, data=own)
    labels = runner.labelled(grids)
    if plan_only:
        for training, label in labels.values():
            typer.echo(f"{training.key}  {label}")
        typer.echo(f"{len(labels)} trainings")
        typer.echo("next: the same command without --plan", err=True)
        return
    from discern_vqa.experiments import page, sections
    from discern_vqa.experiments import report as reporting

    folder_of_data = None if own is not None else data
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends the workers too, as an interrupt does
    try:
        failed = runner.run(grids, out, data=folder_of_data, workers=workers, say=typer.echo)
    finally:
        signal.signal(signal.SIGTERM, before)
    date = time.strftime("%Y-%m-%d", time.gmtime())
    wrong = []
    for name, grid in zip(catalogue.singles(names), grids, strict=True):
        folder = runner.open_folder(out, folder_of_data, grid)
        command = _typed(name, on, seeds, data, split)
        try:
            report = reporting.gather(grid, folder, failed, command, date)
        except DiscernError as error:  # the other experiments are reported all the same
            wrong.append(str(error))
            continue
        report["extra"] = sections.extras(grid, folder)
        typer.echo(f"report: {page.write(report, folder.report(grid))}")
    wrong += [f"{labels[key.partition(':')[0]][1]}: {error}" for key, error in failed.items()]
    if wrong:
        more = f"; and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise RunError(
            f"{len(failed)} of {len(labels)} trainings have failed: {'; '.join(wrong[:3])}{more}",
            hint="the others are reported; see logs/ in the folder, then give the same command again",
        )


def _typed(name: str, on: str, seeds: str, data: Path | None, split: str) -> str:
    """The command that repeats a report, as it stands in it: of a path that says where this machine keeps things, the
    last name alone."""

    def shown(given: str) -> str:
        path = Path(given)
        tells = path.is_absolute() or ".." in path.parts
        return shlex.quote(path.name if tells else given)

    options = {"--on": shown(on) if on else "", "--data": shown(str(data)) if data else "",
               "--seeds": shlex.quote(seeds), "--split": shown(split) if split else ""}  # fmt: skip
    said = [f"{option} {value}" for option, value in options.items() if value]
    return " ".join(["discern experiment", shown(name), *said])


def parsed_seeds(text: str) -> list[int]:
    """`0,1,2` as numbers. Raises ConfigError."""
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"--seeds {text!r}: expected whole numbers", hint="for example --seeds 0,1,2") from None
    if min(numbers) < 0 or len(set(numbers)) < len(numbers):
        raise ConfigError(f"--seeds {text!r}: each once, none below 0", hint="for example --seeds 0,1,2")
    return numbers


@app.command()
def search(
    recipe: Annotated[Path, typer.Option(help="A recipe (TOML): a path, or the name of a shipped one.")],
    space: Annotated[Path, typer.Option(help="What to seek: a TOML file with a table for each key.")],
    out: Annotated[Path, typer.Option(help="A folder for the trials; the same one goes on.")] = Path("search"),
    trials: Annotated[int, typer.Option(min=1, help="So many in all, those that are there included.")] = 20,
    storage: Annotated[
        str, typer.Option(help="Address of a database, so that many machines seek together; default: SQLite in --out.")
    ] = "",
    data: Data = None,
    overrides: Overrides = None,
    seed: Annotated[int, typer.Option(help="Of the sampler.")] = 0,
) -> None:
    """Seek hyper-parameters with Optuna, on validation alone.

    The test split is never opened. A trial that lags is stopped; an interrupted search goes on with the same command.
    """
    from discern_vqa.experiments import search as seeking

    found = seeking.search(
        recipe, space, out, trials=trials, storage=storage, data=data, overrides=overrides, seed=seed, say=typer.echo
    )
    if found["best"] is None:
        raise RunError("no trial has ended well", hint=f"see the errors above, and {out / 'search.json'}")
    typer.echo(f"best: trial {found['best']['number']}, validation {found['best']['validation']:.4f} (chosen on it)")
    sets = [word for one in seeking.as_sets(found["best"]["set"]) for word in ("--set", one)]
    typer.echo(f"  {' '.join(sets)}")
    say_next("train", str(recipe), *sets, "--out", "RUN")
