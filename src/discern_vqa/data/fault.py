"""Where a fault of a published program can change what is learned from and what is scored, so that its worth can be
measured. The faults themselves are in `lab/faults.py`; a recipe names them in `data.imitate`."""

from typing import ClassVar

from discern_vqa.data.sample import Sample


class Fault:
    """A fault; this one changes nothing."""

    says: ClassVar[str]
    """What a reader of the figures must know of it: the rest of a sentence."""
    chooses_on_test: ClassVar[bool] = False
    """The epoch is chosen on the test split, and nothing is held out of train."""

    def vocabulary(self, splits: tuple[str, ...]) -> list[str]:
        """The splits, of the data set's `splits`, whose answers join the vocabulary."""
        return []

    def batches(self, batches: list[list[int]], size: int) -> list[list[int]]:
        """The batches of an epoch that are learned from; size: of a full one."""
        return batches

    def evaluated(self, samples: list[Sample], size: int) -> list[Sample]:
        """The samples of a validation or evaluation split that are scored."""
        return samples
