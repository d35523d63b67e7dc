"""MobileNetV2 (Sandler et al. 2018, "Inverted Residuals and Linear Bottlenecks", table 2), with the names and the
settings of the weights that `transformers` publishes, TensorFlow's borders among them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from discern_vqa.nn.encoders.plain_weights import Conv2d, drawn, opened

_CHANNELS = (16, 24, 24, 32, 32, 32, 64, 64, 64, 64, 96, 96, 96, 160, 160, 160, 320)
_STRIDES = (2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1)
_FIRST, _LAST = 32, 1280
_DEFAULTS = {
    "num_channels": 3,
    "image_size": 224,
    "depth_multiplier": 1.0,
    "depth_divisible_by": 8,
    "min_depth": 8,
    "expand_ratio": 6.0,
    "output_stride": 32,
    "first_layer_is_expansion": True,
    "finegrained_output": True,
    "hidden_act": "relu6",
    "tf_padding": True,
    "layer_norm_eps": 0.001,
}
"""What a config.json leaves out."""
_ASKED = {"model_type": "mobilenet_v2", "hidden_act": "relu6"}


class ConvLayer(nn.Module):
    """A convolution, its batch norm and, unless it ends a block, ReLU6."""

    def __init__(
        self,
        settings: Any,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        is_clipped: bool = True,
    ) -> None:
        super().__init__()
        self.is_clipped, self.pads_as_tensorflow = is_clipped, bool(settings.tf_padding)
        border = 0 if self.pads_as_tensorflow else (kernel - 1) // 2 * dilation
        self.convolution = Conv2d(inputs, outputs, kernel, stride, border, dilation, groups, bias=False)
        self.normalization = nn.BatchNorm2d(outputs, eps=settings.layer_norm_eps)

    def forward(self, x: Tensor) -> Tensor:
        """(U, I, H, W) -> (U, O, H', W')."""
        if self.pads_as_tensorflow:
            bare = self.convolution
            top, left, bottom, right = borders(
                x.shape[2], x.shape[3], bare.kernel_size[0], bare.stride[0], bare.dilation[0]
            )
            x = F.pad(x, (left, right, top, bottom))
        x = self.normalization(self.convolution(x))
        return F.relu6(x) if self.is_clipped else x


def borders(height: int, width: int, kernel: int, stride: int, dilation: int) -> tuple[int, int, int, int]:
    """(top, left, bottom, right) pixels that TensorFlow's "same" adds to a map of this size: an odd one at the bottom
    and on the right."""
    both = [max(kernel - (side % stride or stride), 0) for side in (height, width)]
    top, left = (whole // 2 * dilation for whole in both)
    bottom, right = ((whole - whole // 2) * dilation for whole in both)
    return top, left, bottom, right


class Stem(nn.Module):
    """From pixels to the first narrow map."""

    def __init__(self, settings: Any, width: int, outputs: int) -> None:
        super().__init__()
        self.first_conv = ConvLayer(settings, settings.num_channels, width, 3, stride=2)
        self.expand_1x1 = None if settings.first_layer_is_expansion else ConvLayer(settings, width, width)
        self.conv_3x3 = ConvLayer(settings, width, width, 3, groups=width)
        self.reduce_1x1 = ConvLayer(settings, width, outputs, is_clipped=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first_conv(x)
        x = x if self.expand_1x1 is None else self.expand_1x1(x)
        return self.reduce_1x1(self.conv_3x3(x))


class InvertedResidual(nn.Module):
    """Wide between two narrow maps; where these are of one shape, the first is added to the second."""

    def __init__(self, settings: Any, inputs: int, outputs: int, stride: int, dilation: int) -> None:
        super().__init__()
        width = _rounded(round(inputs * settings.expand_ratio), settings)
        self.use_residual = stride == 1 and inputs == outputs
        self.expand_1x1 = ConvLayer(settings, inputs, width)
        self.conv_3x3 = ConvLayer(settings, width, width, 3, stride, dilation, groups=width)
        self.reduce_1x1 = ConvLayer(settings, width, outputs, is_clipped=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.reduce_1x1(self.conv_3x3(self.expand_1x1(x)))
        return x + y if self.use_residual else y


class MobileNetV2(nn.Module):
    """Normalised pixels (U, 3, H, W) to the map of the last convolution, (U, 1280, H / 32, W / 32)."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.config = settings = SimpleNamespace(**config)
        first, *channels = (_scaled(count, settings) for count in (_FIRST, *_CHANNELS))
        self.conv_stem = Stem(settings, first, channels[0])
        reached, dilation = 2, 1
        blocks: list[nn.Module] = []
        for inputs, outputs, stride in zip(channels, channels[1:], _STRIDES, strict=False):
            if reached == settings.output_stride:  # from here on dilated, so that maps get no smaller
                blocks.append(InvertedResidual(settings, inputs, outputs, 1, dilation))
                dilation *= stride
            else:
                blocks.append(InvertedResidual(settings, inputs, outputs, stride, 1))
                reached *= stride
        self.layer = nn.ModuleList(blocks)
        is_wide = settings.finegrained_output and settings.depth_multiplier < 1
        last = _LAST if is_wide else _scaled(_LAST, settings)
        self.conv_1x1: nn.Module = ConvLayer(settings, channels[-1], last)

    def forward(self, x: Tensor) -> SimpleNamespace:
        """The map as `last_hidden_state`, as encoders of `transformers` give theirs."""
        x = self.conv_stem(x)
        for block in self.layer:
            x = block(x)
        return SimpleNamespace(last_hidden_state=self.conv_1x1(x))


def mobilenet(folder: Path | None) -> tuple[MobileNetV2, list[str]] | None:
    """The network of a folder and the names of what no file filled, as `from_folder`; None of another network, or of
    weights that are not whole. Without a folder, all of it is random."""
    if folder is None:
        return drawn(lambda: MobileNetV2(_DEFAULTS)), ["all"]
    return opened(MobileNetV2, folder, _ASKED, _DEFAULTS, "mobilenet_v2.")


def _scaled(channels: int, settings: Any) -> int:
    return _rounded(round(channels * settings.depth_multiplier), settings)


def _rounded(channels: int, settings: Any) -> int:
    """A number of channels as a multiple of `depth_divisible_by`, at most a tenth below what was asked for."""
    unit = settings.depth_divisible_by
    near = max(settings.min_depth, int(channels + unit / 2) // unit * unit)
    return int(near + unit if near < 0.9 * channels else near)
