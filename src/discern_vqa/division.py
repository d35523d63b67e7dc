"""A batch divided among processes that train together: which texts and images of the whole batch a process computes.

Everything about a batch is drawn for the whole of it, by every process alike, and each keeps the draws of its own rows.
So several processes see the same masks, pairs and views as one process with the same batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Place:
    """Which of the processes that train together this one is."""

    index: int
    processes: int


@dataclass(frozen=True)
class Rows:
    """Some rows of a tensor of the whole batch: `rows` (n,) of `total`."""

    total: int
    rows: Tensor


@dataclass(frozen=True)
class Share:
    """What one process computes of a batch. Stays on the CPU, where everything is drawn.

    A process for which no text is left (a last, short batch) computes the first one for company: it is `spare`, takes
    part in every exchange between the processes, and counts for nothing.
    """

    processes: int
    texts: Rows
    images: Rows  # that these texts show, and those that are mixed with them
    image_weights: Tensor  # (u,) one over the number of processes that compute the image
    spare: bool = False


def share_of(place: Place, which: Sequence[int], near: Sequence[int], images: int) -> Share:
    """The share of a process: texts in equal runs (the first processes have one more where they do not come out even),
    and every image that these need.

    which, near: for each text of the whole batch the image that it is about, and a similar one, or -1; images: how many
    there are in all.
    """
    runs = torch.arange(len(which)).tensor_split(place.processes)
    runs = tuple(run if len(run) else torch.tensor([0]) for run in runs)
    needed = torch.zeros(place.processes, images, dtype=torch.bool)
    for process, run in enumerate(runs):
        rows = run.tolist()
        needed[process, [which[row] for row in rows]] = True
        needed[process, [near[row] for row in rows if near[row] >= 0]] = True
    spare = torch.tensor([process >= len(which) for process in range(place.processes)])
    counts = (needed & ~spare[:, None]).sum(0).clamp(min=1)
    own, is_spare = needed[place.index].nonzero().flatten(), bool(spare[place.index])
    weights = (0.0 if is_spare else 1.0) / counts[own]
    return Share(place.processes, Rows(len(which), runs[place.index]), Rows(images, own), weights, is_spare)


def uniform(rng: torch.Generator, count: int, *shape: int, of: Rows | None = None) -> Tensor:
    """(count, *shape) numbers drawn evenly from [0, 1); `of`: those of some rows, drawn for the whole batch."""
    if of is None:
        return torch.rand(count, *shape, generator=rng)
    return torch.rand(of.total, *shape, generator=rng)[of.rows]
