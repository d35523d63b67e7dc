"""AdamW with weight decay where it belongs, two learning rates, and the schedule as a function of progress."""

import math

import torch
from torch import nn

from discern_vqa.config import OptimConfig


def make_optimizer(model: nn.Module, config: OptimConfig) -> torch.optim.AdamW:
    """AdamW over the trained parameters of `model`: pre-trained encoders may have their own rate, and vectors
    (biases, norms, positions, mask vectors) have no weight decay."""
    encoders = {id(p) for side in ("image", "text") if hasattr(model, side) for p in getattr(model, side).pretrained()}
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for parameter in model.parameters():
        if parameter.requires_grad:
            groups.setdefault((id(parameter) in encoders, parameter.ndim < 2), []).append(parameter)
    return torch.optim.AdamW(
        [
            {
                "params": members,
                "lr": config.encoder_lr if from_encoder and config.encoder_lr else config.lr,
                "weight_decay": 0.0 if is_vector else config.weight_decay,
            }
            for (from_encoder, is_vector), members in groups.items()
        ],
        betas=config.betas,
        fused=True,  # one pass over all parameters: a third of the time on a CPU
    )


def rate(progress: float, config: OptimConfig) -> float:
    """The factor on every group's learning rate at `progress` in [0, 1] of the training: a linear rise over the share
    `warmup`, then constant, or a cosine down to 0."""
    if progress < config.warmup:
        return progress / config.warmup
    if config.schedule == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (progress - config.warmup) / (1 - config.warmup)))
