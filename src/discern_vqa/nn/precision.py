"""Whether bfloat16 saves time where a network is computed. Processors without such arithmetic imitate it: on one with
AVX2 alone a product of 2048 x 256 and 256 x 1024 took 1.67 s in bfloat16 and 0.05 s in 32 bits (benchmarks/README.md).
"""

import platform
from typing import Literal

import torch

Precision = Literal["fp32", "bf16"]


def bfloat16_in_hardware() -> bool:
    """Whether a GPU is there, or the processor multiplies bfloat16 itself (x86: AVX-512 BF16 or AMX; Arm: BF16)."""
    if torch.cuda.is_available():
        return True
    if platform.machine().lower() in ("x86_64", "amd64"):
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def computed(wanted: Precision) -> Precision:
    """The precision that is computed with: the recipe's, or fp32 where bfloat16 would only be imitated."""
    return "bf16" if wanted == "bf16" and bfloat16_in_hardware() else "fp32"
