"""`predictions.jsonl`: one line per question, what was asked, what is true, what was answered. No torch here.

The schema is the bridge between any program and our figures; five lines of any language write it:

    {"id": "17", "image": "synpic54610.jpg", "question": "Is there a fracture?", "gold": "no",
     "answer_type": "closed", "question_type": "PRES", "organ": "chest",
     "prediction": "no", "score": 0.93, "alternatives": [["no", 0.93], ["yes", 0.06]]}

(on one line each). `id`, `image`, `gold`, `answer_type` and `prediction` must be there; the rest may be left out, and
further keys are passed over. `accepted` lists further true answers, where the data set has several, `options` the
answers that were offered. `twin`,
`phrase_type` and `mask` mean what they mean in `data.sample.Sample`; `others` is the number of further answers that
share what the alternatives leave of 1.
"""

import json
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from discern_vqa.data.answers import Answer
from discern_vqa.data.sample import CHOICE, CLOSED, OPEN, Sample
from discern_vqa.errors import DataError
from discern_vqa.files import atomic_write_text
from discern_vqa.reading.records import parse_json, shown

REQUIRED = ("id", "image", "gold", "answer_type", "prediction")
_TEXT = (*REQUIRED, "question", "question_type", "organ", "twin", "phrase_type", "mask", "mode")
_ONLY_WHEN_SET = ("twin", "phrase_type", "mask", "others", "mode", "accepted", "options")
ANSWER_TYPES = (OPEN, CLOSED, CHOICE, "")
_ONE_A_LINE = "one object a line, not one list: discern score FILE --out predictions.jsonl writes it so"
_MOST_OTHERS = 10**9  # no table is longer, and what is reckoned with must fit into a float


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One question, its true answer and the answer that was given; "" is none."""

    id: str  # unique in its file
    image: str  # its identity; intervals are clustered by it
    gold: str  # the true answer, as the data set has it
    answer_type: str  # "open", "closed", "choice", or "" where the data set does not say
    prediction: str  # an empty answer is never right
    question: str = ""
    question_type: str = ""  # the primary one
    organ: str = ""
    score: float | None = None  # in [0, 1]
    alternatives: tuple[tuple[str, float], ...] = ()  # answers with their scores, best first, the given one included
    twin: str = ""  # id of the pair of questions that this one belongs to
    phrase_type: str = ""  # "freeform", "para" or "frame"
    mask: str = ""  # path of the finding's mask, relative to the data set's root
    others: int | None = None  # how many further answers share what the alternatives leave of 1; None: not known
    mode: str = ""  # the way of answering, where there are several
    accepted: tuple[str, ...] = ()  # further answers that are as true as `gold`
    options: tuple[str, ...] = ()  # the answers that were offered, in their order (A, B, ...); empty where none were

    @property
    def truths(self) -> tuple[str, ...]:
        """Every answer that is true, `gold` first."""
        return (self.gold, *self.accepted)


def from_answers(samples: Sequence[Sample], answers: Sequence[Answer]) -> list[Prediction]:
    """Puts each sample's answer beside what was asked. One answer per sample, in the same order."""
    return [
        Prediction(
            id=sample.id,
            image=sample.image,
            gold=sample.answer,
            answer_type=sample.answer_type,
            prediction=answer.text,
            question=sample.question,
            question_type=sample.kind,
            organ=sample.organ,
            score=None if math.isnan(answer.score) else answer.score,
            alternatives=answer.alternatives,
            twin=sample.twin,
            phrase_type=sample.phrase_type,
            mask=sample.mask,
            others=answer.others,
            mode=answer.mode,
            accepted=tuple(text for text in sample.extra.get("accepted", ()) if text != sample.answer),
            options=sample.choices,
        )
        for sample, answer in zip(samples, answers, strict=True)
    ]


def write(path: Path, rows: Iterable[Prediction]) -> None:
    """Writes the file, whole or not at all. Raises DataError as `as_text` does."""
    atomic_write_text(Path(path), as_text(rows))


def as_text(rows: Iterable[Prediction]) -> str:
    """What the file holds. Raises DataError when two rows share an id: no reader would accept it."""
    rows = list(rows)
    seen: set[str] = set()
    for row in rows:
        if row.id in seen:
            raise DataError(f"two predictions have the id {row.id!r}", hint="give every question an id of its own")
        seen.add(row.id)
    return "".join(_line(row) for row in rows)


def read(path: Path) -> list[Prediction]:
    """Reads the file. Raises DataError with file and line at the first line that is not as the schema says."""
    path = Path(path)
    if os.path.isdir(path):  # where Path.is_dir may raise, as for a name that is too long
        raise DataError(f"{path} is a folder; a predictions file is expected", hint=inside(path))
    absent = "`discern evaluate RUN` writes predictions.<split>.jsonl"
    text = read_text_of(path, hint="a predictions file is UTF-8 text, one object a line", absent=absent)
    lines = text.split("\n")  # splitlines() would cut inside a text at U+2028
    rows: list[Prediction] = []
    first_line: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        row = _parse(line, f"{path}:{number}")
        if row.id in first_line:
            raise DataError(
                f"{path}:{number}: the id {shown(row.id)} stands already in line {first_line[row.id]}",
                hint="every question is answered once: remove one of the two lines, or give it an id of its own",
            )
        first_line[row.id] = number
        rows.append(row)
    if not rows:
        raise DataError(f"{path} holds no predictions", hint="write one JSON object per question, one per line")
    return rows


def read_text_of(path: Path, hint: str, absent: str = "") -> str:
    """The text of a file that the user names. Raises DataError with `hint`; where there is no file, with `absent`."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"there is no file {path}", hint=absent or hint) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {error}", hint=hint) from error


def inside(folder: Path) -> str:
    """Which file of a folder is meant, or what makes it."""
    file = folder / "predictions.test.jsonl"
    return f"name the file: {file}" if file.is_file() else f"first: discern evaluate {folder}, then name {file}"


def _line(row: Prediction) -> str:
    unset = ("", None, ())
    fields = {key: value for key, value in asdict(row).items() if value not in unset or key not in _ONLY_WHEN_SET}
    return json.dumps(fields, ensure_ascii=False, allow_nan=False) + "\n"


def _parse(line: str, where: str) -> Prediction:
    whole = line.lstrip().startswith("[") or line.strip() == "{"
    fields = parse_json(line, where, lines=False, hint=_ONE_A_LINE if whole else "each line is one object")
    if not isinstance(fields, dict):
        raise DataError(f"{where}: expected an object {{...}}, found {_what(fields)}", hint=_ONE_A_LINE)
    missing = [key for key in REQUIRED if key not in fields]
    if missing:
        raise DataError(f"{where}: missing {', '.join(missing)}", hint=f"every line needs {', '.join(REQUIRED)}")
    for key in _TEXT:
        if not isinstance(fields.get(key, ""), str):
            raise _unfit(where, key, "text", fields[key], 'put it in quotes: "..."')
    for key in ("id", "image"):
        if not fields[key]:
            raise DataError(f"{where}: {key} is empty", hint="it names the question, or the image, in every figure")
    fields["answer_type"] = fields["answer_type"].strip().lower()
    if fields["answer_type"] not in ANSWER_TYPES:
        raise DataError(
            f"{where}: answer_type is {shown(fields['answer_type'])}",
            hint='it is "open", "closed", "choice", or "" when not known',
        )
    fields["score"] = _score(fields.get("score"), where)
    fields["alternatives"] = _alternatives(fields.get("alternatives") or [], where)
    fields["others"] = _others(fields.get("others"), where)
    for key in ("accepted", "options"):
        fields[key] = _texts(key, fields.get(key) or [], where)
    keys = (*_TEXT, "score", "alternatives", "others", "accepted", "options")
    return Prediction(**{key: fields[key] for key in keys if key in fields})


_LISTS = {"accepted": "further true answers beside gold", "options": "the answers that are offered"}


def _texts(key: str, value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(text, str) and text.strip() for text in value):
        hint = f'{_LISTS[key]}: ["ct", "ct scan"]; leave it out if there are none'
        raise _unfit(where, key, "a list of answers", value, hint)
    return tuple(value)


def _score(value: Any, where: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1 + 1e-6:
        raise _unfit(where, "score", "a number in [0, 1]", value, "leave it out if there is none")
    return min(1.0, float(value))  # a softmax in single precision can end a hair above one


def _alternatives(value: Any, where: str) -> tuple[tuple[str, float], ...]:
    pairs: list[Any] = value if isinstance(value, list) else [None]
    for pair in pairs:
        if not (isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) and pair[1] is not None):
            hint = 'for example [["no", 0.93], ["yes", 0.06]]; leave it out if there are none'
            raise _unfit(where, "alternatives", "a list of [answer, score]", value, hint)
    return tuple((text, _score(score, where) or 0.0) for text, score in pairs)


def _others(value: Any, where: str) -> int | None:
    number = isinstance(value, int) and not isinstance(value, bool)
    if value is not None and not (number and 0 <= value <= _MOST_OTHERS):
        raise _unfit(where, "others", "a number of answers", value, "leave it out if not known")
    return None if value is None else int(value)


def _unfit(where: str, key: str, expected: str, value: Any, hint: str) -> DataError:
    return DataError(f"{where}: {key} must be {expected}, found {_what(value)}", hint=hint)


def _what(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False)
    except RecursionError:  # what can just be read may be nested too deep to be written
        return "something nested very deep"
    return text if len(text) <= 40 else text[:37] + "..."
