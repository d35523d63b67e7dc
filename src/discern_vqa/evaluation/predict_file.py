"""A file of questions is answered row by row: one line of answers for each row, whatever is wrong with some of them.

What was answered is kept in a journal beside the answers, batch by batch (`prediction_journal`); the answers are
written from it in one piece at the end (`answer_table`). Memory holds one batch of rows, however many there are.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discern_vqa.errors import ConfigError, DataError, DiscernError, RunError
from discern_vqa.evaluation.answer_table import check_out, names_of_ours, write_answers
from discern_vqa.evaluation.prediction_journal import Journal
from discern_vqa.evaluation.questions import Asked, Questions
from discern_vqa.files import sha256_of
from discern_vqa.paths import refuse_own_input
from discern_vqa.reading.shapes import LINES
from discern_vqa.timers import timed

if TYPE_CHECKING:
    from discern_vqa.evaluation.asked_run import OpenRun

BATCH = 64

Bring = Callable[[Sequence[Asked]], AbstractContextManager[Sequence[Asked]]]
"""Makes the images of a batch there, inside the block, and says in a row why its image is not."""


@dataclass(frozen=True)
class Predicted:
    """What became of a file of questions. `first_error`: of the first row without an answer. `notes`: what else the
    user should know."""

    rows: int
    errors: int
    first_error: str
    notes: tuple[str, ...]


def check(run: Path, questions: Path, out: Path) -> None:
    """Raises ConfigError or DataError for an `out` that cannot be: a name that says no format, an input, a file of the
    run. Opens neither questions nor model."""
    refuse_own_input(out, questions)
    if questions.is_dir() and out.resolve().is_relative_to(questions.resolve()):
        raise ConfigError(f"{out} lies in the folder of images", hint="name a file elsewhere")
    if out.exists() and out.resolve().is_relative_to(run.resolve()):  # what was evaluated would be lost
        raise ConfigError(
            f"{out} is a file of the run folder {run}, and would be overwritten", hint="name another file to write to"
        )
    check_out(out)


def predict_file(
    predictor: "OpenRun",
    questions: Questions,
    out: Path,
    *,
    mode: str = "",
    resume: bool = False,
    command: str = "discern predict RUN QUESTIONS --out OUT --resume",
    progress: Callable[[int, int], None] | None = None,
    bring: Bring = nullcontext,
) -> Predicted:
    """Answers all rows of `questions` into `out`.

    mode: a way of answering; none: the recipe's. resume: goes on with what an interrupted run has left. command: what
    the user types for that. progress: is told the rows that are done, and all of them. bring: for images
    that are no files yet.

    Raises:
        ConfigError: see `check`; there is no such way of answering.
        RunError: an interrupted run is there and `resume` is not given, or it is of other questions or another model;
            nothing of a whole batch could be answered, for a reason that is not in its rows.
    """
    check(predictor.folder, questions.path, out)
    check_out(out, questions.count)
    if mode and mode not in predictor.modes:
        raise ConfigError(f"the run cannot answer by {mode!r}", hint=f"it has: {', '.join(predictor.modes)}")
    errors, first_error, remarked = 0, "", list[str]()
    weights = predictor.weights_sha256
    with Journal(out, _identity(predictor, questions, mode), BATCH, questions.count) as journal:
        journal.begin(resume, command)
        to_come = islice(questions.rows(), journal.done, None)
        if progress is not None:
            progress(journal.done, questions.count)
        for rows in iter(lambda: list(islice(to_come, BATCH)), []):
            with bring(rows) as there:
                lines = _answered(predictor, there, mode, command)
            journal.add([line if "error" in line else line | {"weights_sha256": weights} for line in lines])
            predictor.forget([asked.sample for asked in rows if asked.sample is not None])
            if progress is not None:
                progress(journal.done, questions.count)

        def both() -> Iterator[tuple[Asked, Mapping[str, Any]]]:
            return zip(questions.rows(), journal.lines(), strict=True)

        with timed("saving"):
            notes = write_answers(out, questions, both)
        for asked, line in both():
            if "error" in line:
                errors += 1
                first_error = first_error or f"{asked.source}: {line['error']}"
            remarked += [f"{asked.source}: {note}" for note in line.get("notes", ())]
        journal.remove()
    told = (*_own_names(questions, out), *questions.notes, *notes, *_remarks(remarked, out))
    return Predicted(questions.count, errors, first_error, told)


def _remarks(remarks: Sequence[str], out: Path) -> list[str]:
    """What was not read of questions, or not written of answers: the first remark, and how many more there are."""
    if not remarks:
        return []
    if len(remarks) == 1:
        return [remarks[0]]
    where = f"`notes` of {out.name}" if out.suffix.lower() in LINES else "`notes` of an --out ending in .jsonl"
    return [f"{remarks[0]} (and {len(remarks) - 1:,} more remarks of the kind: {where})"]


def _own_names(questions: Questions, out: Path) -> list[str]:
    if out.suffix.lower() in LINES:
        return []
    return [
        f"your table has columns of the names of ours, so there is also {name}"
        for name in names_of_ours(questions.columns)
        if name.startswith("discern_")
    ]


def _answered(predictor: "OpenRun", rows: Sequence[Asked], mode: str, command: str) -> list[dict[str, Any]]:
    """A line for each row: the answer, or why there is none."""
    places = [place for place, asked in enumerate(rows) if asked.sample is not None]
    lines: list[dict[str, Any]] = [{"error": asked.problem} for asked in rows]
    unexpected: list[Exception] = []

    def answer(places: Sequence[int]) -> None:
        """The answers of these rows; where one spoils it for the others, each half by itself."""
        samples = [sample for place in places if (sample := rows[place].sample) is not None]
        try:
            answers = predictor.answer_judged(samples, mode)
        except DataError as error:
            if len(places) == 1:
                lines[places[0]] = {"error": str(error).removeprefix(f"{rows[places[0]].source}: ")}
                return
        except DiscernError:
            raise
        except Exception as error:  # of one row in thousands: the others are answered all the same
            if len(places) == 1:
                unexpected.append(error)
                lines[places[0]] = {"error": f"it could not be answered: {type(error).__name__}: {error}"}
                return
        else:
            for place, one in zip(places, answers, strict=True):
                lines[place] = predictor.line_of(one)
            return
        middle = len(places) // 2
        answer(places[:middle])
        answer(places[middle:])

    if places:
        answer(places)
    if unexpected and len(unexpected) == len(places):
        error = unexpected[0]
        raise RunError(
            f"{rows[places[0]].source}: no row from here on could be answered: {type(error).__name__}: {error}",
            hint=f"what was answered is kept; free memory or the GPU, then {command}",
        ) from error
    return lines


def _identity(predictor: "OpenRun", questions: Questions, mode: str) -> str:
    """A digest of all that the answers depend on but the images."""
    folder = predictor.folder
    files = sorted(file for pattern in ("*.json", "*.safetensors") for file in folder.glob(pattern))
    judged = ("predictions", "scores", "explanation", "features", "audit")
    about = [(file.name, sha256_of(file)) for file in files if not file.name.startswith(judged)]
    return hashlib.sha256(json.dumps([about, questions.digest, mode]).encode()).hexdigest()
