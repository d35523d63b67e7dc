"""lmms-eval and lm-evaluation-harness: DATE_samples_TASK.jsonl, written with `--log_samples`.

One object a line: `doc_id` (the question's place in the task's split), `target`, `filtered_resps` (the answer after the
task's filter), `resps` (before it; left out where both are the same), `input` (what the model was asked) and the
metrics, of which some are objects: SLAKE's hold `id`, `answer_type` and `modality`. lmms-eval takes `doc`, the data
set's own record, out before it writes; the harness leaves it in. (lmms_eval/loggers/evaluation_tracker.py,
lmms_eval/tasks/slake/utils.py)

The harness writes a line for each filter: the first filter is taken. Answers that are log-likelihoods are refused.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from discern_vqa.errors import DataError
from discern_vqa.reading.records import Record
from discern_vqa.scoring.tools import Line
from discern_vqa.scoring.tools._parts import first_of, named_fields, options_of

SUMMARY = "lmms-eval, lm-evaluation-harness: *_samples_TASK.jsonl"
KEYS = ("doc_id", "target", "filtered_resps")
INSIDE = ""


def is_of(values: Mapping[str, Any]) -> bool:
    return {"doc_id", "target"} <= values.keys() and bool({"filtered_resps", "resps"} & values.keys())


def lines(records: Sequence[Record]) -> tuple[list[Line], list[str]]:
    filters = list(dict.fromkeys(str(record.values.get("filter", "")) for record in records))
    chosen = [record for record in records if str(record.values.get("filter", "")) == filters[0]] if filters else []
    notes = []
    if len(filters) > 1:
        left_out = len(records) - len(chosen)
        notes.append(
            f"the answers of the filter {filters[0]!r} are taken; {left_out:,} lines of {', '.join(filters[1:])} are "
            "left out"
        )
    several = sum(len(_answers(record)) > 1 for record in chosen)
    if several:
        notes.append(f"{several:,} questions have several answers; the first of each is taken")
    return [Line(record, _fields(record)) for record in chosen], notes


def _answers(record: Record) -> list[Any]:
    answers = record.values.get("filtered_resps", record.values.get("resps"))
    while isinstance(answers, list) and len(answers) == 1 and isinstance(answers[0], list):
        answers = answers[0]
    return answers if isinstance(answers, list) else [answers]


def _fields(record: Record) -> dict[str, Any]:
    answer = first_of(_answers(record))
    if isinstance(answer, float) or (isinstance(answer, list) and answer and isinstance(answer[0], float)):
        raise DataError(
            f"{record.source}: the answer is a log-likelihood, no text",
            hint="score a task whose output_type is generate_until",
        )
    doc = record.values.get("doc")
    parts = [doc] if isinstance(doc, Mapping) else []
    parts += [value for value in record.values.values() if isinstance(value, Mapping) and value is not doc]
    fields = named_fields(parts, ("image", "question", "answer_type", "organ", "question_type", "id"))
    options = next((found for part in parts if (found := options_of(part))), [])
    prompt = record.values.get("input")
    fields.setdefault("question", prompt if isinstance(prompt, str) else "")
    fields.setdefault("id", record.values.get("doc_id"))
    return {
        **fields,
        "gold": record.values.get("target"),
        "prediction": answer,
        "place": record.values.get("doc_id"),
        "options": options,
    }
