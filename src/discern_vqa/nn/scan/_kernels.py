"""The compiled scan, forward and backward, in the language of `_language.py`.

How the work is cut. A *unit* is one sequence and `GROUP` channels of E; threads share the units. A unit walks through
its sequence in *chunks* of `STEPS` places. A chunk's rows are first gathered for one *tile* (`VECTORS` vectors of
channels) into scratch memory that stays in the first-level cache. Then a *block* (`STATES` states of that tile) runs
through the chunk with its states in registers: of the (B, L, E, S) numbers that the plain forms write to memory, the
forward kernel keeps one in `STEPS`, the state at each chunk's start. The backward kernel goes through the chunks from
the last to the first, repeats a block's states from the kept one, and then runs the adjoint recurrence

    G_t = dy_t C_t + a_(t+1) G_(t+1)                            with u = dt x
    dC_t = sum_e dy_t h_t          dB_t = sum_e G_t u_t         du_t = sum_s G_t B_t
    dx_t = dy_t D + dt_t du_t      ddt_t = x_t du_t + sum_s G_t a_t h_(t-1) A
    dA = sum_bt G_t a_t h_(t-1) dt_t                            dD = sum_bt dy_t x_t

Every sum has one order, whatever the number of threads. Places are visited in a given order: padding is left out of it,
and a scan from the end is the order turned round; neither costs anything here.

Layouts: channels are counted in tiles. A, kept states, G and dA are (..., tiles, S, tile); A comes times log2(e).
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from discern_vqa.nn.scan._language import Array, Int, Kernel, Lanes, Place, exp2

STEPS = 16  # places in a chunk: what a block needs of 16 places takes 20 KiB, half of a usual first-level cache
STATES, VECTORS = 2, 2
"""States and vectors of a block: 4 states in registers, in the backward kernel 4 gradients beside them."""
GROUP = 256  # channels of a unit: enough to make sums over channels cheap, few enough for units to outnumber threads

GIVEN = (
    "counter sequences length tiles groups S order counts x x.row x.step dt dt.row dt.step A B B.row B.step"
    " C C.row C.step D kept kept.row kept.step"
).split()
FORWARD = [*GIVEN, *"y y.row y.step".split()]
BACKWARD = [*GIVEN, *"dy dy.row dy.step dx dx.row dx.step ddt ddt.row ddt.step dA dB dC dD G".split()]
"""What the kernels are given: addresses, sizes, and strides in numbers between rows (sequences) and steps (places)."""


class Chunk(NamedTuple):
    """Some places of one sequence, one after the other."""

    number: Int
    steps: Int
    first: Int


class Walk:
    """What the two kernels have in common: the given arrays, the units, the chunks and their places."""

    def __init__(self, name: str, names: list[str], width: int) -> None:
        self.kernel = kernel = Kernel(name, names, width)
        self.tile, self.width, self.given = VECTORS * width, width, kernel.given
        self.S = self.given["S"]
        self.of_tile = self.S * self.tile
        self.x, self.dt = self.channels("x"), self.channels("dt")
        self.B, self.C = (Array(kernel.place(key), *self.strides(key), 1) for key in "BC")  # b, t, state
        self.A = Array(kernel.place("A"), self.of_tile, self.tile, width)  # tile, state, vector
        self.D = Array(kernel.place("D"), self.tile, width)  # tile, vector
        kept = kernel.place("kept")
        self.kept = Array(kept, *self.strides("kept"), self.of_tile, self.tile, width)  # b, chunk, tile, state, vector

    def strides(self, name: str) -> tuple[Int, Int]:
        """Numbers between the rows and between the steps of a given array."""
        return self.given[f"{name}.row"], self.given[f"{name}.step"]

    def channels(self, name: str) -> Array:
        """A given (B, L, E) array, by b, t, tile, vector."""
        return Array(self.kernel.place(name), *self.strides(name), self.tile, self.width)

    @contextmanager
    def units(self) -> Iterator[tuple[Int, Int, Int, Int]]:
        """(b, group, first tile, the tile after the last) of each unit."""
        groups, tiles = self.given["groups"], self.given["tiles"]
        with self.kernel.units(self.given["sequences"] * groups, self.kernel.place("counter")) as unit:
            group = unit % groups
            first = group * (GROUP // self.tile)
            yield unit // groups, group, first, (first + GROUP // self.tile).at_most(tiles)

    def chunks(self, b: Int) -> Int:
        """How many chunks sequence b has."""
        return (self._count(b) + (STEPS - 1)) // STEPS

    def chunk(self, b: Int, number: Int) -> Chunk:
        """Chunk `number` of sequence b."""
        start = number * STEPS
        steps = (self._count(b) - start).at_most(self.kernel.number(STEPS))
        return Chunk(number, steps, b * self.given["length"] + start)

    def place_of(self, chunk: Chunk, step: Int) -> Int:
        """t, the place in the sequence, of a chunk's step."""
        return self.kernel.read_int(self.kernel.place("order"), chunk.first + step)

    @contextmanager
    def left_out(self, b: Int) -> Iterator[Int]:
        """t of each place of sequence b that is not visited; the order names them last."""
        with self.kernel.loop(self.given["length"], start=self._count(b)) as (s, _):
            yield self.kernel.read_int(self.kernel.place("order"), b * self.given["length"] + s)

    def clear(self, place: Place, numbers: Int) -> None:
        """Writes zeros, a multiple of the width of them."""
        with self.kernel.loop(numbers, step=self.width) as (position, _):
            (place + position).put(self.kernel.constant(0.0))

    def _count(self, b: Int) -> Int:
        return self.kernel.read_int(self.kernel.place("counts"), b)

    def block(self, array: Array, *indices: Int) -> list[Lanes]:
        """The block of an array whose last three indices are tile, state and vector, states outermost."""
        *before, state = indices
        return [array.at(*before, state + n, j).lanes() for n in range(STATES) for j in range(VECTORS)]

    def put_block(self, array: Array, block: list[Lanes], *indices: Int) -> None:
        """The inverse of `block`."""
        *before, state = indices
        for n in range(STATES):
            for j in range(VECTORS):
                array.at(*before, state + n, j).put(block[n * VECTORS + j])


def forward(width: int) -> Kernel:
    """y, and the state at the start of each chunk (where `kept.step` is 0, one state that is written over)."""
    walk = Walk("forward", FORWARD, width)
    kernel, tile = walk.kernel, walk.tile
    DT, U, Y = range(3)
    row = Array(kernel.scratch(STEPS * 3 * tile), 3 * tile, tile, width)  # step, which of the three, vector
    y = walk.channels("y")
    with walk.units() as (b, _, first, last):
        chunks = walk.chunks(b)
        walk.clear(walk.kept.at(b, 0, first), (last - first) * walk.of_tile)
        with kernel.loop(chunks) as (c, _):
            chunk = walk.chunk(b, c)
            with kernel.loop(last, start=first) as (i, _):
                with kernel.loop(chunk.steps) as (s, _):
                    t = walk.place_of(chunk, s)
                    for j in range(VECTORS):
                        x, dt = walk.x.at(b, t, i, j).lanes(), walk.dt.at(b, t, i, j).lanes()
                        row.at(s, DT, j).put(dt)
                        row.at(s, U, j).put(dt * x)
                        row.at(s, Y, j).put(walk.D.at(i, j).lanes() * x)
                with kernel.loop(walk.S, step=STATES) as (n, _):
                    A = walk.block(walk.A, i, n)
                    with kernel.loop(chunk.steps, carry=walk.block(walk.kept, b, c, i, n)) as (s, h):
                        t = walk.place_of(chunk, s)
                        B = [walk.B.at(b, t, n + m).repeated() for m in range(STATES)]
                        C = [walk.C.at(b, t, n + m).repeated() for m in range(STATES)]
                        for j in range(VECTORS):
                            dt, u, out = (row.at(s, which, j).lanes() for which in (DT, U, Y))
                            for m in range(STATES):
                                q = m * VECTORS + j
                                h[q] = h[q].times(exp2(dt * A[q]), plus=u * B[m])
                                out = C[m].times(h[q], plus=out)
                            row.at(s, Y, j).put(out)
                    with kernel.builder.if_then(c + 1 < chunks):
                        walk.put_block(walk.kept, h, b, c + 1, i, n)
                with kernel.loop(chunk.steps) as (s, _):
                    t = walk.place_of(chunk, s)
                    for j in range(VECTORS):
                        y.at(b, t, i, j).put(row.at(s, Y, j).lanes())
        with walk.left_out(b) as t:
            walk.clear(y.at(b, t, first), (last - first) * tile)
    return kernel


def backward(width: int) -> Kernel:
    """dx, ddt; dA and dD for each sequence; dB and dC for each sequence and group of channels.

    G is room for the adjoint state between chunks.
    """
    walk = Walk("backward", BACKWARD, width)
    kernel, tile, S = walk.kernel, walk.tile, walk.S
    DT, U, X, DY, DU, DECAY = range(6)
    H, FACTOR = range(2)
    SUM_B, SUM_C = range(2)
    row = Array(kernel.scratch(STEPS * 6 * tile), 6 * tile, tile, width)  # step, which of the six, vector
    # step, H or FACTOR, position in the block. Step s holds h before and a at place s; step s + 1 the h after it.
    path = Array(kernel.scratch((STEPS + 1) * 2 * STATES * tile), 2 * STATES * tile, STATES * tile, width)
    sums = Array(kernel.scratch(S * (STEPS * 2 * width)), STEPS * 2 * width, 2 * width, width)  # state, step, B or C
    per_sequence = (walk.given["tiles"] * walk.of_tile, walk.of_tile, tile, width)  # b, tile, state, vector
    G, dA = (Array(kernel.place(name), *per_sequence) for name in ("G", "dA"))
    dD = Array(kernel.place("dD"), walk.given["tiles"] * tile, tile, width)  # b, tile, vector
    per_unit = (walk.given["groups"] * walk.given["length"] * S, walk.given["length"] * S, S, 1)  # b, group, t, state
    dB, dC = (Array(kernel.place(name), *per_unit) for name in ("dB", "dC"))
    dy, dx, ddt = (walk.channels(name) for name in ("dy", "dx", "ddt"))
    zero, ln2 = kernel.constant(0.0), kernel.constant(math.log(2))
    with walk.units() as (b, group, first, last):
        chunks = walk.chunks(b)
        for array in (G, dA):
            walk.clear(array.at(b, first), (last - first) * walk.of_tile)
        walk.clear(dD.at(b, first), (last - first) * tile)
        with kernel.loop(chunks) as (passed, _):
            chunk = walk.chunk(b, chunks - passed - 1)
            walk.clear(sums.start, S * (STEPS * 2 * width))
            with kernel.loop(last, start=first) as (i, _):
                D = [walk.D.at(i, j).lanes() for j in range(VECTORS)]
                with kernel.loop(chunk.steps, carry=[dD.at(b, i, j).lanes() for j in range(VECTORS)]) as (s, sum_D):
                    t = walk.place_of(chunk, s)
                    for j in range(VECTORS):
                        x, dt, g = (array.at(b, t, i, j).lanes() for array in (walk.x, walk.dt, dy))
                        for which, lanes in {DT: dt, U: dt * x, X: x, DY: g, DU: zero, DECAY: zero}.items():
                            row.at(s, which, j).put(lanes)
                        sum_D[j] = g.times(x, plus=sum_D[j])
                for j in range(VECTORS):
                    dD.at(b, i, j).put(sum_D[j])
                with kernel.loop(S, step=STATES) as (n, _):
                    A, start = walk.block(walk.A, i, n), walk.block(walk.kept, b, chunk.number, i, n)
                    for q, lanes in enumerate(start):
                        path.at(0, H, q).put(lanes)
                    with kernel.loop(chunk.steps, carry=start) as (s, h):
                        t = walk.place_of(chunk, s)
                        B = [walk.B.at(b, t, n + m).repeated() for m in range(STATES)]
                        sum_C = [sums.at(n + m, s, SUM_C).lanes() for m in range(STATES)]
                        for j in range(VECTORS):
                            dt, u, g = (row.at(s, which, j).lanes() for which in (DT, U, DY))
                            for m in range(STATES):
                                q = m * VECTORS + j
                                factor = exp2(dt * A[q])
                                h[q] = h[q].times(factor, plus=u * B[m])
                                path.at(s, FACTOR, q).put(factor)
                                path.at(s + 1, H, q).put(h[q])
                                sum_C[m] = g.times(h[q], plus=sum_C[m])
                        for m in range(STATES):
                            sums.at(n + m, s, SUM_C).put(sum_C[m])
                    adjoint = [*walk.block(G, b, i, n), *walk.block(dA, b, i, n)]
                    with kernel.loop(chunk.steps, carry=adjoint) as (passed_steps, held):
                        s = chunk.steps - passed_steps - 1
                        t = walk.place_of(chunk, s)
                        B = [walk.B.at(b, t, n + m).repeated() for m in range(STATES)]
                        C = [walk.C.at(b, t, n + m).repeated() for m in range(STATES)]
                        sum_B = [sums.at(n + m, s, SUM_B).lanes() for m in range(STATES)]
                        for j in range(VECTORS):
                            dt, u, g, du, decay = (row.at(s, which, j).lanes() for which in (DT, U, DY, DU, DECAY))
                            for m in range(STATES):
                                q = m * VECTORS + j
                                adj = g.times(C[m], plus=held[q])
                                sum_B[m] = adj.times(u, plus=sum_B[m])
                                du = adj.times(B[m], plus=du)
                                held[q] = adj * path.at(s, FACTOR, q).lanes()
                                through = held[q] * path.at(s, H, q).lanes()  # G_t a_t h_(t-1)
                                decay = through.times(A[q], plus=decay)
                                held[len(A) + q] = through.times(dt, plus=held[len(A) + q])
                            row.at(s, DU, j).put(du)
                            row.at(s, DECAY, j).put(decay)
                        for m in range(STATES):
                            sums.at(n + m, s, SUM_B).put(sum_B[m])
                    walk.put_block(G, held[: len(A)], b, i, n)
                    walk.put_block(dA, held[len(A) :], b, i, n)
                with kernel.loop(chunk.steps) as (s, _):
                    t = walk.place_of(chunk, s)
                    for j in range(VECTORS):
                        dt, x, g, du, decay = (row.at(s, which, j).lanes() for which in (DT, X, DY, DU, DECAY))
                        dx.at(b, t, i, j).put(g.times(D[j], plus=du * dt))
                        ddt.at(b, t, i, j).put(decay.times(ln2, plus=du * x))
            with kernel.loop(chunk.steps) as (s, _):
                t = walk.place_of(chunk, s)
                with kernel.loop(S) as (n, _):
                    dB.at(b, group, t, n).put_number(sums.at(n, s, SUM_B).lanes().sum())
                    dC.at(b, group, t, n).put_number(sums.at(n, s, SUM_C).lanes().sum())
        with walk.left_out(b) as t:
            for array in (dx, ddt):
                walk.clear(array.at(b, t, first), (last - first) * tile)
            with kernel.loop(S) as (n, _):
                for array in (dB, dC):
                    array.at(b, group, t, n).put_number(zero.sum())
    return kernel
