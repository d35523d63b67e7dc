"""`discern calibrate`: confidence that can be believed, fitted on questions that the model did not learn from."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from discern_vqa.commands._output import Json, MovedData, say_next, write_json
from discern_vqa.commands.explaining import FORMATS
from discern_vqa.errors import ConfigError
from discern_vqa.paths import refuse_own_input, refuse_same_output

if TYPE_CHECKING:
    from discern_vqa.scoring.predictions import Prediction
    from discern_vqa.trust.calibration import Calibration

FILE = "calibration.json"
"""`trust.calibration.FILE`, which is not imported here so that `--help` answers at once."""


def calibrate(
    source: Annotated[Path, typer.Argument(help="A run folder, or predictions on held-out questions (JSONL).")],
    on: Annotated[
        Path | None,
        typer.Option(help="Held-out predictions for the run, or another run: instead of its own validation."),
    ] = None,
    test: Annotated[
        Path | None, typer.Option(help="Measure on these predictions; for a run by default its test predictions.")
    ] = None,
    folds: Annotated[
        int,
        typer.Option(
            min=0,
            help="For a run that held nothing out: train it so many times more, each time without a part, and calibrate"
            " on the answers to the parts left out.",
            show_default=False,
        ),
    ] = 0,
    data: MovedData = None,
    coverage: Annotated[float, typer.Option(help="How often an answer set shall hold the true answer.")] = 0.9,
    accuracy: Annotated[
        float | None,
        typer.Option(help="Abstain so that the answers given are right so often; default: half the errors."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="For a file: the calibration to write (JSON).")] = None,
    figure: Annotated[Path | None, typer.Option(help="Draw reliability and risk-coverage (PNG or SVG).")] = None,
    normalise: Annotated[
        str | None, typer.Option(help="For a file: how answers are compared; default m3ae. A run has its recipe's.")
    ] = None,
    outside: Annotated[
        list[Path] | None,
        typer.Option(
            help="For a run: is a folder of images (or a text file of questions) told from what it was trained on?"
        ),
    ] = None,
    as_json: Json = None,
) -> None:
    """Calibrate confidence on held-out questions.

    Fits a temperature, answer sets with a stated coverage, and the confidence below which it would rather not answer.
    A run keeps them as calibration.json in its folder, where ask, predict and evaluate use it; and next to it what the
    images and questions are like that it was trained on (ood.json), for out-of-distribution detection. With --outside
    that alone is fitted, and measured.
    """
    if not source.exists():
        hint = "name a run folder, or a predictions file on held-out questions (JSONL)"
        raise ConfigError(f"there is neither a run folder nor a predictions file {source}", hint=hint)
    for file in (out, figure, as_json):
        refuse_own_input(file, source, on, test, source / "predictions.test.jsonl", *(outside or []))
    refuse_same_output({"--out": out, "--figure": figure, "--json": as_json, "the calibration": source / FILE})
    if figure is not None and figure.suffix.lower() not in FORMATS:
        hint = f"--figure {figure.stem}.png"
        raise ConfigError(f"--figure {figure}: expected a name in {', '.join(FORMATS)}", hint=hint)
    if folds == 1 or (folds and (on is not None or outside or not source.is_dir())):
        raise ConfigError(
            "--folds is for a run folder, without --on and --outside, and there are two folds or more",
            hint="discern calibrate RUN --folds 5",
        )
    if outside:
        options = {"--test": test, "--accuracy": accuracy, "--out": out, "--figure": figure, "--normalise": normalise}
        _refuse_with_outside(source, on, options)
        typer.echo(_detection(source, outside, data, as_json))
        say_next("report", str(source))
    elif source.is_dir():
        if out is not None or normalise is not None:
            raise ConfigError(
                "--out and --normalise are for a file; a run keeps its calibration and has its recipe's normaliser",
                hint=f"discern calibrate {source}",
            )
        from discern_vqa.evaluation.calibrate import calibrate_run

        made, rows = calibrate_run(source, on=on, data=data, coverage=coverage, target=accuracy, folds=folds, say=_say)
        own = source / "predictions.test.jsonl"
        test = test or (own if own.is_file() else None)
        _show(made, _measured_on(rows, test), test, source / FILE, figure, as_json)
        if on is None:
            typer.echo(f"\n{_detection(source, [], data, None)}")
        say_next("report", str(source))
    else:
        if on is not None:
            raise ConfigError("--on belongs to a run folder", hint="discern calibrate HELD_OUT.jsonl --test TEST.jsonl")
        from discern_vqa.scoring import predictions
        from discern_vqa.trust.calibration import Calibration

        rows = predictions.read(source)
        made = Calibration.fit(rows, normalise or "m3ae", coverage, accuracy, {"file": source.name})
        measured_on = _measured_on(rows, test)
        if out is not None:
            made.write(out)
        _show(made, measured_on, test, out, figure, as_json)


def _refuse_with_outside(source: Path, on: Path | None, options: dict[str, Path | float | str | None]) -> None:
    """Raises ConfigError for options that would do nothing, since with --outside nothing is calibrated."""
    if not source.is_dir() or on is not None:
        raise ConfigError("--outside is for a run folder, without --on", hint="discern calibrate RUN --outside DIR")
    if ignored := " and ".join(name for name, value in options.items() if value is not None):
        hint = "give them to a calibration without --outside; --json takes the figures of both"
        raise ConfigError(f"{ignored} would be ignored: with --outside nothing is calibrated", hint=hint)


def _measured_on(rows: "Sequence[Prediction]", test: Path | None) -> "Sequence[Prediction]":
    """The predictions `test`, or `rows` that were fitted on. Raises DataError where the two share a question."""
    from discern_vqa.scoring import predictions
    from discern_vqa.trust.calibration import refuse_shared

    if test is None:
        return rows
    measured_on = predictions.read(test)
    refuse_shared(rows, measured_on, str(test))
    return measured_on


def _show(
    made: "Calibration",
    rows: "Sequence[Prediction]",
    test: Path | None,
    written: Path | None,
    figure: Path | None,
    as_json: Path | None,
) -> None:
    """Prints what was fitted and what it does on `rows`, those of `test` where it is given; draws and writes what is
    named. written: where the calibration lies."""
    from discern_vqa.trust import calibration_view
    from discern_vqa.trust.calibration import describe_rows

    measured, raw = made.measure(rows), describe_rows(rows, made.normaliser)
    name = test.name if test is not None else "the questions it was fitted on (too good to be true)"
    if figure is not None:
        calibration_view.figure(measured, raw, name, figure)
    write_json(as_json, measured | {"raw": raw})
    typer.echo(f"{calibration_view.as_text(made)}\n\n{calibration_view.measured_text(measured, raw, name)}")
    for what, path in (("calibration", written), ("figure", figure)):
        if path is not None:
            typer.echo(f"{what}: {path}")


def _detection(run: Path, outside: list[Path], data: Path | None, as_json: Path | None) -> str:
    from discern_vqa.evaluation.ood_fit import fit_and_measure
    from discern_vqa.trust.ood import FIGURES, as_text

    content = fit_and_measure(run, outside, data, say=_say)
    write_json(as_json, content)
    written = "" if "missing" in content else f"\nout-of-distribution detection: {run / FIGURES}"
    return as_text(content) + written


def _say(text: str) -> None:
    typer.echo(text, err=True)
