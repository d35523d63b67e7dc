"""Equations written out as loops over single rows, and a look at what a module is given."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


def contra(
    a: Tensor, b: Tensor, tau: float, same: Sequence[Sequence[bool]] | None = None, held: Tensor | None = None
) -> Tensor:
    """CMDPI's Eq. 7, row by row: -1/B sum_i log(e^(cos(a_i, b_i) / tau) / sum_j e^(cos(a_i, b_j) / tau)).

    held: rows that stand below b's, as further negatives. same: True in row i = this row of b, or of held below it,
    shows the same as row i, and is no negative.
    """
    rows = list(b) + ([] if held is None else list(held))
    losses = []
    for i, one in enumerate(a):
        cosine = [torch.cosine_similarity(one, other, dim=0) / tau for other in rows]
        counted = [cosine[j].exp() for j in range(len(rows)) if j == i or not (same and same[i][j])]
        losses.append(torch.stack(counted).sum().log() - cosine[i])
    return torch.stack(losses).mean()


@contextmanager
def given_to(module: nn.Module) -> Iterator[list[tuple[Any, ...]]]:
    """The positional arguments of each call of a module."""
    calls: list[tuple[Any, ...]] = []
    handle = module.register_forward_pre_hook(lambda _, given: calls.append(given))
    try:
        yield calls
    finally:
        handle.remove()


def gradients(loss: Tensor, net: nn.Module) -> dict[str, Tensor]:
    """The gradient of each parameter that has one other than 0."""
    named = [(name, one) for name, one in net.named_parameters() if one.requires_grad]
    found = torch.autograd.grad(loss, [one for _, one in named], retain_graph=True, allow_unused=True)
    return {name: one for (name, _), one in zip(named, found, strict=True) if one is not None and one.any()}
