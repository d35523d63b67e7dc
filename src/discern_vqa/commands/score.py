"""`discern score`: the figures of anybody's predictions file. No run, no torch."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from discern_vqa.commands import _sets
from discern_vqa.commands._output import Json, Normalise, say_next, write_json
from discern_vqa.errors import ConfigError
from discern_vqa.paths import find_local_data, refuse_own_input

if TYPE_CHECKING:
    from discern_vqa.scoring.how_given import HowGiven
    from discern_vqa.scoring.predictions import Prediction


def score(
    predictions: Annotated[
        Path | None, typer.Argument(help="A predictions file, yours or another program's.", show_default=False)
    ] = None,
    root: Annotated[Path | None, typer.Argument(help="With --data NAME: its folder.", show_default=False)] = None,
    tool: Annotated[
        str,
        typer.Option(
            "--from",
            help="The program that wrote it, where the file does not show it: lmms-eval, vlmevalkit, medevalkit, "
            "llava-med, inspect or helm.",
            show_default=False,
        ),
    ] = "",
    columns: Annotated[
        list[str] | None, typer.Option(help="Which columns hold what: gold=answer,prediction=response.")
    ] = None,
    values: Annotated[list[str] | None, typer.Option(help="Answer types as written: CLOSED=closed,free=open.")] = None,
    data: Annotated[
        str | None,
        typer.Option(help="The data set that was asked: NAME ROOT, or a data.toml; adds images, types, true answers."),
    ] = None,
    options: Annotated[
        list[str] | None,
        typer.Option("--option", help="encoding, delimiter or sheet of a table.", metavar="KEY=VALUE"),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Also write the predictions as predictions.jsonl.")] = None,
    normalise: Normalise = "",
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

    Yours or anybody's: needs no run and no torch. docs/score.md shows the files of other programs, docs/metrics.md
    describes the figures and the protocols.
    """
    refuse_own_input(as_json, predictions, answers, check_table, out)
    refuse_own_input(out, predictions, answers)
    if check_table is not None:
        _check_table(check_table, counts, predictions, as_json)
        return
    if counts is not None:
        raise ConfigError("--counts belongs to --check-table", hint="discern score --check-table T.csv --counts 1/2")
    if answers is not None and protocol is None:
        raise ConfigError("--answers belongs to --protocol", hint="add --protocol all")
    if predictions is None:
        hint = "discern score PREDICTIONS.jsonl, or discern score --check-table table.csv"
        raise ConfigError("there is nothing to score", hint=hint)
    from discern_vqa.report import free_text as text_report
    from discern_vqa.report import terminal
    from discern_vqa.scoring import extraction, protocols
    from discern_vqa.scoring import free_text as written
    from discern_vqa.scoring import predictions as prediction_files
    from discern_vqa.scoring.how_given import HowGiven, pairs
    from discern_vqa.scoring.own_normaliser import is_of_run, own_normaliser

    names = protocols.chosen(protocol) if protocol is not None else []
    how = HowGiven(
        predictions,
        tool,
        pairs(columns or [], "--columns", "gold=answer,prediction=response"),
        pairs(values or [], "--values", "CLOSED=closed,OPEN=open"),
        pairs(options or [], "--option", "encoding=cp1252"),
    )
    how, rows, about, is_ours = _read(how, data, root)
    normalise = normalise or own_normaliser(predictions)
    taken = extraction.extract(rows)
    is_text = not is_of_run(predictions) and (not is_ours or extraction.is_free_text(rows, taken))
    if is_text:
        scores = text_report.score_text(rows, taken, predictions, normalise)
    else:
        scores = terminal.score_rows(rows, predictions, normalise)
    scores["read"] = about
    tables = ["\n".join(about)] if about else []
    if not names and not free_text and similarity is None:
        tables.append(text_report.as_text(scores) if is_text else terminal.as_table(scores))
    if names:
        known = protocols.read_answers(answers) if answers is not None else None
        scores["protocols"] = protocols.score_protocols(rows, names, known)
        tables.append(protocols.as_table(scores["protocols"]))
        if is_text and (warning := text_report.strict_warning(names, taken, len(rows))):
            tables.append(warning)
    if free_text or similarity is not None:
        near = None
        if similarity is not None:
            from discern_vqa.evaluation.similarity import similarities

            near = similarities(taken.rows if is_text else rows, similarity)
        scores["free_text"] = written.free_text(taken.rows if is_text else rows, normalise, near)
        tables.append(written.as_table(scores["free_text"]))
    if out is not None:
        prediction_files.write(out, rows)
        tables.append(f"wrote {out}")
    write_json(as_json, scores)
    typer.echo("\n\n".join(tables))
    if not names:
        say_next(*shlex.split(how.command())[1:], "--protocol", "all")


def _read(how: "HowGiven", data: str | None, root: Path | None) -> "tuple[HowGiven, list[Prediction], list[str], bool]":
    """How the file was read, its rows, sentences about them, and whether they are as this program writes them."""
    from dataclasses import replace

    from discern_vqa.scoring import given_files, tools
    from discern_vqa.scoring.joining import join

    if data is None:
        if root is not None:
            raise ConfigError(f"{root} is given without --data", hint=f"--data NAME {root} adds what the data set says")
        given = given_files.read(how.path, how)
        rows, notes = given.rows, list(given.notes)
    else:
        if root is None and Path(data).suffix != ".toml":
            root = find_local_data(data)
        named = _sets.named(data, root)
        parts = _sets.read_set(named.name, named.root, [], named.options)
        how = replace(how, data=named.typed)
        given = given_files.read(how.path, how, is_joined=True)
        joined = join(given, parts, named.title)
        rows, notes = joined.rows, [*given.notes, *joined.notes]
    given_files.require_truths(how.path, rows)
    notes += [note] if not given.is_ours and (note := given_files.image_note(rows)) else []
    if given.tool:
        notes.insert(0, f"read as {given.tool} ({tools.load(given.tool).SUMMARY})")
    renamed = {name: column for name, column in given.columns.items() if name != column}
    if renamed:
        notes.insert(0, "columns: " + ", ".join(f"{name} = {column}" for name, column in renamed.items()))
    return how, rows, notes, given.is_ours


def _check_table(table: Path, counts: str | None, predictions: Path | None, as_json: Path | None) -> None:
    from discern_vqa.scoring.table_check import as_text, check_table

    if predictions is not None:
        raise ConfigError("a table is checked without predictions", hint="discern score --check-table table.csv")
    checked = check_table(table, counts)
    write_json(as_json, checked)
    typer.echo(as_text(checked))
