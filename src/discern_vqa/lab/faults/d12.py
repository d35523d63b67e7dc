"""D12 of cmi_mtl.md 1.4: the vocabulary is made of the answers of all splits."""

from typing import ClassVar

from discern_vqa.data.fault import Fault


class Imitation(Fault):
    """See the module."""

    says: ClassVar = "the vocabulary holds the answers of validation and test"

    def vocabulary(self, splits: tuple[str, ...]) -> list[str]:
        """Validation and test."""
        return [split for split in splits if split not in ("train", "pretrain")]
