"""Which patches and words are hidden (CMDPI Eq. 2, `Mask(., rho)`): exact counts, chosen by a given generator."""

import torch
from torch import Tensor

from discern_vqa.division import Rows, uniform


def hide_cells(
    count: int,
    cells: int,
    rho: float,
    rng: torch.Generator,
    device: torch.device | str = "cpu",
    of: Rows | None = None,
) -> Tensor:
    """(count, cells) bool, True = hidden: exactly round(rho * cells) cells of each row. `of`: see `division`."""
    hidden = torch.zeros(count, cells, dtype=torch.bool)
    number = round(rho * cells)
    if number:
        order = uniform(rng, count, cells, of=of).argsort(dim=1)
        hidden.scatter_(1, order[:, :number], True)
    return hidden.to(device)


def hide_words(words: Tensor, rho: float, rng: torch.Generator, of: Rows | None = None) -> Tensor:
    """(B, M) bool, True = hidden: max(1, round(rho * n)) of each row's n words; none where rho = 0 or n = 0.

    `words` (B, M) True = a real token that is neither special nor padding. `of`: see `division`.
    """
    if rho <= 0:
        return torch.zeros_like(words)
    draws = uniform(rng, *words.shape, of=of).to(words.device)
    rank = draws.masked_fill(~words, 2.0).argsort(dim=1).argsort(dim=1)
    counts = words.sum(1, keepdim=True)
    number = torch.clamp((rho * counts).round(), min=1)
    return words & (rank < number)
