"""Cross-entropy of the answer, and nothing else: for models that bring no way of learning of their own."""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from discern_vqa.bases import ModelBase, ObjectiveBase, ObjectiveConfig
from discern_vqa.data.batch import Batch
from discern_vqa.nn.losses import answer_cross_entropy


class Config(ObjectiveConfig):
    """[objective]."""

    name: Literal["classify"] = "classify"
    weights: dict[str, float] = {"answer": 1.0}
    """The weight of the one part, the cross-entropy of the answer."""


class Objective(ObjectiveBase[Config, ModelBase]):
    """batch, rng -> {"answer"}."""

    divides: ClassVar = True

    def forward(self, batch: Batch, rng: torch.Generator) -> dict[str, Tensor]:
        """Of the scores that the model decides by. Texts whose answer is not in the vocabulary teach nothing."""
        scores = self.model.decide(batch.inputs).scores
        return {"answer": answer_cross_entropy(scores, batch.targets.answer, share=batch.share)}
