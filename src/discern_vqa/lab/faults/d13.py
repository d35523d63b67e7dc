"""D13 of cmi_mtl.md 1.4: the epoch whose weights are kept is the best one on the test split."""

from typing import ClassVar

from discern_vqa.data.fault import Fault


class Imitation(Fault):
    """See the module."""

    says: ClassVar = "the epoch was chosen on the test split"
    chooses_on_test: ClassVar = True
