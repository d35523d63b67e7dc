"""D7 of cmi_mtl.md 1.4: the data loaders drop the last incomplete batch, of validation and test too."""

from typing import ClassVar

from discern_vqa.data.fault import Fault
from discern_vqa.data.sample import Sample


class Imitation(Fault):
    """See the module."""

    says: ClassVar = "the last incomplete batch is left out, of validation and the test split too"

    def batches(self, batches: list[list[int]], size: int) -> list[list[int]]:
        """All but the one that was not filled, where there is one. A batch is full with `size - 1` rows too, since
        pairs are not torn apart."""
        smallest = min(range(len(batches)), key=lambda place: len(batches[place]))
        if len(batches[smallest]) >= size - 1 or len(batches) == 1:
            return batches
        return batches[:smallest] + batches[smallest + 1 :]

    def evaluated(self, samples: list[Sample], size: int) -> list[Sample]:
        """All but the last that fill no batch; all where not one is filled."""
        return samples[: len(samples) // size * size or None]
