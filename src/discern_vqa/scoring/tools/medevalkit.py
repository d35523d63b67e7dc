"""MedEvalKit (Lingshu, Hulu-Med): results.json in the folder of a data set, one list.

An object for each question: the data set's record without its image, `prompt` where the program kept it, `response`,
`correct` (its own verdict) and, for open questions, `metrics`. (utils/base_dataset.py and utils/VQA_RAD, utils/SLAKE)
There is no id and mostly no image: both come from the data set, whose order the file keeps.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from discern_vqa.data.sample import CHOICE
from discern_vqa.reading.records import Record
from discern_vqa.scoring.tools import Line
from discern_vqa.scoring.tools._parts import named_fields, options_of

SUMMARY = "MedEvalKit: results.json"
KEYS = ("question", "answer", "response")
INSIDE = ""


def is_of(values: Mapping[str, Any]) -> bool:
    return {"question", "answer", "response"} <= values.keys() and bool({"correct", "prompt"} & values.keys())


def lines(records: Sequence[Record]) -> tuple[list[Line], list[str]]:
    return [Line(record, _fields(record.values)) for record in records], []


def _fields(values: Mapping[str, Any]) -> dict[str, Any]:
    options = options_of(values)
    fields = named_fields([values], ("image", "answer_type", "organ", "id"))
    if options:
        fields.setdefault("answer_type", CHOICE)
    return {
        **fields,
        "question": values.get("question"),
        "gold": values.get("answer"),
        "prediction": values.get("response"),
        "options": options,
    }
