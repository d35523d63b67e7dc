"""Inspect (inspect_ai, inspect_evals): a log as .eval, a zip archive with a file for each sample, or as .json.

A sample has `id`, `epoch`, `input` (a text, or messages whose content is a list of texts and images), `choices`,
`target` (one text or several that are all right), `metadata`, `output` with `completion` or `choices[0].message`, and
`error` where it failed. Large contents lie in `attachments`, to which "attachment://DIGEST" refers.
(src/inspect_ai/log/_log.py, _recorders/eval.py)

Of several epochs each answer counts, and the answers to one question are clustered as those about one image are.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from discern_vqa.reading.offered import without_letters
from discern_vqa.reading.records import Record
from discern_vqa.scoring.tools import Line
from discern_vqa.scoring.tools._parts import named_fields, text_of

SUMMARY = "Inspect: a log as .eval or .json"
KEYS = ("id", "input", "target", "output")
INSIDE = "samples"
SAMPLES = "samples/"
"""The folder of the samples in a .eval archive."""


def is_of(values: Mapping[str, Any]) -> bool:
    return {"id", "input", "target"} <= values.keys() and bool({"output", "messages", "epoch"} & values.keys())


def lines(records: Sequence[Record]) -> tuple[list[Line], list[str]]:
    epochs = len({record.values.get("epoch", 1) for record in records})
    failed = sum(bool(record.values.get("error")) for record in records)
    notes = [f"every question was asked in {epochs} epochs, and each answer counts"] if epochs > 1 else []
    notes += [f"samples that failed in the program, which count as no answer: {failed:,}"] if failed else []
    return [Line(record, _fields(record.values, epochs > 1)) for record in records], notes


def _fields(values: Mapping[str, Any], has_epochs: bool) -> dict[str, Any]:
    metadata = values.get("metadata")
    fields = named_fields(
        [metadata] if isinstance(metadata, Mapping) else [], ("image", "answer_type", "organ", "question_type")
    )
    image, question = _asked(values.get("input"), values.get("attachments"))
    options = without_letters([str(choice) for choice in values.get("choices") or []])
    if image:
        fields.setdefault("image", image)
    number = str(values.get("id"))
    if has_epochs:
        fields.setdefault("image", f"question {number}")
    return {
        **fields,
        "id": f"{number} (epoch {values.get('epoch', 1)})" if has_epochs else number,
        "question": question,
        "gold": values.get("target"),
        "prediction": _answer(values.get("output")),
        "options": options,
    }


def _asked(asked: object, attachments: object) -> tuple[str, str]:
    """The image's identity and the question. An image that stands in the log as data is known by its digest."""
    if isinstance(asked, str):
        return "", asked
    messages = [message for message in asked if isinstance(message, Mapping)] if isinstance(asked, list) else []
    users = [message for message in messages if message.get("role") == "user"] or messages
    image, texts = "", []
    for message in users:
        content = message.get("content")
        texts.append(text_of(content))
        for part in content if isinstance(content, list) else []:
            if isinstance(part, Mapping) and part.get("type") == "image" and not image:
                image = str(part.get("image", ""))
    if isinstance(attachments, Mapping):
        image = str(attachments.get(image.removeprefix("attachment://"), image))
    if image.startswith("data:"):
        image = hashlib.sha256(image.encode()).hexdigest()[:16]
    return image, "\n".join(texts)


def _answer(output: object) -> str:
    if not isinstance(output, Mapping):
        return ""
    if isinstance(output.get("completion"), str) and output["completion"]:
        return str(output["completion"])
    choices = output.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else {}
    message = first.get("message") if isinstance(first, Mapping) else {}
    return text_of(message.get("content")) if isinstance(message, Mapping) else ""
