"""What the verbs share: options, figures as a file, and progress on stderr."""

import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from discern_vqa.durations import in_words
from discern_vqa.timers import profiling

Json = Annotated[Path | None, typer.Option("--json", help="Also write the figures to this file.")]
PrintJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Run = Annotated[Path, typer.Argument(help="A run folder, as `discern train` leaves it.")]
Data = Annotated[Path | None, typer.Option("--data", help="The data set's folder, or a data.toml.")]
MovedData = Annotated[Path | None, typer.Option("--data", help="The data set's folder, or a data.toml, if it moved.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="Change one key of the recipe.", metavar="KEY=VALUE")
]
Profile = Annotated[bool, typer.Option("--profile", help="Say in the end where the time went (to stderr).")]
Mode = Annotated[
    str, typer.Option("--mode", help="How: classify, classify_typed, generate, rank or hybrid; default: the run's own.")
]
Normalise = Annotated[
    str,
    typer.Option(
        help="How answers are compared: none, plain, lower, m3ae or mevf; default: as the run does, else m3ae.",
        show_default=False,
    ),
]

_EVERY_S = 10.0  # between lines of progress where the output is not a terminal


def _asked_run(given: str | Path) -> Path:
    """The folder of a run that is only asked: its own, or the copy in the hub's cache."""
    from discern_vqa import hub

    return hub.fetch(given) if isinstance(given, str) and given.startswith(hub.PREFIX) else Path(given)


AskedRun = Annotated[
    Path,
    typer.Argument(
        parser=_asked_run,
        metavar="RUN",
        help="A run folder, an export to ONNX, or hf://ORG/NAME of the Hugging Face hub.",
    ),
]


def write_json(path: Path | None, content: dict[str, Any]) -> None:
    from discern_vqa.files import atomic_write_text

    if path is not None:
        atomic_write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def say_next(*words: str, err: bool = False) -> None:
    """The command that usually comes next, as it is typed; `err`: to stderr, where an answer stands on stdout."""
    typer.echo(f"next: {shlex.join(['discern', *words])}", err=err)


def is_first_process() -> bool:
    """Whether this process speaks, of those that a launcher started together."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def profiled(wanted: bool) -> Iterator[None]:
    """Where the block's time went, as a table on stderr; also of one that failed or was interrupted."""
    if not wanted or not is_first_process():
        yield
        return
    with profiling() as timers:
        try:
            yield
        finally:
            timers.stop()
            typer.echo("\n".join(timers.lines()), err=True)


@contextmanager
def progress_bars() -> Iterator[Callable[[str, int, int], None]]:
    """A bar on stderr; where that is not a terminal, a line every ten seconds with the time left."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    tasks: dict[str, Any] = {}
    begun: dict[str, tuple[float, int]] = {}  # when, and how much had been done before
    last_line = time.monotonic()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:

        def update(what: str, done: int, total: int) -> None:
            nonlocal last_line
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
                begun[what] = (time.monotonic(), done)
            bar.update(tasks[what], completed=done)
            if not console.is_terminal and time.monotonic() - last_line > _EVERY_S:
                last_line = time.monotonic()
                start, before = begun[what]
                left = (last_line - start) * (total - done) / max(1, done - before)
                print(f"{what}: {done:,} of {total:,}, {in_words(left)} left", file=sys.stderr, flush=True)

        yield update
