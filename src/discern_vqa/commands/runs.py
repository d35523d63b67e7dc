"""The verbs about runs: demo, train, evaluate, report."""

from pathlib import Path
from typing import Annotated

import typer

from discern_vqa.commands._output import (
    Data,
    MovedData,
    Overrides,
    Profile,
    Run,
    is_first_process,
    profiled,
    progress_bars,
    say_next,
)


def demo(out: Annotated[Path, typer.Option(help="A folder for everything the demo makes.")] = Path("demo")) -> None:
    """Walk the whole road on drawn images.

    Draws phantoms, audits them, pre-trains, fine-tunes, evaluates with baselines, writes a report, answers a question.
    """
    from discern_vqa.experiments import demo as walk

    walk.run(out)


def train(
    recipe: Annotated[Path, typer.Argument(help="A recipe (TOML): a path, or the name of a shipped one.")],
    out: Annotated[Path, typer.Option(help="The run folder to write.")],
    data: Data = None,
    from_run: Annotated[Path | None, typer.Option("--from", help="Start from this run's weights.")] = None,
    overrides: Overrides = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where an interrupted training stopped.")] = False,
    profile: Profile = False,
) -> None:
    """Train a model as a recipe says.

    Pre-training and fine-tuning alike. An interrupted training goes on with --resume as if it had not stopped.
    """
    from discern_vqa.paths import find_recipe

    recipe_file = find_recipe(recipe)
    from discern_vqa.training.train import train as run_training

    with profiled(profile):
        run_training(recipe_file, data=data, from_run=from_run, overrides=overrides or [], out=out, resume=resume)
    if is_first_process():
        say_next("evaluate", str(out))


def evaluate(
    run: Run,
    data: MovedData = None,
    split: Annotated[str, typer.Option(help="Which split to judge on.")] = "test",
    baselines: Annotated[bool, typer.Option(help="Run the baselines and controls too.")] = True,
    model: Annotated[
        Path | None,
        typer.Option(help="Ask somebody else's model: a recipe of recipes/outside, from which RUN is made."),
    ] = None,
    overrides: Overrides = None,
    plan: Annotated[bool, typer.Option("--plan", help="Say what asking takes, and send nothing.")] = False,
    repeats: Annotated[int, typer.Option(help="Ask each question so many times.", metavar="K")] = 1,
    profile: Profile = False,
) -> None:
    """Judge a run on a split.

    Writes predictions and scores into the run's folder, and prints the scores with their intervals beside those of
    the baselines (which see less) and the controls (the model without the right image). With --model, somebody else's
    model is asked, and RUN is made; the same command goes on after an interruption. --set, --plan and --repeats are for
    such a model.
    """
    from discern_vqa.evaluation.outside_run import is_outside
    from discern_vqa.report.terminal import as_table

    def say(text: str) -> None:
        if is_first_process():
            typer.echo(text, err=True)

    if model is not None or overrides or plan or repeats != 1 or is_outside(run):
        from discern_vqa.evaluation.evaluate_outside import evaluate_outside, plan_outside

        if plan:
            with progress_bars() as progress:
                cost = plan_outside(
                    run,
                    model,
                    overrides=overrides or [],
                    data=data,
                    split=split,
                    repeats=repeats,
                    say=say,
                    progress=progress,
                )
            typer.echo("\n".join(cost.lines()))
            return
        with profiled(profile), progress_bars() as progress:
            scores = evaluate_outside(
                run,
                model,
                overrides=overrides or [],
                data=data,
                split=split,
                baselines=baselines,
                repeats=repeats,
                say=say,
                progress=progress,
            )
    else:
        from discern_vqa.evaluation.evaluate import evaluate as judge

        with profiled(profile):
            scores = judge(run, data=data, split=split, baselines=baselines, say=say)
    if is_first_process():
        typer.echo(as_table(scores))
        say_next("report", str(run))


def report(
    runs: Annotated[list[Path], typer.Argument(help="A run folder, or several to be compared.")],
    out: Annotated[Path | None, typer.Option(help="A folder for the page; default for one run: RUN/report.")] = None,
) -> None:
    """Write the report of a run, or of several.

    One HTML page that needs no other file, and the same as Markdown and JSON.
    """
    from discern_vqa.errors import ConfigError
    from discern_vqa.report.page import write_reports

    if out is None and len(runs) > 1:
        raise ConfigError(f"{len(runs)} runs need a folder for their page", hint="discern report RUN RUN --out DIR")
    typer.echo(f"report: {write_reports(runs, out if out is not None else runs[0] / 'report')}")
    say_next(*(_after_report(runs[0]) if len(runs) == 1 else ["compare", *map(str, runs)]))


def _after_report(run: Path) -> list[str]:
    """Calibrating, where that can be done; else the run's answers by all protocols."""
    from discern_vqa.files import read_json

    for file in sorted(run.glob("scores.*.json")):
        if (read_json(file).get("calibration") or {}).get("missing"):
            answers = run / f"predictions.{file.name.removeprefix('scores.').removesuffix('.json')}.jsonl"
            return ["score", str(answers), "--protocol", "all"]
    return ["calibrate", str(run)]
