"""Where the images and masks of a run's questions lie, as the data set's reader says. No torch.

An image's identity is its path below the data set's folder in most sets; it is none where that is a file (CSV, JSON
Lines), where the images lie elsewhere, and in DICOM folders, where it is a pseudonym. No path is kept in the run
folder, since names of files can hold names of patients: the data set is read again.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from discern_vqa.config import DataConfig
from discern_vqa.data.sample import Sample
from discern_vqa.errors import DiscernError
from discern_vqa.reading.neutral import root_of
from discern_vqa.recipe_samples import Samples
from discern_vqa.renamed_keys import translated
from discern_vqa.report.clean import without_paths


def places(config: Mapping[str, Any], split: str, where: str) -> tuple[dict[str, Path], str]:
    """({image or mask: its file}, why there are none) of a run's `config.json` and an evaluation split. where: names
    the run in messages.
    """
    data = config.get("data") or {}
    if not data.get("dataset") or not data.get("root"):
        return {}, "the run does not say which data set it is of"
    try:
        choice = DataConfig.model_validate(translated({"data": dict(data)}, where)["data"])
        seed = (config.get("run") or {}).get("seed", 0)
        samples = Samples(choice, Path(choice.root), seed).test(split)
    except (DiscernError, ValueError, OSError) as error:
        return {}, str(without_paths(str(error).splitlines()[0], [Path(str(data["root"])), Path.home()]))
    known = {sample.image: sample.path for sample in samples}
    return known | {sample.mask: mask_of(sample) for sample in samples if sample.mask}, ""


def mask_of(sample: Sample) -> Path:
    """A sample's mask: it is named from the same folder as its image."""
    return root_of(sample.path, sample.image) / sample.mask
