"""The momentum encoder of a module (momentum contrast, CMDPI 3.2.2): theta^ <- m theta^ + (1 - m) theta each step."""

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
        super().train(False)
        return self

    @torch.no_grad()
    def forward(self, *args: object, **kwargs: object) -> object:
        """What the copy makes of the arguments, without gradients."""
        return self.twin(*args, **kwargs)

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """One step towards `module`; buffers are copied. Parameters that are not trained are left alone."""
        pairs = zip(self.twin.parameters(), module.parameters(), strict=True)
        slow, fast = zip(*[(slow, fast.detach()) for slow, fast in pairs if fast.requires_grad], strict=True)
        torch._foreach_lerp_(list(slow), list(fast), 1 - self.m)
        for buffer, source in zip(self.twin.buffers(), module.buffers(), strict=True):
            buffer.copy_(source)


class Queue(nn.Module):
    """The momentum encoders' latest features of images and texts, as further negatives (MoCo; cmdpi.md A18).

    Holds up to `size` pairs (h_img, h_txt), the oldest of which give way, with the numbers that say which image and
    which text a pair is. All of it is kept in checkpoints, so that a resumed training goes on with the same negatives.
    """

    h_img: Tensor
    h_txt: Tensor
    image_key: Tensor
    text_key: Tensor
    count: Tensor

    def __init__(self, size: int, d: int) -> None:
        super().__init__()
        for name in ("h_img", "h_txt"):
            self.register_buffer(name, torch.zeros(size, d))
        for name in ("image_key", "text_key"):
            self.register_buffer(name, torch.zeros(size, dtype=torch.int64))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))  # of all pairs that ever came

    def held(self) -> dict[str, Tensor]:
        """What is in it now, by name: h_img, h_txt (Q, d), image_key, text_key (Q,)."""
        filled = min(int(self.count), len(self.h_img))
        return {name: tensor[:filled].clone() for name, tensor in self.named_buffers() if name != "count"}

    @torch.no_grad()
    def push(self, **rows: Tensor) -> None:
        """Takes in the pairs of a batch; the arguments are those of `held`."""
        size, count = len(self.h_img), len(rows["h_img"])
        latest = torch.arange(max(0, count - size), count, device=self.h_img.device)
        for name, tensor in rows.items():
            buffer = self.get_buffer(name)
            buffer[(self.count + latest) % size] = tensor.detach()[latest].to(buffer.dtype)
        self.count += count


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
                weight = parameter.detach().clone()
                parameter.copy_(self.mean[name])
                self.mean[name].copy_(weight)
