"""What hangs together through pairs, directly or through others, when pairs are many and come in blocks. No torch."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Ints = NDArray[np.int64]


class Clusters:
    """n things, each alone at first. `add` joins pairs; `labels` is (n,), the least member of each thing's cluster."""

    def __init__(self, n: int) -> None:
        self.labels = np.arange(n, dtype=np.int64)

    def add(self, one: Ints, other: Ints) -> None:
        """Joins each pair, (pairs,) and (pairs,)."""
        roots, pairs = np.unique(self.labels[np.stack([one, other])], return_inverse=True)
        edges = coo_array((np.ones(len(one), bool), pairs.reshape(2, -1)), shape=(len(roots), len(roots)))
        count, component = connected_components(edges, directed=False)
        least = np.full(count, len(self.labels))
        np.minimum.at(least, component, roots)
        renamed = np.arange(len(self.labels))
        renamed[roots] = least[component]
        self.labels = renamed[self.labels]

    def sizes(self) -> Ints:
        """How many members the clusters have, the largest first; those of one member are left out."""
        counts = np.bincount(self.labels, minlength=1)
        return np.sort(counts[counts > 1])[::-1]
