"""What is computed once and kept, in a bounded number of bytes. No torch here."""

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import Generic, Protocol, TypeVar


class Sized(Protocol):
    """An array or a tensor."""

    @property
    def nbytes(self) -> int:
        """Its bytes."""


T = TypeVar("T", bound=Sized)
STEP = 4
"""Lengths of texts are rounded up to a multiple of this, so that few texts are alone with theirs."""


class Bounded(Generic[T]):
    """Arrays or tensors by key, at most `most` bytes of them: what was used longest ago goes first. Threads may share
    it."""

    def __init__(self, most: int) -> None:
        self.most, self.bytes = most, 0
        self._entries: OrderedDict[Hashable, T] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Hashable) -> T | None:
        """The entry, which counts as used now; None where it is not there (any more)."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                self._entries.move_to_end(key)
            return entry

    def put(self, key: Hashable, entry: T) -> None:
        """Keeps `entry`, whose storage is nobody else's; others go where there is no room for all."""
        with self._lock:
            self._drop(key)
            self._entries[key] = entry
            self.bytes += entry.nbytes
        self.trim(self.most)

    def trim(self, most: int) -> None:
        """Frees what was used longest ago, until at most `most` bytes are held."""
        with self._lock:
            while self.bytes > most:
                self._drop(next(iter(self._entries)))

    def _drop(self, key: Hashable) -> None:
        before = self._entries.pop(key, None)
        self.bytes -= 0 if before is None else before.nbytes
