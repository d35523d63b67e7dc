"""What an exported task of lmms-eval does.

`discern export-tasks` writes this module beside the task's files, with the rules of `data.normalising` above it, so
that the task runs where Discern is not installed. A record (`doc`) is a line of the task's JSON Lines file.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from discern_vqa.data.normalising import NORMALISERS


def visual(doc: Mapping[str, Any]) -> list[Image.Image]:
    """The image that is asked about, as lmms-eval hands it to a model."""
    with Image.open(doc["file"]) as image:
        return [image.convert("RGB")]


def text(doc: Mapping[str, Any], lmms_eval_specific_kwargs: Mapping[str, str] | None = None) -> str:
    """The question between the prompts that the task has for the model."""
    prompts = lmms_eval_specific_kwargs or {}
    return f"{prompts.get('pre_prompt', '')}{doc['question']}{prompts.get('post_prompt', '')}"


def judged(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Whether the answer is the true one, compared as the data set's scores are.

    A record for `accuracy` says all that `discern score` reads; another one is for the accuracy of the question's kind.
    `image` is what intervals are clustered by.
    """
    same = NORMALISERS[doc["normaliser"]]
    score = float(same(results[0] if results else "") == same(doc["answer"]))
    about = {key: doc[key] for key in ("id", "image", "question", "answer_type", "question_type", "organ")}
    records = {"accuracy": {"score": score, **about}}
    if doc["answer_type"]:
        records[f"{doc['answer_type']}_accuracy"] = {"score": score, "image": doc["image"]}
    return records


def mean(records: Sequence[Mapping[str, Any]]) -> float:
    """The share of right answers."""
    return sum(record["score"] for record in records) / len(records) if records else 0.0
