"""The verb doctor."""

import json

import typer

from discern_vqa.commands._output import PrintJson, say_next


def doctor(as_json: PrintJson = False) -> None:
    """Say what this machine can do.

    Torch, processor, memory and GPUs; the data sets, weights and extras that were found.
    """
    from discern_vqa.doctor import as_text, examine

    facts = examine()
    typer.echo(json.dumps(facts, indent=2) if as_json else as_text(facts))
    if not as_json:
        say_next("data", "list")
