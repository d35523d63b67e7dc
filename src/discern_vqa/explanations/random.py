"""A baseline: weights drawn anew for each question, the same for the same question."""

from typing import Any

import torch
from torch import Tensor

from discern_vqa.data.batch import Inputs

SUMMARY = "a baseline: random weights"
SIDE = 24


def offered(model: Any) -> bool:
    """Always."""
    return True


def explain(model: Any, inputs: Inputs, answer: Tensor) -> Tensor:
    """(B, 24, 24), even in [0, 1). The seed is made of the image and the words."""
    weights = []
    for which, tokens in zip(inputs.which.tolist(), inputs.tokens, strict=True):
        seed = int(inputs.image[which].double().sum() * 1e4) * 1009 + int(
            (tokens * torch.arange(len(tokens)).to(tokens)).sum()
        )
        weights.append(torch.rand(SIDE, SIDE, generator=torch.Generator().manual_seed(seed % 2**62)))
    return torch.stack(weights)
