"""The verbs that make a run ready for others: export, push."""

import signal
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from discern_vqa.commands._output import MovedData, Run, say_next
from discern_vqa.errors import ConfigError

Licence = Annotated[str, typer.Option("--license", help="The weights' licence, as the hub names it (cc-by-4.0, ...).")]


class Format(StrEnum):
    """What `export` writes."""

    RUN = "run"
    ONNX = "onnx"


def export(
    run: Run,
    out: Annotated[Path, typer.Argument(help="The folder to write.")],
    licence: Licence = "",
    to: Annotated[Format, typer.Option(help="run: a run folder; onnx: graphs that answer without torch.")] = Format.RUN,
    int8: Annotated[
        bool, typer.Option("--int8", help="With --to onnx: weights of 8 bits, if they are as good.")
    ] = False,
    data: MovedData = None,
) -> None:
    """Write a run as a folder for others.

    It holds what answers, its calibration and its model card; no question, no log, no folder of this machine. The
    folder opens as a run (`discern ask DIR IMAGE QUESTION`) and is what `discern push` uploads. With --to onnx it holds
    graphs for onnxruntime, compared with the run on 32 of its held-out questions; ask, predict and serve take it.
    """
    if to is Format.ONNX:
        _export_onnx(run, out, licence, int8, data)
        return
    if int8 or data is not None:
        raise ConfigError(f"{'--int8' if int8 else '--data'} is for --to onnx", hint="add --to onnx, or leave it out")
    from discern_vqa.shared_folder import share

    shared = share(run, out, licence)
    for name in shared.files:
        typer.echo(f"  {name}")
    typer.echo(f"{out}: {len(shared.files)} files, {shared.size / 2**20:.1f} MiB, licence {shared.licence}")
    typer.echo(f"texts of the training data in it: {_counted(shared.texts)}")


def _export_onnx(run: Path, out: Path, licence: str, int8: bool, data: Path | None) -> None:
    from discern_vqa.onnx_export.export import export as export_onnx

    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # leaves nothing half made, as an interrupt does
    try:
        made = export_onnx(
            run, out, data=data, int8=int8, licence=licence, say=lambda text: typer.echo(f"{text} ...", err=True)
        )
    finally:
        signal.signal(signal.SIGTERM, before)
    for name, size in made.files.items():
        taken = made.ms.get(name.removesuffix(".onnx"))
        told = f"  {taken['onnxruntime']:.1f} ms (torch {taken['torch']:.1f} ms)" if taken else ""
        typer.echo(f"  {name}  {size / 2**20:.1f} MiB{told}")
    parity = made.parity
    typer.echo(
        f"{parity.same_answers} of {parity.questions} {parity.part} questions get the run's answer, in batches of"
        f" {', '.join(map(str, parity.batches))}; the largest difference between probabilities is"
        f" {parity.largest_difference:.1g}"
    )
    if made.int8 is not None:
        typer.echo(made.int8.in_words)
    say_next("ask", str(out), "IMAGE", "QUESTION")


def push(
    run: Run,
    name: Annotated[str, typer.Argument(help="The repository on the Hugging Face hub: ORG/NAME.")],
    licence: Licence = "",
    private: Annotated[bool, typer.Option("--private", help="Only you and your organisation can see it.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Upload without asking.")] = False,
    checked: Annotated[
        bool, typer.Option("--i-checked", help="You have read every text below: nothing in it is about a person.")
    ] = False,
) -> None:
    """Put a run on the Hugging Face hub.

    Shows every file and every text that would leave this machine, and asks. A run on your own data needs --i-checked:
    answers and words that it learned may name people.
    """
    import tempfile

    from discern_vqa import hub
    from discern_vqa.shared_folder import share

    repo = hub.repository(name)
    with tempfile.TemporaryDirectory(prefix="discern-") as folder:
        shared = share(run, Path(folder) / "run", licence)
        for file in shared.files:
            typer.echo(f"  {file}")
        for what, texts in shared.texts.items():
            typer.echo(f"{what} ({len(texts):,}): {' | '.join(texts)}")
        if shared.is_own_data and not checked:
            raise ConfigError(
                f"{run} learned from your own data: the texts above would be public with it",
                hint=f"read them; then discern push {run} {repo} --i-checked",
            )
        to_whom = "your organisation" if private else "everybody"
        if not yes and not typer.confirm(f"Show this to {to_whom} as {repo}, licence {shared.licence}?"):
            raise typer.Abort
        typer.echo(hub.push(shared, repo, private=private, say=typer.echo))
    say_next("ask", f"{hub.PREFIX}{repo}", "IMAGE", "QUESTION")


def _counted(texts: dict[str, list[str]]) -> str:
    return ", ".join(f"{len(entries):,} {what}" for what, entries in texts.items()) or "none"
