"""The strongest region of each heat map as a softcopy presentation state: a rectangle and a text over the source image,
for the many viewers that show presentation states and no segmentations.

Presentation states also say how the image is shown. This one keeps to how the model was shown it: the same window, the
same inversion, square where pixels are not (PS3.3 A.33.1; of colour A.33.2, which has no window).
"""

import struct
from copy import deepcopy
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from discern_vqa.dicom_out.heat_segments import ANY_IMAGE, functional_group, on_pixels, refer_to_source
from discern_vqa.dicom_out.reported import Reported
from discern_vqa.dicom_out.series import Making, short
from discern_vqa.dicom_out.source import MEASURES
from discern_vqa.errors import ImageError
from discern_vqa.imaging.stored import StoredFrame, stored_frame

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

CAUTION = "AI, research, not for diagnosis"
_STRONG = 0.5
"""Of the greatest weight; the page of the service encloses the same."""
_NOT_OF_A_STATE = ("content_date", "content_time")  # it has a date of creation in their place
_FINEST = 1000
"""Pixels are as high as a fraction of at most this denominator is of their width."""


class Box(NamedTuple):
    """A rectangle on the file's pixels, in pixels from the upper left corner of the first (PS3.3 C.10.5.1)."""

    left: int
    top: int
    right: int
    bottom: int


def strongest_region(weights: NDArray[np.float64]) -> Box:
    """Around the region that holds the greatest of the weights (rows, columns), and all beside it that has over half of
    it."""
    from scipy.ndimage import find_objects, label

    regions, _ = label(weights > _STRONG * weights.max(), np.ones((3, 3)))
    peak = np.unravel_index(int(weights.argmax()), weights.shape)
    rows, columns = find_objects(regions)[regions[peak] - 1]
    return Box(columns.start, rows.start, columns.stop, rows.stop)


def marked_regions(making: Making) -> "Dataset | None":
    """The presentation state; None where no answer has a heat map that shows anything.

    Raises ImageError: the source's header lacks what it needs.
    """
    from highdicom import pr

    shown = [one for one in making.answers if one.heat is not None and one.heat.weights.max() > 0]
    if not shown:
        return None
    source = making.source
    stored = stored_frame(source.path)
    image = _image(making, is_grey=stored.window is not None)
    size = int(image.Rows), int(image.Columns)
    marks, layers = [], []
    for number, one in enumerate(shown, start=1):
        assert one.heat is not None
        box = strongest_region(on_pixels(one.heat.weights, size, source.mirrored))
        layer = pr.GraphicLayer(f"ANSWER_{number}", number, short(one.question))
        layers.append(layer)
        marks.append(_mark(box, _text(one), layer, image))
    made: Dataset
    kind: Any = pr.ColorSoftcopyPresentationState if stored.window is None else pr.GrayscaleSoftcopyPresentationState
    try:
        made = kind(
            referenced_images=[image],
            content_label="HEAT_REGIONS",
            content_description="Strongest region of each heat map, not for diagnosis",
            graphic_layers=layers,
            graphic_annotations=marks,
            specific_character_set="ISO_IR 192",
            **(_colours() if stored.window is None else _greys(stored)),
            **{name: value for name, value in making.arguments.items() if name not in _NOT_OF_A_STATE},
        )
    except (ValueError, TypeError, AttributeError, KeyError) as error:  # highdicom's words for what a header lacks
        raise ImageError(
            f"no region can be marked on {source.dataset.SOPInstanceUID}: {error}",
            hint="leave out --gsps: --sc and --pdf show heat maps of every image",
        ) from error
    refer_to_source(made, making, frame_in="")
    made.Laterality = source.dataset.get("Laterality")  # empty where it is not known (PS3.3 C.7.3.1: type 2C)
    (area,) = made.DisplayedAreaSelectionSequence
    ratio = Fraction(stored.aspect).limit_denominator(_FINEST)
    area.PresentationPixelAspectRatio = [ratio.numerator, ratio.denominator]
    made.PresentationCreationDate = making.run.made_at.strftime("%Y%m%d")
    made.PresentationCreationTime = making.run.made_at.strftime("%H%M%S")
    return making.finished(made)


def _text(one: Reported) -> str:
    answer = "no answer" if one.verdict.abstains else one.verdict.answer
    return f"{CAUTION}. Strongest region for: {one.question} {answer}"


def _mark(box: Box, text: str, layer: Any, image: "Dataset") -> Any:
    from highdicom import pr

    left, top, right, bottom = map(float, box)
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom], [left, top]])
    return pr.GraphicAnnotation(
        referenced_images=[image],
        graphic_layer=layer,
        graphic_objects=[pr.GraphicObject("POLYLINE", corners, "PIXEL")],
        text_objects=[pr.TextObject(text, "PIXEL", anchor_point=(left, bottom))],
    )


def _greys(stored: StoredFrame) -> dict[str, Any]:
    """How a grey image is shown, as the constructor takes it."""
    from highdicom import PresentationLUTTransformation, pr

    window = stored.window
    assert window is not None
    width = max(window.high - window.low, 1e-9)
    shape = "INVERSE" if stored.inverted else "IDENTITY"
    voi = pr.SoftcopyVOILUTTransformation(
        window_center=_short_number(window.low / 2 + window.high / 2),
        window_width=_short_number(width),
        voi_lut_function="LINEAR_EXACT",
    )
    return {
        "voi_lut_transformations": [voi],
        "presentation_lut_transformation": PresentationLUTTransformation(presentation_lut_shape=shape),
    }


def _colours() -> dict[str, Any]:
    """How a colour image is shown: as sRGB, which is what readers take every image for.

    As an input profile, the class that a presentation state takes, without the time at which it was made (ICC.1 7.2).
    """
    from PIL import ImageCms

    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[12:16] = b"scnr"
    profile[24:36] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)
    profile[84:100] = bytes(16)  # its digest, of what it was before
    return {"icc_profile": bytes(profile)}


def _short_number(value: float) -> float:
    """A number that its text of at most 16 letters (PS3.5, DS) gives back."""
    return float(f"{value:.9g}")


def _image(making: Making, is_grey: bool) -> "Dataset":
    """The source as an image of one frame, with what turns its stored values into what is measured."""
    source, image = making.source, making.stand_in()
    image.SamplesPerPixel = 1 if is_grey else 3  # as it is shown: a palette makes colours of one
    group = None
    if source.frame is not None:
        group = functional_group(source.dataset, "PixelValueTransformationSequence", source.frame - 1)
    for keyword in MEASURES:
        for place in (source.dataset, group):
            if place is not None and keyword in place:
                image.add(deepcopy(place[keyword]))
    for keyword in ("NumberOfFrames", "PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"):
        if keyword in image:
            delattr(image, keyword)
    image.SOPClassUID = ANY_IMAGE  # of others highdicom demands more
    return image
