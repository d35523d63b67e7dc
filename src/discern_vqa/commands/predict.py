"""The verb that answers a table of questions, or a folder of images."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from discern_vqa.commands._archive import DicomWeb, open_archive
from discern_vqa.commands._output import AskedRun, Mode, Profile, profiled, progress_bars, say_next
from discern_vqa.commands._sets import parsed
from discern_vqa.commands.answers import DISCLAIMER
from discern_vqa.errors import ConfigError, DiscernError
from discern_vqa.files import read_json
from discern_vqa.run_folder import CONFIG, is_onnx, require_asked

if TYPE_CHECKING:
    from discern_vqa.evaluation.predict_file import Predicted
    from discern_vqa.evaluation.question_columns import Known

DONE, NOTHING_ANSWERED = 0, 1


def predict(
    run: AskedRun,
    questions: Annotated[
        Path, typer.Argument(help="A table of questions (.csv, .tsv, .xlsx, .jsonl), or a folder of images.")
    ],
    to: Annotated[Path | None, typer.Argument(metavar="[OUT]", help="The same as --out.", show_default=False)] = None,
    out: Annotated[
        Path | None, typer.Option(help="The file of answers to write: .csv, .tsv, .xlsx or .jsonl, as it is named.")
    ] = None,
    question: Annotated[
        list[str] | None, typer.Option(help="For a folder of images: asked about each; may be repeated.")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--option",
            help="How the table is read, may be repeated: columns.image=NAME, columns.question=NAME, columns.id=NAME,"
            " images=FOLDER, delimiter=';', encoding=cp1252, sheet=NAME.",
            metavar="KEY=VALUE",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="A data.toml: the table is read as it says, and images are looked for beside its data too."),
    ] = None,
    mode: Mode = "",
    resume: Annotated[bool, typer.Option("--resume", help="Go on where an interrupted run stopped.")] = False,
    dicomweb: DicomWeb = "",
    profile: Profile = False,
) -> None:
    """Answer a table of questions.

    Your columns come back in their order, with answer, confidence, abstains, outside and error behind them; a row that
    cannot be answered says why in error. JSON Lines have all that the model says. Exit code 1: no row was answered.
    With --dicomweb the column of images holds study/series/instance.
    """
    if (out is None) == (to is None):
        raise ConfigError("predict writes to one file", hint=f"discern predict {run} {questions} --out answers.csv")
    target = out or to
    assert target is not None
    require_asked(run, finished=False)
    from discern_vqa.evaluation.answer_table import check_out
    from discern_vqa.evaluation.predict_file import check, predict_file
    from discern_vqa.evaluation.questions import look_through

    check(run, questions, target)
    given = look_through(questions, question or [], parsed(option or []), _known(run, data), dicomweb)
    check_out(target, given.count)
    typed = {"--option": option or [], "--question": question or [], "--mode": [mode] if mode else []}
    typed["--data"] = [] if data is None else [str(data)]
    typed["--dicomweb"] = [dicomweb] if dicomweb else []
    words = ["discern", "predict", str(run), str(questions), "--out", str(target)]
    words += [word for name, values in typed.items() for value in values for word in (name, value)]
    from discern_vqa.evaluation.opening import open_to_ask

    command = shlex.join([*words, "--resume"])
    with profiled(profile), open_archive(dicomweb, command) as bring, progress_bars() as progress:
        predictor = open_to_ask(run)
        made = predict_file(
            predictor,
            given,
            target,
            mode=mode,
            resume=resume,
            command=command,
            progress=lambda done, total: progress("answering", done, total),
            bring=bring,
        )
    is_calibrated, is_refit = predictor.calibration is not None, predictor.is_refit
    for note in [*made.notes, *([] if is_calibrated else [predictor.uncalibrated])]:
        typer.echo(f"NOTE: {note}", err=True)
    typer.echo(_counted(made))
    typer.echo(f"predictions: {target}\n{DISCLAIMER}")
    if not is_onnx(run):
        say_next(*(["report", str(run)] if is_calibrated else ["calibrate", str(run), *["--folds", "5"] * is_refit]))
    raise typer.Exit(NOTHING_ANSWERED if made.errors == made.rows else DONE)


def _known(run: Path, data: Path | None) -> "Known":
    """How a table like this one is read: as the data.toml says, or else as the data that the run learned from."""
    from discern_vqa import data_file
    from discern_vqa.evaluation.question_columns import Known

    if data is None:
        try:
            options = read_json(run / CONFIG)["data"]["options"]
        except (DiscernError, LookupError, TypeError):  # what is wrong with a run is said when it is opened
            return Known()
        return Known(options) if isinstance(options, dict) else Known()
    if not data_file.is_data_file(data):
        raise ConfigError(f"--data {data} is no data.toml", hint="discern start FOLDER writes one")
    content = data_file.read(data)
    root = content.root_at(data)
    folder = root if root.is_dir() else root.parent
    known = Known(content.options)
    return Known(content.options, folder / known.text("images"))


def _counted(made: "Predicted") -> str:
    rows = f"{made.rows:,} row{'s' * (made.rows != 1)}"
    if not made.errors:
        return f"{rows} answered"
    return f"{made.rows - made.errors:,} of {rows} answered; {made.errors:,} not, the first: {made.first_error}"
