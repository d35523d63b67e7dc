"""Heat maps as a fractional segmentation over the source image: a segment for each question."""

from copy import deepcopy
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from discern_vqa.dicom_out import codes
from discern_vqa.dicom_out.series import MANUFACTURER, MODEL, Making, short
from discern_vqa.errors import ImageError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

ANY_IMAGE = "1.2.840.10008.5.1.4.1.1.7"  # a class of which nothing is demanded but pixels
_NEEDED = ("FrameOfReferenceUID", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness")
_PLACES = {
    "PlanePositionSequence": ("ImagePositionPatient",),
    "PlaneOrientationSequence": ("ImageOrientationPatient",),
    "PixelMeasuresSequence": ("PixelSpacing", "SliceThickness", "SpacingBetweenSlices"),
}
"""Functional groups that place a frame in the patient, and what stands in each."""


def heat_segments(making: Making) -> "Dataset | None":
    """The segmentation, on the pixels of the source's frame; None where no answer has a heat map.

    Raises ImageError: the source's header lacks what places a segmentation on it.
    """
    from highdicom import AlgorithmIdentificationSequence, seg

    shown = [one for one in making.answers if one.heat is not None]
    if not shown:
        return None
    source, run = making.source, making.run
    plane = _plane(making)
    size = int(plane.Rows), int(plane.Columns)
    maps = [on_pixels(one.heat.weights, size, source.mirrored) for one in shown if one.heat is not None]
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
            source_images=[plane],
            pixel_array=np.stack(maps, axis=-1)[None],
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
    refer_to_source(made, making, frame_in="PurposeOfReferenceCodeSequence")
    if "FrameOfReferenceUID" not in made:  # then the directions of rows and columns are all that may be known of it
        made.PatientOrientation = source.dataset.get("PatientOrientation")
    return making.finished(made)


def _plane(making: Making) -> "Dataset":
    """The frame that was seen as an image of one frame, which is all that highdicom lays a segmentation over where
    frames have no place in the patient. Of frames that have one each, it has the place of its own."""
    source, plane = making.source, making.stand_in()
    if source.frame is not None:
        for name, keywords in _PLACES.items():
            group = functional_group(source.dataset, name, source.frame - 1)
            for keyword in keywords:
                if group is not None and keyword in group:
                    plane.add(deepcopy(group[keyword]))
    for keyword in ("NumberOfFrames", "PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"):
        if keyword in plane:
            delattr(plane, keyword)
    if not all(plane.get(keyword) for keyword in _NEEDED):  # it lies on the image, and nowhere in the patient
        for keyword in (*_NEEDED, "PositionReferenceIndicator", "SpacingBetweenSlices"):
            if keyword in plane:
                delattr(plane, keyword)
    plane.SOPClassUID = ANY_IMAGE
    return plane


def functional_group(dataset: "Dataset", name: str, index: int) -> "Dataset | None":
    """A functional group of frame `index` (PS3.3 C.7.6.16): its own, or the one that all frames share."""
    per_frame, shared = (dataset.get(f"{kind}FunctionalGroupsSequence") or [] for kind in ("PerFrame", "Shared"))
    for groups in (*per_frame[index : index + 1], *shared[:1]):
        if groups.get(name):
            found: Dataset = groups[name].value[0]
            return found
    return None


def refer_to_source(made: "Dataset", making: Making, frame_in: str) -> None:
    """Says everywhere of which class the source is, and in items that have the element `frame_in` ("": in all) which of
    its frames is meant."""
    source = making.source
    for element in made.iterall():
        if element.VR == "SQ":
            for item in element.value:
                if item.get("ReferencedSOPInstanceUID") == source.dataset.SOPInstanceUID:
                    item.ReferencedSOPClassUID = source.dataset.SOPClassUID
                    if source.named_frame is not None and (not frame_in or frame_in in item):
                        item.ReferencedFrameNumber = source.named_frame


def on_pixels(weights: NDArray[np.float64], size: tuple[int, int], mirrored: bool) -> NDArray[np.float64]:
    """The map on the file's own pixels (rows, columns): what was done to show the image is undone."""
    rows, columns = size
    turned = weights[:, ::-1] if mirrored else weights
    image = Image.fromarray(np.ascontiguousarray(turned, dtype=np.float32))
    smooth = np.asarray(image.resize((columns, rows), Image.Resampling.BILINEAR), dtype=np.float64)
    return smooth.clip(0, 1)
