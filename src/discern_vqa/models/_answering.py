"""Scores of many questions, in batches that keep an image's questions together: shared by validation and evaluation."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from discern_vqa.data.batch import Batcher
from discern_vqa.data.sample import Sample


@torch.inference_mode()
def answer_scores(
    model: nn.Module,
    batcher: Batcher,
    samples: Sequence[Sample],
    *,
    views: int = 1,
    batch: int = 64,
    device: torch.device | str = "cpu",
) -> Tensor:
    """(n, K) probabilities in the samples' order, averaged over the first `views` cached views of each image."""
    was_training = model.training
    model.eval()
    order = sorted(range(len(samples)), key=lambda row: samples[row].image)
    probabilities: Tensor | None = None
    views = max(1, min(views, batcher.images.views))
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        chosen = [samples[row] for row in rows]
        scores = torch.stack(
            [
                model.decide(batcher.inputs(chosen, view=view).to(device)).scores.float().softmax(-1).cpu()  # type: ignore[operator]
                for view in range(views)
            ]
        ).mean(0)
        if probabilities is None:
            probabilities = torch.zeros(len(samples), scores.shape[-1])
        probabilities[rows] = scores
    model.train(was_training)
    return probabilities if probabilities is not None else torch.zeros(0, 0)
