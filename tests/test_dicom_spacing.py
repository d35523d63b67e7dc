"""DICOM: pixels that are not square are made square, wherever the file says how large they are."""

import numpy as np
import pytest
from _medical import scene, sequence, written
from PIL import Image
from test_dicom import made as made
from test_dicom import shown

from discern_vqa.imaging.images import open_recorded

SHARED = "SharedFunctionalGroupsSequence"


@pytest.mark.parametrize(
    ("elements", "size", "said"),
    [
        ({"PixelSpacing": [2, 1]}, (48, 80), "pixels of 1 x 2 made square, as Pixel Spacing says"),
        ({"ImagerPixelSpacing": [0.1, 0.2]}, (96, 40), "pixels of 0.2 x 0.1 made square, as Imager Pixel Spacing says"),
        ({"NominalScannedPixelSpacing": [3, 2]}, (48, 60), "as Nominal Scanned Pixel Spacing says"),
        ({"PixelAspectRatio": [4, 3]}, (48, 53), "pixels of 3 x 4 made square, as Pixel Aspect Ratio says"),
        ({"PixelSpacing": [1, 1], "PixelAspectRatio": [1, 1]}, (48, 40), ""),
        ({"PixelSpacing": [2, 1], "ImagerPixelSpacing": [1, 1]}, (48, 80), "as Pixel Spacing says"),
        ({"PixelSpacing": [1, 1], "PixelAspectRatio": [2, 1]}, (48, 40), ""),
        ({"PixelSpacing": [0, 1], "PixelAspectRatio": [2, 1]}, (48, 80), "as Pixel Aspect Ratio says"),
        ({"PixelSpacing": [0.7031, 0.7031251]}, (48, 40), ""),
        ({"PixelSpacing": [50, 1]}, (48, 40), ""),
        (
            {SHARED: [{"PixelMeasuresSequence": [{"PixelSpacing": [2, 1]}]}]},
            (48, 80),
            "as Pixel Spacing says",
        ),
        (
            {
                "SharedFunctionalGroupsSequence": [
                    {"FramePixelDataPropertiesSequence": [{"ImagerPixelSpacing": [2, 1]}]}
                ]
            },
            (48, 80),
            "as Imager Pixel Spacing says",
        ),
    ],
)
@pytest.mark.parametrize("colour", [False, True])
def test_pixels_are_made_square_and_it_is_said(made, elements, size, said, colour):
    values = scene(top=255)
    if colour:
        values = np.stack([values, 255 - values, values // 2], -1)
    whole = {key: sequence(*value) if "Sequence" in key else value for key, value in elements.items()}
    opened = open_recorded(made(values, **whole))
    assert opened.image.size == size
    assert ("made square" in opened.steps[-1]) == bool(said)
    assert opened.steps[-1].endswith(said)
    expected = Image.fromarray(values)
    if size != expected.size:
        expected = expected.resize(size, Image.Resampling.BICUBIC)
    assert np.array_equal(np.asarray(opened.image), np.asarray(expected))
    apart = len({value[0] / value[1] for value in elements.values() if value[0] and "Sequence" not in str(value)}) > 1
    assert any("twice and differently" in warning for warning in opened.warnings) == (
        apart and len(elements) > 1 and "PixelSpacing" in elements and elements["PixelSpacing"][0] > 0
    )


def test_each_frame_has_its_own_spacing(made):
    own = sequence(*({"PixelMeasuresSequence": [{"PixelSpacing": [down, 1]}]} for down in (1, 2, 3)))
    path = made(np.stack([scene()] * 3), PerFrameFunctionalGroupsSequence=own)
    assert [shown(path, frame=number).shape for number in (1, 2, 3)] == [(40, 48), (80, 48), (120, 48)]


def test_a_spacing_that_cannot_be_read_costs_no_picture(made):
    path = made(scene(), PixelSpacing=[2.5, 1.5])
    content = path.read_bytes()
    assert content.count(b"2.5\\1.5 ") == 1
    assert shown(written(path, content.replace(b"2.5\\1.5 ", b"2,5\\1,5 "))).shape == (40, 48)


def region(across: float, down: float, right: int = 47, bottom: int = 39, units: tuple[int, int] = (3, 3)) -> dict:
    ends = {"MinX0": 0, "MinY0": 0, "MaxX1": right, "MaxY1": bottom}
    about = {f"RegionLocation{end}": place for end, place in ends.items()}
    about |= {"PhysicalDeltaX": across, "PhysicalDeltaY": down}
    return about | {"PhysicalUnitsXDirection": units[0], "PhysicalUnitsYDirection": units[1]}


@pytest.mark.parametrize(
    ("regions", "other", "size", "said"),
    [
        ([region(0.02, 0.04)], {}, (48, 80), "pixels of 0.2 x 0.4 made square, as the ultrasound region says"),
        ([region(0.02, -0.04, 46, 38)], {}, (48, 80), "pixels of 0.2 x 0.4"),  # counted upwards; its last line left out
        ([region(0.02, 0.04)], {"PixelAspectRatio": [1, 1]}, (48, 80), "as the ultrasound region says"),
        ([region(0.02, 0.04)], {"PixelSpacing": [1, 1]}, (48, 40), ""),
        ([region(0.02, 0.04, right=23)], {}, (48, 40), ""),  # half of the frame says nothing of the rest
        ([region(0.02, 0.04, units=(4, 3))], {}, (48, 40), ""),  # M-mode: across is time
        ([region(0.02, 0.02), region(0.02, 0.04, 20, 20)], {}, (48, 40), ""),
        ([region(0.1, 0.4, 20, 20), region(0.02, 0.04)], {}, (48, 80), "pixels of 0.2 x 0.4"),
        ([{**region(0.02, 0.04), "PhysicalDeltaX": None}], {}, (48, 40), ""),
    ],
)
def test_an_ultrasound_region_that_covers_the_frame_says_how_large_a_pixel_is(made, regions, other, size, said):
    opened = open_recorded(made(scene(top=255), SequenceOfUltrasoundRegions=sequence(*regions), **other))
    assert opened.image.size == size
    assert ("made square" in opened.steps[-1]) == bool(said)
    assert said in opened.steps[-1]
    assert any("twice and differently" in warning for warning in opened.warnings) == bool(other)
