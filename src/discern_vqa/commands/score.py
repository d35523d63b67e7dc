"""`discern score`: the figures of anybody's predictions file. No run, no torch."""

from pathlib import Path
from typing import Annotated

import typer

from discern_vqa.commands._output import Json, Normalise, say_next, write_json
from discern_vqa.errors import ConfigError
from discern_vqa.paths import refuse_own_input


def score(
    predictions: Annotated[
        Path | None, typer.Argument(help="A predictions file (JSONL), yours or anybody's.", show_default=False)
    ] = None,
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

    Yours or anybody's: needs no run and no torch. docs/metrics.md describes the file, the figures and the protocols.
    """
    refuse_own_input(as_json, predictions, answers, check_table)
    if check_table is not None:
        from discern_vqa.scoring.table_check import as_text
        from discern_vqa.scoring.table_check import check_table as check

        if predictions is not None:
            raise ConfigError("a table is checked without predictions", hint="discern score --check-table table.csv")
        checked = check(check_table, counts)
        write_json(as_json, checked)
        typer.echo(as_text(checked))
        return
    if counts is not None:
        raise ConfigError("--counts belongs to --check-table", hint="discern score --check-table T.csv --counts 1/2")
    if answers is not None and protocol is None:
        raise ConfigError("--answers belongs to --protocol", hint="add --protocol all")
    if predictions is None:
        hint = "discern score PREDICTIONS.jsonl, or discern score --check-table table.csv"
        raise ConfigError("there is nothing to score", hint=hint)
    from discern_vqa.report import terminal
    from discern_vqa.scoring import free_text as written
    from discern_vqa.scoring import predictions as prediction_files
    from discern_vqa.scoring import protocols
    from discern_vqa.scoring.own_normaliser import own_normaliser

    normalise = normalise or own_normaliser(predictions)
    names = protocols.chosen(protocol) if protocol is not None else []
    scores = terminal.score_file(predictions, normalise)
    tables = [terminal.as_table(scores)] if not names and not free_text and similarity is None else []
    rows = prediction_files.read(predictions)
    if names:
        known = protocols.read_answers(answers) if answers is not None else None
        scores["protocols"] = protocols.score_protocols(rows, names, known)
        tables.append(protocols.as_table(scores["protocols"]))
    if free_text or similarity is not None:
        near = None
        if similarity is not None:
            from discern_vqa.evaluation.similarity import similarities

            near = similarities(rows, similarity)
        scores["free_text"] = written.free_text(rows, normalise, near)
        tables.append(written.as_table(scores["free_text"]))
    write_json(as_json, scores)
    typer.echo("\n\n".join(tables))
    say_next("compare", str(predictions), "OTHER.jsonl")
