"""Faults of published programs that `data.imitate` brings back by their numbers in cmi_mtl.md 1.4 (`data.fault`,
docs/metrics.md)."""

from typing import ClassVar

from discern_vqa.data.fault import Fault
from discern_vqa.data.sample import Sample


class IncompleteBatchDropped(Fault):
    """D7: the data loaders drop the last incomplete batch, of validation and test too."""

    says: ClassVar = "the last incomplete batch is left out, of validation and the test split too"

    def batches(self, batches: list[list[int]], size: int) -> list[list[int]]:
        """All but the one that was not filled, where there is one. A batch is full with `size - 1` rows too, since
        pairs are not torn apart."""
        smallest = min(range(len(batches)), key=lambda number: len(batches[number]))
        if len(batches[smallest]) >= size - 1 or len(batches) == 1:
            return batches
        return batches[:smallest] + batches[smallest + 1 :]

    def evaluated(self, samples: list[Sample], size: int) -> list[Sample]:
        """All but the last that fill no batch; all where not one is filled."""
        return samples[: len(samples) // size * size or None]


class VocabularyOfAllSplits(Fault):
    """D12: the vocabulary is made of the answers of all splits."""

    says: ClassVar = "the vocabulary holds the answers of validation and test"

    def vocabulary(self, splits: tuple[str, ...]) -> list[str]:
        """Validation and test."""
        return [split for split in splits if split not in ("train", "pretrain")]


class EpochChosenOnTest(Fault):
    """D13: the epoch whose weights are kept is the best one on the test split."""

    says: ClassVar = "the epoch was chosen on the test split"
    chooses_on_test: ClassVar = True


FAULTS: dict[str, type[Fault]] = {
    "D7": IncompleteBatchDropped,
    "D12": VocabularyOfAllSplits,
    "D13": EpochChosenOnTest,
}
