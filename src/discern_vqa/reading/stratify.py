"""Stratified assignment of clusters of samples to parts of given sizes: each part gets its share of every kind.

A cluster is never divided. The kinds are the pairs of answer type and organ. Counted are the questions that an
evaluation split would ask: as people asked them, no template re-phrasings and no captions.
"""

import random
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from discern_vqa.data.sample import Sample


def questions_by_kind(samples: Sequence[Sample], clusters: Sequence[int], n: int) -> NDArray[np.float64]:
    """(n, kinds) evaluated samples of each of the n clusters by kind; the last column counts all of them."""
    kinds = [(sample.answer_type, sample.organ) for sample in samples]
    column_of = {kind: column for column, kind in enumerate(sorted(set(kinds)))}
    counts = np.zeros((n, len(column_of) + 1))
    for cluster, kind in zip(clusters, kinds, strict=True):
        counts[cluster, [column_of[kind], -1]] += 1
    return counts


def assign(counts: NDArray[np.float64], shares: Mapping[str, float], seed: int) -> list[str]:
    """The part that each cluster goes to.

    The largest clusters are assigned first, each to the part that lacks most of its kinds, weighted by their rarity.
    Among equal clusters the seed decides the order. Clusters without an evaluated question go to the largest part.
    `counts` is (clusters, kinds), from `questions_by_kind`; `shares` is the wanted share of each part, in all 1.
    """
    parts, wanted = list(shares), np.array(list(shares.values()))
    totals = np.maximum(counts.sum(axis=0), 1)
    targets = wanted[:, None] * counts.sum(axis=0)
    have = np.zeros_like(targets)
    order = list(range(len(counts)))
    random.Random(seed).shuffle(order)
    order.sort(key=lambda cluster: -counts[cluster, -1])
    part_of = [parts[int(wanted.argmax())]] * len(counts)
    for cluster in order:
        row = counts[cluster]
        if row[-1]:
            # The part whose squared distance to its targets shrinks most: the cluster's own square is common to all.
            part = int(np.argmin(((have - targets) * row / totals).sum(axis=1)))
            have[part] += row
            part_of[cluster] = parts[part]
    return part_of
