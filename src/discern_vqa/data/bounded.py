"""What is computed once and kept, in a bounded number of bytes."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock

import torch
from torch import Tensor

_STEP = 4


class BoundedTensors:
    """Tensors by key, at most `most` bytes of them: what was used longest ago goes first. Threads may share it."""

    def __init__(self, most: int) -> None:
        self.most, self.bytes = most, 0
        self._tensors: OrderedDict[Hashable, Tensor] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._tensors)

    def get(self, key: Hashable) -> Tensor | None:
        """The tensor, which counts as used now; None where it is not there (any more)."""
        with self._lock:
            tensor = self._tensors.get(key)
            if tensor is not None:
                self._tensors.move_to_end(key)
            return tensor

    def put(self, key: Hashable, tensor: Tensor) -> None:
        """Keeps `tensor`, whose storage is nobody else's; others go where there is no room for all."""
        with self._lock:
            self._drop(key)
            self._tensors[key] = tensor
            self.bytes += tensor.nbytes
        self.trim(self.most)

    def trim(self, most: int) -> None:
        """Frees what was used longest ago, until at most `most` bytes are held."""
        with self._lock:
            while self.bytes > most:
                self._drop(next(iter(self._tensors)))

    def _drop(self, key: Hashable) -> None:
        before = self._tensors.pop(key, None)
        self.bytes -= 0 if before is None else before.nbytes


def padded(keep: Tensor) -> Tensor:
    """(B,) the lengths of texts whose tokens are at `keep` (B, M), rounded up, so that few texts are alone with theirs:
    a layer's weights are read from memory once for all that are computed together."""
    return (keep.sum(1) + _STEP - 1) // _STEP * _STEP


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
