"""What stands in for a part of an image that is taken away: the image itself, blurred."""

import torch.nn.functional as F
from torch import Tensor

BLUR = 6  # the blur averages over a square of a sixth of the image's side: a lesion is gone, the anatomy stays


def blurred(image: Tensor) -> Tensor:
    """(U, C, H, W) -> the same, averaged three times over squares (nearly a Gaussian), the border repeated.

    A square's mean is that of its rows' means: 37 + 37 sums for a pixel of 224, not 37 x 37.
    """
    reach = max(1, image.shape[-1] // (2 * BLUR))
    for _ in range(3):
        image = F.pad(image, (reach,) * 4, mode="replicate")
        image = F.avg_pool2d(F.avg_pool2d(image, (1, 2 * reach + 1), 1), (2 * reach + 1, 1), 1)
    return image
