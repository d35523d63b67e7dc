"""The command `discern`: the verbs, and how a user's mistake is said.

A mistake is two lines on stderr, `error: ...` (what was given, what was expected) and `try: ...` (what to type next),
and exit code 2; an interrupt exits with 130 and says how to go on. A traceback is a bug of ours.
"""

import re
import shlex
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from discern_vqa.commands import (
    answers,
    calibrate,
    compare,
    data,
    dicom,
    doctor,
    experiments,
    explaining,
    new,
    predict,
    recipes,
    runs,
    score,
    serve,
    sharing,
    start,
    tasks,
)
from discern_vqa.errors import DiscernError
from discern_vqa.version import __version__

MISTAKE, INTERRUPTED = 2, 130
OTHER_WORDS = {
    "answer": "ask",
    "check": "data audit",
    "diff": "compare",
    "download": "data get",
    "eval": "evaluate",
    "fit": "train",
    "generate": "data draw",
    "heatmap": "explain",
    "infer": "predict",
    "inference": "predict",
    "info": "doctor",
    "metrics": "score",
    "show": "data look",
    "test": "evaluate",
    "tune": "experiment search",
    "validate": "evaluate",
    "view": "data look",
}
"""What people type for a command of another name."""

# The parser's own complaint about a command line; typer exports only this child of it.
UsageError: type[Exception] = typer.BadParameter.__mro__[1]

app = typer.Typer(
    name="discern",
    help="Medical visual question answering that can be trusted: train, judge and ask. Research software: not for"
    " diagnosis.",
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
app.command()(start.start)
app.command()(runs.demo)
app.add_typer(data.app, name="data")
app.add_typer(recipes.app, name="recipe")
app.add_typer(new.app, name="new")
app.command()(runs.train)
app.command()(runs.evaluate)
app.command()(score.score)
app.command()(compare.compare)
app.command()(calibrate.calibrate)
app.command()(runs.report)
app.add_typer(experiments.app, name="experiment")
app.command()(answers.ask)
app.command()(predict.predict)
app.command()(explaining.explain)
app.command()(dicom.dicom)
app.command()(serve.serve)
app.command()(sharing.export)
app.command()(sharing.push)
app.command()(tasks.export_tasks)
app.command()(doctor.doctor)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"discern {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line; returns its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        status = typer.main.get_command(app).main(args=given, prog_name="discern", standalone_mode=False)
    except DiscernError as error:
        return _complain(str(error), error.hint, MISTAKE)
    except UsageError as error:
        return _complain(*_usage_in_two_lines(error), MISTAKE)
    except (KeyboardInterrupt, typer.Abort):
        status = INTERRUPTED
    if status == INTERRUPTED:
        return _complain("interrupted; every file is whole, and what was finished is kept", _go_on(given), INTERRUPTED)
    return status if isinstance(status, int) else 0


def _complain(message: str, hint: str, status: int) -> int:
    """Two lines on stderr, whatever the lengths; several mistakes stay on the first one."""
    sys.stdout.flush()
    for word, text in (("error", message), ("try", hint or "discern --help")):
        print(f"{word}: {'; '.join(part.strip() for part in text.splitlines() if part.strip())}", file=sys.stderr)
    return status


def _usage_in_two_lines(error: Exception) -> tuple[str, str]:
    """The parser's complaint, its suggestion of a near name moved to the hint."""
    text = str(error.format_message()) if hasattr(error, "format_message") else str(error)
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "discern"
    if (unknown := re.match(r"No such command '(.+?)'", text)) and (meant := _meant(unknown[1])):
        return text.partition(". Did you mean")[0], f"discern {meant} --help"
    suggestion = re.search(r"[.?]?\s+\(?(?:Did you mean|Possible options:)\s*(.+?)[?)]+$", text)
    if suggestion is None:
        return text, f"{path} --help"
    names = suggestion.group(1).replace("'", "")
    return text[: suggestion.start()], f"did you mean {names}? ({path} --help lists all)"


def _meant(word: str) -> str:
    """The command that somebody means by a word that is none: one of a group, or one of another name; "" for none."""
    groups = {
        name: typer.main.get_command(group) for name, group in (("data", data.app), ("experiment", experiments.app))
    }
    inner = {name: f"{outer} {name}" for outer, group in groups.items() for name in getattr(group, "commands", {})}
    return (inner | OTHER_WORDS).get(word.lower(), "")


def _go_on(given: list[str]) -> str:
    """The command line that continues where the interrupted one stopped."""
    resumed = ["--resume"] if given[:1] in (["train"], ["predict"]) and "--resume" not in given else []
    return shlex.join(["discern", *given, *resumed])


if __name__ == "__main__":
    sys.exit(main())
