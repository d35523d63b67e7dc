"""The verbs about predictions: score anybody's, compare several, calibrate a run. But for a run's own, no torch."""

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from discern_vqa.commands.explaining import FORMATS
from discern_vqa.errors import ConfigError
from discern_vqa.paths import refuse_own_input, refuse_same_output

Json = Annotated[Path | None, typer.Option("--json", help="Also write the figures to this file.")]
FILE = "calibration.json"
"""`trust.calibration.FILE`: a run's calibration, in its folder."""
Normalise = Annotated[str, typer.Option(help="How answers are compared: none, lower, m3ae, mevf.")]


def score(
    predictions: Annotated[
        Path | None, typer.Argument(help="A predictions file (JSONL), yours or anybody's.", show_default=False)
    ] = None,
    normalise: Normalise = "m3ae",
    protocol: Annotated[
        str | None, typer.Option(help="Score by published protocols, side by side: A,B or all.")
    ] = None,
    answers: Annotated[
        Path | None, typer.Option(help="What the model can answer: a run folder, or a file with a line each.")
    ] = None,
    free_text: Annotated[
        bool, typer.Option("--free-text", help="Score as written text: tokens, BLEU, ROUGE-L.")
    ] = False,
    similarity: Annotated[
        str | None, typer.Option(help="With free text: a local sentence encoder, e.g. all-minilm-l6-v2.")
    ] = None,
    check_table: Annotated[
        Path | None, typer.Option(help="Check a printed table (CSV): which rows cannot be true.")
    ] = None,
    counts: Annotated[str | None, typer.Option(help="With --check-table: open/closed questions, e.g. 179/272.")] = None,
    as_json: Json = None,
) -> None:
    """Score a predictions file.

    Yours or anybody's: needs no run and no torch. docs/metrics.md describes the file, the figures and the protocols.
    """
    refuse_own_input(as_json, predictions, answers, check_table)
    if check_table is not None:
        from discern_vqa.scoring.table_check import as_text
        from discern_vqa.scoring.table_check import check_table as check

        if predictions is not None:
            raise ConfigError("a table is checked without predictions", hint="discern score --check-table table.csv")
        checked = check(check_table, counts)
        _write(as_json, checked)
        typer.echo(as_text(checked))
        return
    if counts is not None:
        raise ConfigError("--counts belongs to --check-table", hint="discern score --check-table T.csv --counts 1/2")
    if answers is not None and protocol is None:
        raise ConfigError("--answers belongs to --protocol", hint="add --protocol all")
    if predictions is None:
        hint = "discern score PREDICTIONS.jsonl, or discern score --check-table table.csv"
        raise ConfigError("there is nothing to score", hint=hint)
    typer.echo("\n\n".join(_scored(predictions, normalise, protocol, answers, free_text, similarity, as_json)))


def _scored(
    path: Path,
    normalise: str,
    protocol: str | None,
    answers: Path | None,
    free_text: bool,
    similarity: str | None,
    as_json: Path | None,
) -> list[str]:
    from discern_vqa.report import terminal
    from discern_vqa.scoring import free_text as written
    from discern_vqa.scoring import predictions, protocols

    names = protocols.chosen(protocol) if protocol is not None else []
    scores = terminal.score_file(path, normalise)
    tables = [terminal.as_table(scores)] if not names and not free_text and similarity is None else []
    rows = predictions.read(path)
    if names:
        known = protocols.read_answers(answers) if answers is not None else None
        scores["protocols"] = protocols.score_protocols(rows, names, known)
        tables.append(protocols.as_table(scores["protocols"]))
    if free_text or similarity is not None:
        near: Any = None
        if similarity is not None:
            from discern_vqa.evaluation.similarity import similarities

            near = similarities(rows, similarity)
        scores["free_text"] = written.free_text(rows, normalise, near)
        tables.append(written.as_table(scores["free_text"]))
    _write(as_json, scores)
    return tables


def compare(
    models: Annotated[
        list[str], typer.Argument(help="Run folders or predictions files; several seeds of one: NAME=PATH,PATH.")
    ],
    split: Annotated[str, typer.Option(help="Which predictions of a run folder.")] = "test",
    normalise: Normalise = "m3ae",
    as_json: Json = None,
) -> None:
    """Compare models on the same questions.

    Paired tests against the first one named, clustered by image and corrected for their number; says in words what can
    be told apart, and what difference could have been found.
    """
    from discern_vqa.scoring import compare as comparing

    for path in map(Path, [*models, *(path for model in models for path in model.partition("=")[2].split(","))]):
        refuse_own_input(as_json, path, path / f"predictions.{split}.jsonl")
    compared = comparing.compare(comparing.read_answerers(models, split), normalise)
    _write(as_json, compared)
    typer.echo(comparing.as_text(compared))


def calibrate(
    source: Annotated[Path, typer.Argument(help="A run folder, or predictions on held-out questions (JSONL).")],
    on: Annotated[
        Path | None,
        typer.Option(help="Held-out predictions for the run, or another run: instead of its own validation."),
    ] = None,
    test: Annotated[
        Path | None, typer.Option(help="Measure on these predictions; for a run by default its test predictions.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="The data set's folder, if it moved.")] = None,
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
            help="For a run: is a folder of pictures (or a text file of questions) told from what it was trained on?"
        ),
    ] = None,
    as_json: Json = None,
) -> None:
    """Calibrate confidence on held-out questions.

    Fits a temperature, answer sets with a stated coverage, and the confidence below which it would rather not answer.
    A run keeps them as calibration.json in its folder, where ask, predict and evaluate use it; beside them what is like
    the pictures and questions it was trained on (ood.json). With --outside that alone is fitted, and measured.
    """
    if not os.path.exists(source):
        hint = "name a run folder, or a predictions file on held-out questions (JSONL)"
        raise ConfigError(f"there is neither a run folder nor a predictions file {source}", hint=hint)
    own = source / "predictions.test.jsonl"
    for written_to in (out, figure, as_json):
        refuse_own_input(written_to, source, on, test, own, *(outside or []))
    refuse_same_output({"--out": out, "--figure": figure, "--json": as_json, "the calibration": source / FILE})
    if figure is not None and figure.suffix.lower() not in FORMATS:
        hint = f"--figure {figure.stem}.png"
        raise ConfigError(f"--figure {figure}: expected a name in {', '.join(FORMATS)}", hint=hint)
    if outside:
        if not source.is_dir() or on is not None:
            raise ConfigError("--outside is for a run folder, without --on", hint="discern calibrate RUN --outside DIR")
        others = {"--test": test, "--accuracy": accuracy, "--out": out, "--figure": figure, "--normalise": normalise}
        given = [name for name, value in others.items() if value is not None]
        if given:
            raise ConfigError(
                f"{' and '.join(given)} would be ignored: with --outside nothing is calibrated",
                hint="give them to a calibration without --outside; --json takes the figures of both",
            )
        typer.echo(_scope(source, outside, data, as_json))
        return
    from discern_vqa.scoring import predictions
    from discern_vqa.trust import calibration, calibration_view

    if source.is_dir():
        from discern_vqa.evaluation.calibrate import calibrate_run

        if out is not None or normalise is not None:
            raise ConfigError(
                "--out and --normalise are for a file; a run keeps its calibration and has its recipe's normaliser",
                hint=f"discern calibrate {source}",
            )
        made, rows = calibrate_run(
            source, on=on, data=data, coverage=coverage, target=accuracy, say=lambda text: typer.echo(text, err=True)
        )
        test = test or (own if own.is_file() else None)
    else:
        if on is not None:
            raise ConfigError("--on belongs to a run folder", hint="discern calibrate HELD_OUT.jsonl --test TEST.jsonl")
        rows = predictions.read(source)
        made = calibration.Calibration.fit(rows, normalise or "m3ae", coverage, accuracy, {"file": source.name})
    judged = predictions.read(test) if test is not None else rows
    if test is not None:
        calibration.refuse_shared(rows, judged, str(test))
    if out is not None:
        made.write(out)
    measured, raw = made.measure(judged), calibration.describe_rows(judged, made.normaliser)
    name = test.name if test is not None else "the questions it was fitted on (too good to be true)"
    if figure is not None:
        calibration_view.figure(measured, raw, name, figure)
    _write(as_json, measured | {"raw": raw})
    typer.echo(f"{calibration_view.as_text(made)}\n\n{calibration_view.measured_text(measured, raw, name)}")
    written = source / FILE if source.is_dir() else out
    for what, path in (("calibration", written), ("figure", figure)):
        if path is not None:
            typer.echo(f"{what}: {path}")
    if source.is_dir() and on is None:
        typer.echo(f"\n{_scope(source, [], data, None)}")


def _scope(run: Path, outside: list[Path], data: Path | None, as_json: Path | None) -> str:
    """What is like what the run was trained on, fitted and measured, as text."""
    from discern_vqa.evaluation.ood_fit import fit_and_measure
    from discern_vqa.trust.ood import FIGURES, as_text

    content = fit_and_measure(run, outside, data, say=lambda text: typer.echo(text, err=True))
    _write(as_json, content)
    return as_text(content) + ("" if "missing" in content else f"\nscope: {run / FIGURES}")


def _write(path: Path | None, content: dict[str, Any]) -> None:
    from discern_vqa.files import atomic_write_text

    if path is not None:
        atomic_write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
