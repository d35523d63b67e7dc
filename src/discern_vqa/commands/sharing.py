"""The verbs that make a run ready for others: export, push."""

from pathlib import Path
from typing import Annotated

import typer

from discern_vqa.commands._output import Run, say_next

Licence = Annotated[str, typer.Option("--license", help="The weights' licence, as the hub names it (cc-by-4.0, ...).")]


def export(
    run: Run,
    out: Annotated[Path, typer.Argument(help="The folder to write.")],
    licence: Licence = "",
) -> None:
    """Write a run as a folder for others.

    It holds what answers, its calibration and its model card; no question, no log, no folder of this machine. The
    folder opens as a run (`discern ask DIR IMAGE QUESTION`) and is what `discern push` uploads.
    """
    from discern_vqa.shared_folder import share

    shared = share(run, out, licence)
    for name in shared.files:
        typer.echo(f"  {name}")
    typer.echo(f"{out}: {len(shared.files)} files, {shared.size / 2**20:.1f} MiB, licence {shared.licence}")
    typer.echo(f"texts of the training data in it: {_counted(shared.texts)}")


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
    from discern_vqa.errors import ConfigError
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
