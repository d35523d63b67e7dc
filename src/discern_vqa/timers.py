"""Named timers: where the wall time of a command went (`--profile`).

Off unless somebody profiles, and then `timed` costs one look at a name. Spans lie within each other (an encoder within
a forward pass): each second counts for the innermost. Only the thread that profiles is timed, so that what other
threads do at the same time shows as far as it is waited for. On a GPU, work that is only handed over counts where it is
waited for.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Self, TypeVar

T = TypeVar("T")

LEAST = 0.005
"""Seconds that are shown by name."""
_OFF: AbstractContextManager[None] = nullcontext()


class Timers:
    """Seconds by name, each counted once."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.whole = 0.0
        self._names: list[str] = []
        self._thread = threading.get_ident()
        self._begun = self._last = time.perf_counter()

    @property
    def is_of_this_thread(self) -> bool:
        """Whether the caller is in the thread that is timed."""
        return threading.get_ident() == self._thread

    def begin(self, name: str) -> None:
        """What follows counts for `name`, until `end`."""
        self._count()
        self._names.append(name)

    def end(self) -> None:
        """What follows counts for the span around the one that ends."""
        self._count()
        self._names.pop()

    def stop(self) -> None:
        """Nothing that follows counts."""
        self.whole = time.perf_counter() - self._begun

    def lines(self) -> list[str]:
        """A table: what, seconds, share of the whole; the longest first, what no timer knows, or hardly, last."""
        named = sorted(
            ((name, taken) for name, taken in self.seconds.items() if taken >= LEAST), key=lambda row: -row[1]
        )
        rows = [*named, ("everything else", self.whole - sum(taken for _, taken in named)), ("whole", self.whole)]
        wide = max(len(name) for name, _ in rows)
        whole = max(self.whole, 1e-9)
        return [
            f"{'where the time went':{wide}}    seconds   share",
            *(f"{name:{wide}} {max(0.0, taken):10.2f} {max(0.0, taken) / whole:6.0%}" for name, taken in rows),
        ]

    def _count(self) -> None:
        now = time.perf_counter()
        if self._names:
            self.seconds[self._names[-1]] += now - self._last
        self._last = now


class _Span:
    def __init__(self, timers: Timers, name: str) -> None:
        self.timers, self.name = timers, name

    def __enter__(self) -> Self:
        self.timers.begin(self.name)
        return self

    def __exit__(self, *error: object) -> None:
        self.timers.end()


_active: Timers | None = None


def running() -> Timers | None:
    """The timers of this thread, where somebody profiles it."""
    timers = _active
    return timers if timers is not None and timers.is_of_this_thread else None


def timed(name: str) -> AbstractContextManager[object]:
    """The block counts for `name`, where somebody profiles this thread."""
    timers = running()
    return _Span(timers, name) if timers is not None else _OFF


def timed_each(name: str, items: Iterable[T]) -> Iterator[T]:
    """The items; the time until each is there counts for `name`."""
    iterator = iter(items)
    while True:
        with timed(name):
            try:
                item = next(iterator)
            except StopIteration:
                return
        yield item


@contextmanager
def profiling() -> Iterator[Timers]:
    """The block is timed, in this thread."""
    global _active
    before, timers = _active, Timers()
    _active = timers
    try:
        yield timers
    finally:
        timers.stop()
        _active = before
