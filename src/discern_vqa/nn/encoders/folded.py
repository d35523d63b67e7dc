"""A frozen MobileNetV2: the same function with its batch norm folded into the convolutions, borders that
the convolutions add themselves, and channels last. In torch it takes two thirds of the time.

It is read off the modules of `mobilenet` (`folded`), as a plain list of blocks that another engine can be made of too
(`onnx_engine`).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from discern_vqa.nn.encoders.mobilenet import ConvLayer, MobileNetV2, borders

_TOP = 6.0  # of ReLU6


@dataclass(frozen=True)
class Convolution:
    """One convolution with its bias; `is_clipped`: followed by ReLU6."""

    weight: Tensor  # (O, I / groups, k, k), channels last
    bias: Tensor  # (O,)
    stride: int
    dilation: int
    groups: int
    padding: int | None  # on every side; None: TensorFlow's "same", which may be more at the bottom and on the right
    is_clipped: bool

    def borders(self, height: int, width: int) -> tuple[int, int, int, int]:
        """(top, left, bottom, right) pixels that are added to a map of this size."""
        if self.padding is not None:
            return (self.padding,) * 4
        return borders(height, width, self.weight.shape[-1], self.stride, self.dilation)

    def __call__(self, x: Tensor) -> Tensor:
        """(U, I, H, W) -> (U, O, H', W')."""
        top, left, bottom, right = self.borders(x.shape[2], x.shape[3])
        if (top, left) != (bottom, right):
            x, top, left = F.pad(x, (left, right, top, bottom)), 0, 0
        y = F.conv2d(x, self.weight, self.bias, self.stride, (top, left), self.dilation, self.groups)
        return y.clamp_(0.0, _TOP) if self.is_clipped else y


@dataclass(frozen=True)
class Block:
    """Convolutions one after the other; `adds_input`: what came in is added to what comes out."""

    convolutions: tuple[Convolution, ...]
    adds_input: bool = False


@dataclass(frozen=True)
class Folded:
    """The whole network below its last trained block: pixels that were normalised, (U, 3, H, W), to its map."""

    blocks: tuple[Block, ...]
    name = "folded"

    def __call__(self, x: Tensor) -> Tensor:
        """(U, 3, H, W) -> (U, C, h, w), channels last."""
        x = x.contiguous(memory_format=torch.channels_last)
        for block in self.blocks:
            before = x
            for convolution in block.convolutions:
                x = convolution(x)
            x = x + before if block.adds_input else x
        return x


def folded(backbone: nn.Module) -> Folded | None:
    """The blocks of a MobileNetV2 in eval mode; None of any other network."""
    if not isinstance(backbone, MobileNetV2):
        return None
    layers = [backbone.conv_stem, *backbone.layer]
    blocks = [Block(tuple(_folded_all(layer)), getattr(layer, "use_residual", False)) for layer in layers]
    if isinstance(backbone.conv_1x1, ConvLayer):  # else it belongs to what is trained
        blocks.append(Block(tuple(_folded_all(nn.Sequential(backbone.conv_1x1)))))
    return Folded(tuple(blocks))


def _folded_all(block: nn.Module) -> Iterator[Convolution]:
    """Each convolution of a block with its batch norm and its ReLU6."""
    for layer in block.children():
        assert isinstance(layer, ConvLayer)
        convolution = fuse_conv_bn_eval(layer.convolution, layer.normalization)
        assert convolution.bias is not None
        yield Convolution(
            convolution.weight.detach().contiguous(memory_format=torch.channels_last),
            convolution.bias.detach(),
            convolution.stride[0],
            convolution.dilation[0],
            convolution.groups,
            None if layer.pads_as_tensorflow else int(convolution.padding[0]),
            layer.is_clipped,
        )
