"""LLaVA-Med and LLaVA: the answers file of model_vqa.py, JSON Lines.

`question_id`, `prompt`, `text` (the answer), `answer_id`, `model_id`, `metadata`. (llava/eval/model_vqa.py) It holds no
true answers: they come from the data set.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from discern_vqa.reading.records import Record
from discern_vqa.scoring.tools import Line
from discern_vqa.scoring.tools._parts import named_fields

SUMMARY = "LLaVA-Med, LLaVA: the answers file of model_vqa.py"
KEYS = ("question_id", "prompt", "text")
INSIDE = ""


def is_of(values: Mapping[str, Any]) -> bool:
    return {"question_id", "text"} <= values.keys() and bool({"answer_id", "prompt"} & values.keys())


def lines(records: Sequence[Record]) -> tuple[list[Line], list[str]]:
    return [Line(record, _fields(record.values)) for record in records], []


def _fields(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **named_fields([values], ("image", "answer_type")),
        "id": values.get("question_id"),
        "question": values.get("prompt"),
        "prediction": values.get("text"),
        **({"gold": gold} if (gold := values.get("gt_ans", values.get("ground_truth"))) is not None else {}),
    }
