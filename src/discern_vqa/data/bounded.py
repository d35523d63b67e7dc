"""What is made of texts once and kept, in a bounded number of bytes."""

from collections.abc import Callable

import torch
from torch import Tensor

from discern_vqa.data.kept import STEP, Bounded

BoundedTensors = Bounded[Tensor]


def padded(keep: Tensor) -> Tensor:
    """(B,) the lengths of texts whose tokens are at `keep` (B, M), rounded up, so that few texts are alone with theirs:
    a layer's weights are read from memory once for all that are computed together."""
    return (keep.sum(1) + STEP - 1) // STEP * STEP


class PerText:
    """What is made of each text is made once, and kept as long as there is room.

    most: bytes. Texts that are about as long (`padded`) are made together, each of them once: most of the padding can
    then be cut off.
    """

    def __init__(self, most: int) -> None:
        self._kept = BoundedTensors(most)

    def __call__(self, ids: Tensor, keep: Tensor, make: Callable[[int, Tensor], Tensor]) -> Tensor:
        """(B, ...) what is made of the texts ids (B, M), whose tokens are at `keep`. `make` gets a length
        and the rows (n,) of texts that are padded to it, and returns (n, ...)."""
        texts, lengths = [tuple(row) for row in ids.tolist()], padded(keep).tolist()
        made = {text: self._kept.get(text) for text in texts}
        missing: dict[int, dict[tuple[int, ...], int]] = {}
        for row, text in enumerate(texts):
            if made[text] is None:
                missing.setdefault(lengths[row], {})[text] = row
        for length, rows in missing.items():
            places = torch.tensor(list(rows.values()), device=ids.device)
            for text, tensor in zip(rows, make(length, places), strict=True):
                made[text] = alone = tensor.clone()
                self._kept.put(text, alone)
        return torch.stack([tensor for text in texts if (tensor := made[text]) is not None])

    def clear(self) -> None:
        """Forgets all: what is made of a text has changed."""
        self._kept.trim(0)
