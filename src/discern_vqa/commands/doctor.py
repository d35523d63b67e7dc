"""The verb doctor."""

import json
from typing import Annotated

import typer


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Say what this machine can do.

    Torch, processor, memory and GPUs; the data sets, weights and extras that were found.
    """
    from discern_vqa.doctor import as_text, examine

    facts = examine()
    typer.echo(json.dumps(facts, indent=2) if as_json else as_text(facts))
