"""What stands in for a part of a picture that is taken away: the picture itself, blurred."""

import torch.nn.functional as F
from torch import Tensor

BLUR = 6
"""The blur averages over a square of a sixth of the picture's side: a lesion is gone, the anatomy stays."""


def blurred(image: Tensor) -> Tensor:
    """(U, C, H, W) -> the same, averaged three times over squares (nearly a Gaussian), the border repeated."""
    reach = max(1, image.shape[-1] // (2 * BLUR))
    for _ in range(3):
        image = F.avg_pool2d(F.pad(image, (reach,) * 4, mode="replicate"), 2 * reach + 1, 1)
    return image
