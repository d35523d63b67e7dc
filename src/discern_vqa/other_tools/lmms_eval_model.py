"""A run as a model of lmms-eval; its registry imports this module (`lmms_eval.manifest`).

It answers tasks of `generate_until` with one image each. Prompts around a question are left out: the models here have
learned questions, and no instructions.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from lmms_eval.api.model import lmms

import discern_vqa
from discern_vqa.errors import ConfigError, DataError

AT_A_TIME = 64
"""Requests whose images are in memory."""
_OTHER_TASKS = "choose tasks whose output_type is generate_until"


class Discern(lmms):  # type: ignore[misc]
    """`--model discern --model_args run=FOLDER`, or `run=ORG/NAME` of the Hugging Face hub.

    mode: a way of answering; none: the recipe's. revision: of a repository of the hub. batch_size, max_batch_size and
    device are taken, since lmms-eval gives them to every model, and change nothing: the model decides by itself.
    """

    def __init__(
        self,
        run: str = "",
        mode: str = "",
        revision: str | None = None,
        batch_size: int | str = 1,
        max_batch_size: int | str | None = None,
        device: str | None = None,
    ) -> None:
        """Raises ConfigError: no run is named; RunError: it is none."""
        super().__init__()
        if not run:
            raise ConfigError("no run is named; try: --model_args run=FOLDER", hint="--model_args run=FOLDER")
        self.predictor = discern_vqa.load(str(run), revision=revision)
        self.mode = mode

    def generate_until(self, requests: Sequence[Any]) -> list[str]:
        """A text for each request of lmms-eval; its `args` are (context, settings, doc_to_visual, doc_id, task, split).

        Raises DataError: a question has no image, or several; ImageError.
        """
        texts: list[str] = []
        for start in range(0, len(requests), AT_A_TIME):
            chosen = [request.args for request in requests[start : start + AT_A_TIME]]
            answers = self.predictor.ask_many([self._asked(*args) for args in chosen], self.mode)
            for args, answer in zip(chosen, answers, strict=True):
                self.cache_hook.add_partial("generate_until", args[:2], answer.text)
                texts.append(answer.text)
        return texts

    def _asked(
        self, context: str, _: object, doc_to_visual: Any, doc_id: int, task: str, split: str
    ) -> tuple[Any, str]:
        doc = self.task_dict[task][split][doc_id]
        images = doc_to_visual(doc)
        if len(images) != 1:
            raise DataError(
                f"question {doc_id} of the task {task} has {len(images)} images; expected one for each question",
                hint="leave the task out",
            )
        return images[0], question_of(context, doc)

    def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
        """Not there: see `generate_until`. Raises ConfigError."""
        raise ConfigError("the model gives no likelihoods of texts", hint=_OTHER_TASKS)

    def generate_until_multi_round(self, requests: Sequence[Any]) -> list[str]:
        """Not there: see `generate_until`. Raises ConfigError."""
        raise ConfigError("the model answers single questions, and no conversations", hint=_OTHER_TASKS)


def question_of(context: str, doc: Mapping[str, Any]) -> str:
    """The question in what a task writes: the record's own, where it stands in the text; else all of the text."""
    question = doc.get("question")
    plain = question.strip() if isinstance(question, str) else ""
    return plain if plain and plain in context else context.strip()
