"""What the verbs about predictions share: options, and figures as a file."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

Json = Annotated[Path | None, typer.Option("--json", help="Also write the figures to this file.")]
Normalise = Annotated[str, typer.Option(help="How answers are compared: none, lower, m3ae, mevf.")]


def write_json(path: Path | None, content: dict[str, Any]) -> None:
    """Writes the figures, where a file is named."""
    from discern_vqa.files import atomic_write_text

    if path is not None:
        atomic_write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
