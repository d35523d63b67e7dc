"""HELM (VHELM, MedHELM): scenario_state.json in the folder of a run.

`request_states` has an object for each request: `instance` with `id`, `input` (`text`, or `multimedia_content` with
`media_objects`, of which images have a `location`) and `references` (those with the tag "correct" are true),
`output_mapping` (letter -> option) of multiple choice, and `result` with `completions`. (helm/benchmark/adaptation/
request_state.py, scenarios/scenario.py) Requests about altered instances (`perturbation`) and calibrating requests are
left out. HELM saves a copy of the image for every question, so that its names do not show which questions share one.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from discern_vqa.data.sample import CHOICE
from discern_vqa.errors import DataError
from discern_vqa.reading.records import Record
from discern_vqa.scoring.tools import Line
from discern_vqa.scoring.tools._parts import first_of

SUMMARY = "HELM: scenario_state.json"
KEYS = ("instance", "request", "result")
INSIDE = "request_states"


def is_of(values: Mapping[str, Any]) -> bool:
    instance = values.get("instance")
    return isinstance(instance, Mapping) and {"input", "references"} <= instance.keys()


def lines(records: Sequence[Record]) -> tuple[list[Line], list[str]]:
    plain = [record for record in records if not _is_altered(record.values)]
    trials = len({record.values.get("train_trial_index", 0) for record in plain})
    notes = []
    if len(plain) < len(records):
        notes.append(
            f"requests about altered questions, or to calibrate, which are left out: {len(records) - len(plain):,}"
        )
    if trials > 1:
        notes.append(f"every question was asked in {trials} trials, and each answer counts")
    return [Line(record, _fields(record, trials > 1)) for record in plain], notes


def _is_altered(values: Mapping[str, Any]) -> bool:
    return bool(values["instance"].get("perturbation")) or values.get("request_mode") == "calibration"


def _fields(record: Record, has_trials: bool) -> dict[str, Any]:
    values, instance = record.values, record.values["instance"]
    if values.get("reference_index") is not None:
        raise DataError(
            f"{record.source}: each option was asked for by itself, and there is no answer as text",
            hint="score a run whose adapter method is generation or multiple_choice_joint",
        )
    references = [reference for reference in instance["references"] if isinstance(reference, Mapping)]
    texts = [_text(reference.get("output")) for reference in references]
    true = [text for text, one in zip(texts, references, strict=True) if "correct" in (one.get("tags") or [])]
    mapping = values.get("output_mapping")
    options = list(mapping.values()) if isinstance(mapping, Mapping) else []
    image, question = _asked(instance["input"])
    number = str(instance.get("id") or record.number)
    result = values.get("result")
    completion = first_of(result.get("completions")) if isinstance(result, Mapping) else None
    fields: dict[str, Any] = {"image": image or f"question {number}"} if has_trials or image else {}
    if options:
        fields["answer_type"] = CHOICE
    return {
        **fields,
        "id": f"{number} (trial {values.get('train_trial_index', 0)})" if has_trials else number,
        "question": question,
        "gold": true,
        "prediction": _text(completion),
        "options": options,
    }


def _text(holder: object) -> str:
    return str(holder.get("text") or "") if isinstance(holder, Mapping) else ""


def _asked(asked: object) -> tuple[str, str]:
    """Where the image lies, and the question."""
    if not isinstance(asked, Mapping):
        return "", ""
    content = asked.get("multimedia_content")
    listed = content.get("media_objects") if isinstance(content, Mapping) else None
    objects = [part for part in listed if isinstance(part, Mapping)] if isinstance(listed, list) else []
    images = [str(part["location"]) for part in objects if part.get("location")]
    texts = [str(part["text"]) for part in objects if part.get("text")]
    return images[0] if images else "", "\n".join(texts) or str(asked.get("text") or "")
