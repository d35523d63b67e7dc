"""A dictionary that holds a bounded number of bytes: what was used longest ago goes first."""

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock

from torch import Tensor


class BoundedTensors:
    """Tensors by key, at most `most` bytes of them. Several threads may use it."""

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
