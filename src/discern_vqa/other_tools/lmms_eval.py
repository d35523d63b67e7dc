"""The entry point `lmms_eval.models`: lmms-eval finds a run as its model "discern".

    lmms-eval --model discern --model_args run=runs/rad --tasks discern_vqa_rad --include_path tasks

Nothing of lmms-eval is imported before it asks.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lmms_eval.models.registry_v2 import ModelManifest

NAME = "discern"
CLASS = "discern_vqa.other_tools.lmms_eval_model.Discern"


def manifest() -> "ModelManifest":
    """What lmms-eval's registry takes: the model's name, and where its class is."""
    from lmms_eval.models.registry_v2 import ModelManifest

    return ModelManifest(model_id=NAME, simple_class_path=CLASS)
