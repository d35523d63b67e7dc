"""A slow twin of a module (momentum contrast, CMDPI 3.2.2): theta^ <- m theta^ + (1 - m) theta after every step."""

import copy

import torch
from torch import Tensor, nn


class Momentum(nn.Module):
    """Holds a copy of `module` without gradients; `update` moves it; calling it runs the copy.

    The copy is always in eval mode (cmdpi.md 2.4), whatever mode the parent is put into.
    """

    def __init__(self, module: nn.Module, m: float) -> None:
        super().__init__()
        self.m = m
        self.twin = copy.deepcopy(module)
        self.twin.requires_grad_(False)
        self.twin.eval()

    def train(self, mode: bool = True) -> "Momentum":
        """Stays in eval mode."""
        super().train(False)
        return self

    @torch.no_grad()
    def forward(self, *args: object, **kwargs: object) -> object:
        """The slow twin's output."""
        return self.twin(*args, **kwargs)

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """One step towards `module`; buffers are copied. Parameters that are not trained are left alone."""
        pairs = zip(self.twin.parameters(), module.parameters(), strict=True)
        slow, fast = zip(*[(one, other.detach()) for one, other in pairs if other.requires_grad], strict=True)
        torch._foreach_lerp_(list(slow), list(fast), 1 - self.m)
        for kept, now in zip(self.twin.buffers(), module.buffers(), strict=True):
            kept.copy_(now)


class RunningMean:
    """The exponential running mean of trained parameters, for evaluation: one tensor for each name.

    The decay is ramped up as (1 + step) / (10 + step) so that the first steps' weights fade.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.mean: dict[str, Tensor] = {
            name: parameter.detach().clone() for name, parameter in module.named_parameters() if parameter.requires_grad
        }

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """After optimiser step number `step`."""
        decay = min(self.decay, (1 + step) / (10 + step))
        now = {name: parameter.detach() for name, parameter in module.named_parameters() if name in self.mean}
        torch._foreach_lerp_([self.mean[name] for name in now], list(now.values()), 1 - decay)

    @torch.no_grad()
    def swap(self, module: nn.Module) -> None:
        """Exchanges the module's weights and the means; calling it twice changes nothing."""
        for name, parameter in module.named_parameters():
            if name in self.mean:
                kept = parameter.detach().clone()
                parameter.copy_(self.mean[name])
                self.mean[name].copy_(kept)
