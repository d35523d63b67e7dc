"""Less memory for more time: what a layer computes on the way forward is forgotten, and computed again on the way back
("gradient checkpointing", Chen et al. 2016). Losses and gradients stay the same."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import nn


def recompute(model: nn.Module) -> int:
    """Makes each layer of each stack of layers do so; returns how many there are. Copies of the model do so too."""
    layers = list(_layers(model))
    for layer in layers:
        layer.forward = partial(_again, layer.forward)
    return len(layers)


def _layers(module: nn.Module) -> Iterator[nn.Module]:
    """The layers of the outermost stacks that have something to learn: a stack is a list of at least two."""
    if isinstance(module, nn.ModuleList) and len(module) > 1:
        yield from (layer for layer in module if any(one.requires_grad for one in layer.parameters()))
    else:
        for child in module.children():
            yield from _layers(child)


def _again(forward: Callable[..., Any], *given: Any, **named: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*given, **named)
    from torch.utils.checkpoint import checkpoint

    return checkpoint(forward, *given, use_reentrant=False, **named)
