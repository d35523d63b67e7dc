"""A run as the `batcher` of MultiMedEval.

    from multimedeval import EvalParams, MultiMedEval, SetupParams
    from discern_vqa.other_tools.multimedeval import batcher

    engine = MultiMedEval()
    engine.setup(SetupParams(vqa_rad_dir="data"))
    engine.eval(["VQA-Rad"], batcher("runs/rad"), EvalParams(batch_size=64))

MultiMedEval hands over conversations: "Answer the following question with yes or no. <img> Is there a mass?". The first
sentence stands only where the true answer is yes or no, so it tells a model something about the answer; it is left out
here. (multimedeval/utils.py, multimedeval/vqa.py, version 1.0.0)
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import discern_vqa
from discern_vqa.errors import ConfigError, DataError
from discern_vqa.evaluation.given_image import Given

IMAGE = "<img>"
YES_NO = "Answer the following question with yes or no."


class Prompt(Protocol):
    """What MultiMedEval calls a BatcherInput."""

    conversation: Sequence[Mapping[str, str]]  # {"role", "content"} of each turn
    images: Sequence[Any]  # of all turns, in order


def batcher(run: str | Path, *, mode: str = "", revision: str | None = None) -> Callable[[Sequence[Prompt]], list[Any]]:
    """A callable for `MultiMedEval.eval`: a list of BatcherInput -> a list of BatcherOutput.

    run, revision: as of `discern_vqa.load`. mode: a way of answering; none: the recipe's. Examples before the question
    (few-shot) are left out. Raises RunError: the run is none; ConfigError: MultiMedEval is not installed. When it is
    called, DataError: a question has no image, or several.
    """
    try:
        output = importlib.import_module("multimedeval.utils").BatcherOutput
    except (ImportError, AttributeError) as error:  # the latter of a transformers that is too new for it
        raise ConfigError(
            f"MultiMedEval cannot be imported: {error}", hint="docs/other_tools.md says how it is installed"
        ) from error
    predictor = discern_vqa.load(run, revision=revision)

    def answer(prompts: Sequence[Prompt]) -> list[Any]:
        return [output(text=answer.text) for answer in predictor.ask_many(map(asked, prompts), mode)]

    return answer


def asked(prompt: Prompt) -> tuple[Given, str]:
    """The image and the question of the last turn. Raises DataError where it has no image, or several."""
    turns = [turn["content"] for turn in prompt.conversation if turn["role"] == "user"]
    text = turns[-1] if turns else ""
    marked = text.count(IMAGE)
    images = list(prompt.images)[-marked:] if marked else []
    question = " ".join(text.replace(IMAGE, " ").split()).removeprefix(YES_NO).strip()
    if len(images) != 1:
        raise DataError(
            f"{question!r} is asked about {len(images)} images; expected one for each question",
            hint="evaluate tasks with one image a question: VQA-Rad, SLAKE, VQA-Path",
        )
    return images[0], question
