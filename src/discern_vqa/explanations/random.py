"""A baseline: weights drawn anew for each question, the same for the same question."""

import torch
from torch import Tensor

from discern_vqa.attribution.methods import every_model
from discern_vqa.bases import ModelBase
from discern_vqa.data.batch import Inputs

SUMMARY = "a baseline: random weights"
SIDE = 24
offered = every_model


def explain(model: ModelBase, inputs: Inputs, answer: Tensor) -> Tensor:
    """(B, 24, 24), even in [0, 1). The seed is made of the image and the words."""
    weights = []
    for which, tokens in zip(inputs.which.tolist(), inputs.tokens, strict=True):
        words = int((tokens * torch.arange(len(tokens)).to(tokens)).sum())
        seed = int(inputs.image[which].double().sum() * 1e4) * 1009 + words
        weights.append(torch.rand(SIDE, SIDE, generator=torch.Generator().manual_seed(seed % 2**62)))
    return torch.stack(weights)
