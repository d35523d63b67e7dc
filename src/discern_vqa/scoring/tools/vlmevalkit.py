"""VLMEvalKit: MODEL_DATA.xlsx (or .tsv, .json), the file of predictions, and what its evaluation makes of it.

A row for each question: the columns of the data set (`index`, `question`, `answer`; of multiple choice also `A`, `B`,
...; often `category`) without the image, and `prediction`. (vlmeval/inference.py) `category` is taken as the question's
type. An answer that the program could not get begins with "Failed to obtain answer".
"""

from collections.abc import Mapping, Sequence
from typing import Any

from discern_vqa.data.sample import CHOICE
from discern_vqa.reading.records import Record
from discern_vqa.scoring.tools import Line
from discern_vqa.scoring.tools._parts import named_fields, options_of

SUMMARY = "VLMEvalKit: MODEL_DATASET.xlsx, .tsv or .json"
KEYS = ("index", "question", "answer", "prediction")
INSIDE = ""
_FAILED = "Failed to obtain answer"


def is_of(values: Mapping[str, Any]) -> bool:
    return set(KEYS) <= values.keys() and not {"id", "gold"} & values.keys()


def lines(records: Sequence[Record]) -> tuple[list[Line], list[str]]:
    failed = sum(str(record.values.get("prediction", "")).startswith(_FAILED) for record in records)
    notes = [f"failures of the program ({_FAILED!r}), which count as no answer: {failed:,}"] if failed else []
    return [Line(record, _fields(record.values)) for record in records], notes


def _fields(values: Mapping[str, Any]) -> dict[str, Any]:
    options = options_of(values)
    answer = values.get("prediction")
    fields = named_fields([values], ("image", "answer_type", "organ", "question_type"))
    if options:
        fields.setdefault("answer_type", CHOICE)
    return {
        **fields,
        "id": values.get("index"),
        "question": values.get("question"),
        "gold": values.get("answer"),
        "prediction": "" if str(answer or "").startswith(_FAILED) else answer,
        "options": options,
    }
