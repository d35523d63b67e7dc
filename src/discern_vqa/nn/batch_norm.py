"""Batch norm whose figures are those of the whole batch, where several processes train together.

torch.nn.SyncBatchNorm runs on GPUs alone and counts an image twice that two processes compute; one process computes it
once. Here every image of the batch counts once.
"""

import torch
from torch import Tensor, nn

from discern_vqa.nn.gather import summed


class SharedBatchNorm(nn.BatchNorm2d):
    """Has the weights and figures of the batch norm that it takes the place of. `image_weights` (U,), to be set before
    each step: how much each image of this process counts; over all processes the weights of an image add up to 1."""

    image_weights: Tensor

    @classmethod
    def in_place_of(cls, norm: nn.BatchNorm2d) -> "SharedBatchNorm":
        """The same parameters and buffers, not copies."""
        made = cls(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats, device="meta")
        made.weight, made.bias = norm.weight, norm.bias
        made.running_mean, made.running_var = norm.running_mean, norm.running_var
        made.num_batches_tracked = norm.num_batches_tracked
        return made.train(norm.training)

    def forward(self, input: Tensor) -> Tensor:
        """(U, C, h, w) -> the same, each channel with mean 0 and variance 1 over all images of the whole batch."""
        if not self.training or self.momentum is None or self.running_mean is None or self.running_var is None:
            return super().forward(input)
        x = input.float()
        weights = self.image_weights.to(x.device, x.dtype).view(-1, 1, 1, 1)
        figures = summed(torch.cat([(x * weights).sum((0, 2, 3)), weights.sum()[None] * x[0, 0].numel()]))
        count = figures[-1].detach()
        mean = figures[:-1] / count
        centred = x - mean.view(1, -1, 1, 1)
        variance = summed((centred.square() * weights).sum((0, 2, 3))) / count
        with torch.no_grad():
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
            unbiased = variance * count / (count - 1).clamp(min=1)
            self.running_var.lerp_(unbiased.to(self.running_var.dtype), self.momentum)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.add_(1)
        scaled = centred * (variance + self.eps).rsqrt().view(1, -1, 1, 1)
        if self.affine:
            scaled = scaled * self.weight.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)
        return scaled.to(input.dtype)


def share_norms(module: nn.Module) -> list[SharedBatchNorm]:
    """Puts a SharedBatchNorm in the place of each batch norm in `module`; returns them all."""
    norms: list[SharedBatchNorm] = []
    for inner in module.modules():
        for name, child in inner.named_children():
            if type(child) is nn.BatchNorm2d and child.track_running_stats:
                norms.append(SharedBatchNorm.in_place_of(child))
                setattr(inner, name, norms[-1])
    return norms
