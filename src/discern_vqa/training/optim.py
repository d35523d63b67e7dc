"""AdamW (or Muon beside it) with weight decay where it belongs, two learning rates, and the schedule."""

import math
import re

import torch
from torch import nn

from discern_vqa.bases import ModelBase
from discern_vqa.config import OptimConfig
from discern_vqa.errors import ConfigError
from discern_vqa.nn.precision import Precision, computed
from discern_vqa.training.muon import MuonAdamW

TABLES = ("position_embedding", "position_embeddings", "relative_attention_bias")
"""What pre-trained encoders and T5 call their tables of positions."""


def make_optimizer(model: ModelBase, config: OptimConfig, precision: Precision = "fp32") -> torch.optim.AdamW:
    """AdamW over the trained parameters of `model`: pre-trained parts may have their own rate, parts named in `factors`
    a multiple of it, their layers one that falls towards the input (`layer_decay`), and what maps nothing has no weight
    decay (see `decays`). With `optimizer = "muon"` the weights of
    linear and convolutional layers take Muon's step, but for output layers and whatever was pre-trained. Raises
    ConfigError when a factor names no part."""
    parts = model.parts()
    pretrained = {id(parameter) for part in parts.values() for parameter in part.pretrained()}
    matrices = _matrices(model, pretrained) if config.optimizer == "muon" else set()
    slowed = _layers_below(model, list(parts), pretrained) if config.layer_decay < 1 else {}
    check_factors(model, config)
    groups: dict[tuple[bool, float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            orthogonal, from_encoder = id(parameter) in matrices, id(parameter) in pretrained
            own = config.muon_lr if orthogonal else (config.encoder_lr or config.lr) if from_encoder else config.lr
            of_part = [factor for part, factor in config.factors.items() if _is_of(name, part)]
            of_part.append(config.layer_decay ** slowed.get(name, 0))
            kind = (orthogonal, own * math.prod(of_part), config.weight_decay if decays(name, parameter) else 0.0)
            groups.setdefault(kind, []).append(parameter)
    settings = [
        {"params": members, "lr": lr, "weight_decay": decay, "orthogonal": orthogonal}
        for (orthogonal, lr, decay), members in groups.items()
    ]
    # fused: one pass over all parameters, a third of the time on a CPU
    if not matrices:
        return torch.optim.AdamW(settings, betas=config.betas, fused=True)
    half = torch.bfloat16 if computed(precision) == "bf16" else torch.float32
    return MuonAdamW(settings, betas=config.betas, fused=True, precision=half)


def decays(name: str, parameter: nn.Parameter) -> bool:
    """Whether weight decay pulls at a parameter: at what is multiplied with what flows through (the weights of layers,
    kernels) and at tables of words. Not at biases and norms; nor at vectors that are learned by themselves and added
    or asked with (positions, modalities, queries, masks), which would fade although nothing they say is too large.

    Told by the name: layers call theirs `weight`, a vector that is learned by itself has a name of its own. Whoever
    differs is marked where it is made, `weight_decay` True or False.
    """
    marked = getattr(parameter, "weight_decay", None)
    if marked is not None:
        return bool(marked)
    *inside, own = name.split(".")
    return parameter.ndim >= 2 and own.endswith("weight") and not any(part in TABLES for part in inside)


_LAYER = re.compile(r"\.(?:layers?|blocks?|upper)\.(\d+)\.")
_FIRST = ("embed", "pre_layrnorm", "conv_stem", "shared")
"""What stands below an encoder's first layer, by parts of its name."""


def _layers_below(model: nn.Module, parts: list[str], pretrained: set[int]) -> dict[str, int]:
    """For each pre-trained parameter that is trained how many trained layers of its encoder stand above it; 0 for what
    follows the last one."""
    above: dict[str, int] = {}
    for part in parts:
        names = [
            name
            for name, parameter in model.named_parameters()
            if name.startswith(f"{part}.") and parameter.requires_grad and id(parameter) in pretrained
        ]
        layers = {name: int(match[1]) for name in names if (match := _LAYER.search(name))}
        count = max(layers.values(), default=-1) + 1
        for name in names:
            is_first = name not in layers and any(word in name for word in _FIRST)
            above[name] = count if is_first else count - 1 - layers.get(name, count - 1)
    return above


def _is_of(name: str, part: str) -> bool:
    return name == part or name.startswith(f"{part}.")


def check_factors(model: ModelBase, config: OptimConfig) -> None:
    """Raises ConfigError when a factor names no part of the model. One that the model may have, but not as its recipe
    sets it here (`ModelBase.optional_parts`), is passed over: so a recipe's factors hold for all its variants."""
    names = [name for name, _ in model.named_parameters()]
    for part in config.factors:
        if part.partition(".")[0] not in model.optional_parts and not any(_is_of(name, part) for name in names):
            known = ", ".join(dict.fromkeys(name.partition(".")[0] for name in names))
            raise ConfigError(f"[optim] factors: the model has no part {part!r}", hint=f"it has: {known}")


def _matrices(model: ModelBase, encoders: set[int]) -> set[int]:
    """Ids of the weights that Muon moves. Tables of words and positions are no maps from a space to a space, and
    output layers are AdamW's by custom."""
    outputs = model.output_layers
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
    `warmup`, then constant, or a cosine or a straight line down to 0."""
    if progress < config.warmup:
        return progress / config.warmup
    if config.schedule == "constant":
        return 1.0
    rest = (progress - config.warmup) / (1 - config.warmup)
    return 1 - rest if config.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * rest))
