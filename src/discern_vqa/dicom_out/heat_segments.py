"""Heat maps as a fractional segmentation over the source image: a segment for each question."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from discern_vqa.dicom_out import codes
from discern_vqa.dicom_out.series import MANUFACTURER, MODEL, Making, short
from discern_vqa.errors import ImageError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


def heat_segments(making: Making) -> "Dataset | None":
    """The segmentation, on the pixels of the source's frame; None where no answer has a heat map.

    Raises ImageError: the source's header lacks what places a segmentation on it.
    """
    from highdicom import AlgorithmIdentificationSequence, seg

    shown = [one for one in making.answers if one.heat is not None]
    if not shown:
        return None
    source, run = making.source, making.run
    image = making.stand_in()
    size = int(image.Rows), int(image.Columns)
    planes = [_on_pixels(one.heat.weights, size, source.mirrored) for one in shown if one.heat is not None]
    frames = int(image.get("NumberOfFrames") or 1)
    stack = np.zeros((frames, *size, len(planes)))
    stack[(source.frame or 1) - 1] = np.stack(planes, axis=-1)
    algorithm = AlgorithmIdentificationSequence(
        name=f"{MODEL} {run.model}"[:64],
        family=codes.INTELLIGENCE.code,
        version=run.version,
        source=MANUFACTURER,
        parameters={"weights": f"sha256:{run.weights}"},
    )
    segments = [
        seg.SegmentDescription(
            segment_number=number,
            segment_label=short(f"{number}: {one.question}"),
            segmented_property_category=codes.SPATIAL.code,
            segmented_property_type=codes.WEIGHT.code,
            algorithm_type="AUTOMATIC",
            algorithm_identification=algorithm,
            tracking_uid=making.uid(f"question {number}"),
            tracking_id=f"question {number}",
        )
        for number, one in enumerate(shown, start=1)
    ]
    try:
        made = seg.Segmentation(
            source_images=[image],
            pixel_array=stack,
            segmentation_type="FRACTIONAL",
            segment_descriptions=segments,
            fractional_type="PROBABILITY",
            content_label="HEAT_MAPS",
            content_description="Weight of the image on an answer, not for diagnosis",
            coding_schemes=[codes.our_scheme()],
            specific_character_set="ISO_IR 192",
            **making.arguments,
        )
    except (ValueError, TypeError, AttributeError, KeyError) as error:  # highdicom's words for what a header lacks
        raise ImageError(
            f"no heat map can be laid over {source.dataset.SOPInstanceUID}: {error}",
            hint="leave out --seg: --sc and --pdf show heat maps of every image",
        ) from error
    return making.finished(made)


def _on_pixels(weights: NDArray[np.float64], size: tuple[int, int], mirrored: bool) -> NDArray[np.float64]:
    """The map on the file's own pixels (rows, columns): what was done to show the image is undone."""
    rows, columns = size
    turned = weights[:, ::-1] if mirrored else weights
    image = Image.fromarray(np.ascontiguousarray(turned, dtype=np.float32))
    on_pixels = np.asarray(image.resize((columns, rows), Image.Resampling.BILINEAR), dtype=np.float64)
    return on_pixels.clip(0, 1)
