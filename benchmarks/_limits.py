"""What this machine can do at most, measured with the compiled scan's own vectors, and what a scan asks of it."""

from collections.abc import Callable, Mapping

import torch

from discern_vqa.nn.scan import _kernels
from discern_vqa.nn.scan._language import Array, Kernel, Lanes, exp2, host_width
from discern_vqa.nn.scan._threads import on_threads

ROUNDS = 2**16
"""Rounds of a micro-kernel for each thread: some milliseconds."""
VECTORS = 48
"""Vectors of numbers that the exponentials are taken of: they stay in the first-level cache."""
CHAINS = 12
"""Independent sums: more than a processor has multiply-adds under way."""
COPIED = 2**25
"""float32 numbers copied: more than any cache holds."""


def work_of(sequences: int, length: int, channels: int, states: int) -> dict[str, float]:
    """What forward and backward of the compiled scan ask for at least, whatever the order of the work.

    Exponentials: one for each state step, and one again when a chunk is repeated. Multiply-adds beside them: 4 forward
    (dt A, u B, h, y), 4 repeated (dt A, u B, h, dC), 7 backward (G, dB, du, a G, a G h, ddt, dA). Bytes: forward reads
    x and dt and writes y; backward reads x, dt and dy and writes dx and ddt; the states at the chunks' starts are
    written and read.
    """
    steps = sequences * length * channels * states
    rows = sequences * length * channels
    return {
        "exponentials": 2 * steps,
        "multiply_adds": 15 * steps,
        "bytes": 4 * (8 * rows + 2 * rows * states / _kernels.STEPS),
    }


def exponentials() -> Kernel:
    """Sums of powers of two of the numbers at `data`, over and over."""
    kernel = Kernel("exponentials", ["data"], host_width())
    numbers = Array(kernel.place("data"), kernel.width)
    zero = kernel.constant(0.0)
    with kernel.loop(kernel.number(ROUNDS), carry=[zero] * 4) as (_, sums):
        with kernel.loop(kernel.number(VECTORS), step=4, carry=sums) as (i, inner):
            for j in range(4):
                inner[j] = inner[j] + exp2(numbers.at(i + j).lanes())
        sums[:] = inner
    return _keeping(kernel, sums)


def multiply_adds() -> Kernel:
    """Chains of multiply-adds in registers."""
    kernel = Kernel("multiply_adds", ["data"], host_width())
    factor, more = (Array(kernel.place("data"), kernel.width).at(j).lanes() for j in range(2))
    zero = kernel.constant(0.0)
    with kernel.loop(kernel.number(ROUNDS * VECTORS // CHAINS), carry=[zero] * CHAINS) as (_, sums):
        for _repeat in range(4):
            for j in range(CHAINS):
                sums[j] = sums[j].times(factor, plus=more)
    return _keeping(kernel, sums)


def _keeping(kernel: Kernel, sums: list[Lanes]) -> Kernel:
    """Writes the sums, so that they have to be computed, and ends the kernel."""
    for lanes in sums[1:]:
        sums[0] = sums[0] + lanes
    kernel.place("data").put(sums[0])
    kernel.builder.ret_void()
    return kernel


class Machine:
    """The limits: `runs` are timed in the same rounds as the scans, `limit` reads them."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        numbers = ROUNDS * VECTORS * host_width() * threads
        self.amounts = {"exponentials": numbers, "multiply_adds": 4 * numbers, "bytes": 2 * 4 * COPIED}
        source, target = torch.zeros(COPIED), torch.zeros(COPIED)
        self.runs: dict[str, Callable[[], object]] = {
            "exponentials": self._on_all_threads(exponentials()),
            "multiply_adds": self._on_all_threads(multiply_adds()),
            "bytes": lambda: target.copy_(source),
        }

    def _on_all_threads(self, kernel: Kernel) -> Callable[[], object]:
        code, data = kernel.translate(), -torch.rand(VECTORS * 16)  # read by all; each writes one vector at its end
        listed = torch.tensor([data.data_ptr()])
        return lambda: on_threads(code, listed.data_ptr(), self.threads, data)

    def limit(self, rounds: list[dict[str, float]], work: Mapping[str, float]) -> dict[str, float]:
        """Rates per second, the least time that the work would take at them, and how far above it our scan stands.

        Here the best round counts, of ours and of each limit: it is about what the machine can do. Arithmetic follows
        arithmetic; memory may be read and written meanwhile.
        """
        best = {name: min(each[name] for each in rounds) for name in ("ours", *self.amounts)}
        least = {name: work[name] * best[name] / amount for name, amount in self.amounts.items()}
        arithmetic, memory = least["exponentials"] + least["multiply_adds"], least["bytes"]
        return {
            **{f"{name}_per_second": amount / best[name] for name, amount in self.amounts.items()},
            "arithmetic_seconds": arithmetic,
            "memory_seconds": memory,
            "best_seconds": best["ours"],
            "times_above_the_limit": best["ours"] / max(arithmetic, memory),
        }
