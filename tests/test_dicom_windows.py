"""DICOM: optional elements that are present and empty, windows on fine values, floating-point pixels."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from _medical import dicom, scene, sequence, written
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from test_dicom import made as made
from test_dicom import shown

from discern_vqa.imaging.images import open_recorded

# Optional elements that are present and empty, and windows that are made for whole numbers


def with_empty(path, *keywords: str):
    """The file with these elements present and empty."""
    dataset = pydicom.dcmread(path)
    for keyword in keywords:
        vr = dictionary_VR(keyword)
        dataset[keyword] = DataElement(keyword, "US" if vr == "US or SS" else vr, None)
    dataset.save_as(path)
    return path


EMPTY = (
    *("WindowCenter", "WindowWidth", "VOILUTFunction", "RescaleSlope", "RescaleIntercept", "RescaleType"),
    *("PixelPaddingValue", "PixelSpacing", "ImagerPixelSpacing", "PixelAspectRatio", "BurnedInAnnotation", "Modality"),
    *("ModalityLUTSequence", "VOILUTSequence", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    *("NumberOfFrames", "BitsStored", "HighBit", "PixelRepresentation", "ExtendedOffsetTable", "ICCProfile"),
    *("ExtendedOffsetTableLengths", "RedPaletteColorLookupTableDescriptor", "SmallestImagePixelValue"),
)


@pytest.mark.parametrize("syntax", ["implicit", "explicit", "big", "deflated", "jpegls"])
def test_optional_elements_that_are_present_and_empty_are_passed_over(made, syntax):
    plain = shown(made(scene(), syntax))
    assert np.array_equal(shown(with_empty(made(scene(), syntax), *EMPTY)), plain)


@pytest.mark.parametrize("syntax", ["explicit", "rle"])
def test_empty_elements_of_colours_are_passed_over(made, syntax):
    colours = np.stack([scene(top=255, seed=seed) for seed in range(3)], -1)
    path = made(colours, syntax)
    assert np.array_equal(
        shown(with_empty(path, "BitsStored", "HighBit", "PixelRepresentation", "ICCProfile")), colours
    )
    if syntax == "explicit":
        assert np.array_equal(shown(with_empty(made(colours), "PlanarConfiguration")), colours)


@pytest.mark.parametrize("keyword", ["ModalityLUTSequence", "VOILUTSequence"])
def test_a_table_without_its_data_stands_for_none_and_the_next_is_taken(made, keyword):
    plain = shown(made(scene()))
    curve = (65535 * (np.arange(4096) / 4095) ** 2).astype("<u2").tobytes()
    whole = {"LUTDescriptor": [4096, 0, 16], "LUTData": curve}
    for empty in (
        {"LUTExplanation": "none"},
        {"LUTDescriptor": [4096, 0, 16]},
        {"LUTDescriptor": [4096, 0, 16], "LUTData": b""},
    ):
        assert np.array_equal(shown(made(scene(), **{keyword: sequence(empty)})), plain), empty
        window = {"WindowCenter": 30000, "WindowWidth": 60000}
        both = shown(made(scene(), **{keyword: sequence(empty, whole)}, **window))
        assert np.array_equal(both, shown(made(scene(), **{keyword: sequence(whole)}, **window))), empty


def test_an_empty_window_of_a_frame_leaves_the_one_of_the_file(made):
    groups = sequence({"FrameVOILUTSequence": [{"WindowCenter": None, "WindowWidth": None}]})
    window = {"WindowCenter": 2000, "WindowWidth": 900}
    assert np.array_equal(
        shown(made(scene(), SharedFunctionalGroupsSequence=groups, **window)), shown(made(scene(), **window))
    )


@pytest.mark.parametrize("function", [None, "LINEAR"])
def test_narrow_windows_on_fine_values_are_straight_lines(made, function):
    """A perfusion map: stored whole numbers, a slope of a thousandth, a window of one unit."""
    named = {"VOILUTFunction": function} if function else {}
    fine = {"RescaleSlope": 0.001, "RescaleIntercept": 0, "WindowCenter": 2, "WindowWidth": 1, **named}
    path = made(scene(), **fine)
    shares = np.clip((scene() * 0.001 - 1.5) / 1, 0, 1)
    assert np.array_equal(shown(path), np.rint(shares * 255))
    assert len(np.unique(shown(path))) > 100
    assert "as LINEAR_EXACT" in open_recorded(path).steps[-1]
    half = made(scene(), **(fine | {"WindowWidth": 0.5}))
    assert np.array_equal(shown(half), np.rint(np.clip((scene() * 0.001 - 1.75) / 0.5, 0, 1) * 255))


def test_wide_windows_and_whole_numbers_keep_the_rule_for_whole_numbers(made):
    for slope, centre, width in ((0.5, 1000, 1800), (1, 20, 9), (2, 3000, 100)):
        path = made(scene(), RescaleSlope=slope, RescaleIntercept=0, WindowCenter=centre, WindowWidth=width)
        shares = (scene() * slope - (centre - 0.5)) / (width - 1) + 0.5
        assert np.array_equal(shown(path), np.rint(np.clip(shares, 0, 1) * 255))
        assert "LINEAR_EXACT" not in open_recorded(path).steps[-1]


def test_a_window_below_one_on_whole_numbers_is_passed_over_and_said(made):
    opened = open_recorded(made(scene(), WindowCenter=[7, 2000], WindowWidth=[0.5, 900]))
    assert opened.warnings == ("a window of the file cannot be used and is passed over: number 1 (7:0.5)",)
    assert "window 2 of the file" in opened.steps[-1]
    chosen = made(scene(), WindowCenter=[7, 2000], WindowWidth=[0.5, 900]).with_name("a.dcm#window=900:500")
    assert open_recorded(chosen).warnings == ()


# Floating point


def floating(path: Path, values: np.ndarray, keyword: str = "FloatPixelData", **elements) -> Path:
    """A DICOM file of floating-point values (PS3.3 C.7.6.24)."""
    dataset = pydicom.dcmread(written(path, dicom(np.zeros(values.shape, np.uint16))))
    del dataset.PixelData, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation
    dataset.BitsAllocated = 8 * values.dtype.itemsize
    setattr(dataset, keyword, values.astype(values.dtype.newbyteorder("<")).tobytes())
    for name, value in elements.items():
        setattr(dataset, name, value)
    dataset.save_as(path)
    return path


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_nan_and_infinity_are_black_and_left_out_of_the_window(tmp_path, kind, photometric):
    keyword = "FloatPixelData" if kind is np.float32 else "DoubleFloatPixelData"
    values = scene().astype(kind) - 6000  # 0, which NaN would be taken for, is above all of them
    holes = np.zeros(values.shape, bool)
    holes[:9], holes[0, 0] = True, True
    plain = shown(floating(tmp_path / "a.dcm", values[9:], keyword, PhotometricInterpretation=photometric))
    values[:9] = np.nan
    values[0, :3] = np.inf, -np.inf, np.nan
    picture = shown(floating(tmp_path / "b.dcm", values, keyword, PhotometricInterpretation=photometric))
    assert (picture[holes] == 0).all()
    assert np.array_equal(picture[9:], plain)
    assert (plain.min(), plain.max()) == (0, 255)
    full = shown(tmp_path / "b.dcm", window="full")
    assert (full[9:].min(), full[9:].max()) == (0, 255)
    share = round(100 * holes.mean())
    counted = f"{holes.sum()} pixels hold no number (NaN or infinite), {share} % of all: shown black"
    assert open_recorded(tmp_path / "b.dcm").steps[-1] == counted
    assert "no number" not in " ".join(open_recorded(tmp_path / "a.dcm").steps)


def test_narrow_windows_on_floating_point_values_are_straight_lines(tmp_path):
    values = (scene() / 4095).astype(np.float32)
    path = floating(tmp_path / "a.dcm", values, WindowCenter=0.5, WindowWidth=1)
    assert np.array_equal(shown(path), np.rint(values.astype(np.float64) * 255))


def test_nothing_but_nan_is_black(tmp_path):
    path = floating(tmp_path / "a.dcm", np.full((20, 20), np.nan, np.float32))
    assert shown(path).max() == 0
