"""AdamW (or Muon beside it) with weight decay where it belongs, two learning rates, and the schedule."""

import math

import torch
from torch import nn

from discern_vqa.config import OptimConfig
from discern_vqa.training.muon import MuonAdamW


def make_optimizer(model: nn.Module, config: OptimConfig, precision: str = "fp32") -> torch.optim.AdamW:
    """AdamW over the trained parameters of `model`: pre-trained encoders may have their own rate, and vectors
    (biases, norms, positions, mask vectors) have no weight decay. With `optimizer = "muon"` the weights of linear and
    convolutional layers take Muon's step, but for output layers and whatever was pre-trained."""
    encoders = {id(p) for side in ("image", "text") if hasattr(model, side) for p in getattr(model, side).pretrained()}
    matrices = _matrices(model, encoders) if config.optimizer == "muon" else set()
    groups: dict[tuple[bool, bool, bool], list[nn.Parameter]] = {}
    for parameter in model.parameters():
        if parameter.requires_grad:
            kind = (id(parameter) in matrices, id(parameter) in encoders, parameter.ndim < 2)
            groups.setdefault(kind, []).append(parameter)
    encoder_lr = config.encoder_lr or config.lr
    settings = [
        {
            "params": members,
            "lr": config.muon_lr if orthogonal else encoder_lr if from_encoder else config.lr,
            "weight_decay": 0.0 if is_vector else config.weight_decay,
            "orthogonal": orthogonal,
        }
        for (orthogonal, from_encoder, is_vector), members in groups.items()
    ]
    # fused: one pass over all parameters, a third of the time on a CPU
    if not matrices:
        return torch.optim.AdamW(settings, betas=config.betas, fused=True)
    half = torch.bfloat16 if precision == "bf16" else torch.float32
    return MuonAdamW(settings, betas=config.betas, fused=True, precision=half)


def _matrices(model: nn.Module, encoders: set[int]) -> set[int]:
    """Ids of the weights that Muon moves. Tables of words and positions are no maps from a space to a space, and
    output layers are AdamW's by custom."""
    outputs = tuple(getattr(model, "output_layers", ()))
    return {
        id(module.weight)
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
        and not name.startswith(outputs)
        and id(module.weight) not in encoders
        and min(len(module.weight), module.weight[0].numel()) > 1
    }


def rate(progress: float, config: OptimConfig) -> float:
    """The factor on every group's learning rate at `progress` in [0, 1] of the training: a linear rise over the share
    `warmup`, then constant, or a cosine down to 0."""
    if progress < config.warmup:
        return progress / config.warmup
    if config.schedule == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (progress - config.warmup) / (1 - config.warmup)))
