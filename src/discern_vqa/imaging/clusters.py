"""What hangs together through pairs, directly or through others, when pairs are many and come in blocks. No torch."""

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


class Clusters:
    """n things, each alone at first. `add` joins pairs; `labels` says which cluster each is in."""

    def __init__(self, n: int) -> None:
        self._parent = np.arange(n, dtype=np.int64)

    def add(self, one: Ints, other: Ints) -> None:
        """Joins each pair, (pairs,) and (pairs,). Pairs that are joined already cost next to nothing."""
        roots = self.labels()
        joined = np.stack([roots[one], roots[other]], axis=1)
        joined = np.unique(np.sort(joined[joined[:, 0] != joined[:, 1]], axis=1), axis=0)
        for left, right in joined.tolist():
            least, greatest = sorted((self._root(left), self._root(right)))
            self._parent[greatest] = least

    def labels(self) -> Ints:
        """(n,) the least member of each thing's cluster."""
        while True:
            above = self._parent[self._parent]
            if np.array_equal(above, self._parent):
                return self._parent.copy()
            self._parent = above

    def sizes(self) -> Ints:
        """How many members the clusters have, the largest first; those of one member are left out."""
        counts = np.bincount(self.labels(), minlength=1)
        return np.sort(counts[counts > 1])[::-1]

    def _root(self, place: int) -> int:
        while (above := int(self._parent[place])) != place:
            place = above
        return place
