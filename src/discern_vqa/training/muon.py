"""Muon for matrices, AdamW for everything else, as one optimiser with one state.

Muon (Jordan et al., 2024) keeps a running mean of a matrix's gradient and steps along its nearest half-orthogonal
matrix, so that every direction of the matrix moves, not only the few that the gradient is full of. Small models that
start from nothing leave their first plateau in about half the steps (docs/LOG.md). `torch.optim.Muon` takes matrices
only; here the kernel of a convolution counts as a matrix (out, in x height x width) too, and equal shapes go together.
"""

from typing import Any

import torch
from torch import Tensor

from discern_vqa.timers import timed

# Jordan's quintic: five rounds bring singular values from [0.001, 1] to about [0.7, 1.2], which is all that is needed.
QUINTIC = (3.4445, -4.7750, 2.0315)
ROUNDS = 5
WIDE = 2.0
"""From this many times as many columns as rows on, rounds use the Gram matrix: 0.84 of the products or fewer."""


class MuonAdamW(torch.optim.AdamW):
    """AdamW in which the groups marked `orthogonal` take Muon's step.

    A step of `lr` times sqrt(max(1, rows / columns)): its size depends on the matrix's shape and not on the gradient.
    `precision` is that of the orthogonalisation alone (bfloat16 is exact enough, and fast where there is hardware).
    """

    def __init__(self, params: Any, *, momentum: float = 0.95, precision: torch.dtype = torch.float32, **adamw: Any):
        super().__init__(params, **adamw)
        self.momentum, self.precision = momentum, precision

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One step of all groups."""
        groups = self.param_groups
        matrices = [group for group in groups if group.get("orthogonal")]
        self.param_groups = [group for group in groups if not group.get("orthogonal")]
        try:
            loss = super().step(closure)
        finally:
            self.param_groups = groups
        with timed("Muon"):
            for group in matrices:
                self._step_matrices(group)
        return loss

    def _step_matrices(self, group: dict[str, Any]) -> None:
        by_shape: dict[tuple[int, int], list[torch.nn.Parameter]] = {}
        for parameter in group["params"]:
            if parameter.grad is not None:
                by_shape.setdefault((len(parameter), parameter[0].numel()), []).append(parameter)
        for (rows, columns), members in by_shape.items():
            means = torch.stack([self._ahead(member).view(rows, columns) for member in members])
            directions = orthogonal(means.to(self.precision))
            size = group["lr"] * max(1.0, rows / columns) ** 0.5
            for parameter, direction in zip(members, directions.to(members[0].dtype), strict=True):
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(direction.view_as(parameter), alpha=-size)

    def _ahead(self, parameter: torch.nn.Parameter) -> Tensor:
        """The gradient's running mean, one step ahead (Nesterov)."""
        state = self.state[parameter]
        if not state:
            state["mean_grad"] = torch.zeros_like(parameter)
        assert parameter.grad is not None
        mean = state["mean_grad"].lerp_(parameter.grad, 1 - self.momentum)
        return parameter.grad.lerp(mean, self.momentum).contiguous()


def orthogonal(matrices: Tensor) -> Tensor:
    """(k, rows, columns) -> about the nearest matrices whose singular values are all 1: U V' of U S V'.

    Newton-Schulz rounds of a quintic polynomial (products only, no decomposition).
    """
    turned = matrices.shape[-2] > matrices.shape[-1]
    X = matrices.mT if turned else matrices
    X = (X / (X.norm(dim=(-2, -1), keepdim=True) + 1e-7)).contiguous()
    is_wide = X.shape[-1] >= WIDE * X.shape[-2] and X.dtype != torch.bfloat16
    X = _by_gram(X) if is_wide else _directly(X)
    return X.mT if turned else X


def _directly(X: Tensor) -> Tensor:
    a, b, c = QUINTIC
    for _ in range(ROUNDS):  # X <- a X + (b G + c G G) X with G = X X'
        gram = torch.bmm(X, X.mT)
        X = torch.baddbmm(X, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), X, beta=a)
    return X


def _by_gram(X: Tensor) -> Tensor:
    """As `_directly`, with products of (rows, rows) alone but for the first and the last: every round multiplies X from
    the left by P = a I + b G + c G G, which commutes with G, so that G becomes P G P and all P together one matrix. Of
    columns = 4 rows it takes 25 instead of 45 products of rows x rows x rows."""
    a, b, c = QUINTIC
    gram = torch.bmm(X, X.mT)
    whole = None
    for number in range(ROUNDS):
        factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal(dim1=-2, dim2=-1).add_(a)
        whole = factor if whole is None else torch.bmm(factor, whole)
        if number < ROUNDS - 1:
            gram = torch.bmm(torch.bmm(factor, gram), factor)
    assert whole is not None
    return torch.bmm(whole, X)
