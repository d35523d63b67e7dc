"""In which order the places of a sequence are visited: how the fast paths leave out padding and scan from the end."""

import torch
from torch import Tensor


def visits(
    sequences: int, length: int, keep: Tensor | None, reverse: bool, device: torch.device
) -> tuple[Tensor, Tensor]:
    """(B, L) int64, the places of each sequence in the order they are visited, and (B,) int64, how many of them are.

    keep (B, L) True = a real place; the others follow the last visited one and mean nothing.
    """
    places = torch.arange(length, device=device)
    places = (places.flip(0) if reverse else places).expand(sequences, length)
    if keep is None:
        return places.contiguous(), torch.full((sequences,), length, device=device)
    kept_first = torch.argsort(~keep.gather(1, places), dim=1, stable=True)
    return places.gather(1, kept_first), keep.sum(1)
