"""DICOM: the values that pydicom's own pipeline gives, one frame at a time, and nothing about the patient."""

import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pydicom
import pytest
from _medical import SYNTAXES, dicom, scene, sequence, written
from PIL import Image
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut, pixel_array

from discern_vqa.errors import ImageError
from discern_vqa.imaging import dicom_file, images
from discern_vqa.imaging.images import load_image, open_image, open_recorded

LOSSY = {"jpeg", "extended", "j2k_lossy", "jpegls_lossy"}
SHIPPED = sorted(
    path
    for path in Path(pydicom.__file__).with_name("data").rglob("*")
    if path.is_file() and path.suffix not in (".py", ".pyc")
)


def shown(path, **choices) -> np.ndarray:
    name = path.name + "".join(f"#{key}={value}" for key, value in choices.items())
    return np.asarray(open_image(path.with_name(name)))


def refused(path) -> str:
    with pytest.raises(ImageError) as caught:
        load_image(path, 32)
    assert path.name.partition("#")[0] in str(caught.value)
    assert caught.value.hint
    assert "\n" not in str(caught.value) + caught.value.hint
    return str(caught.value)


@pytest.fixture
def made(tmp_path):
    return lambda *arguments, **elements: written(tmp_path / "a.dcm", dicom(*arguments, **elements))


# What pydicom ships


def by_pydicom(path: Path) -> np.ndarray | None:
    """The frame that we choose, through pydicom's functions alone; None where pydicom does not decode the file."""
    values = stored_size_by_pydicom(path)
    if values is None:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
    spacing = dataset.get("PixelSpacing") or dataset.get("PixelAspectRatio") or (1, 1)
    ratio = float(spacing[0]) / float(spacing[1])
    if abs(ratio - 1) < 0.01:
        return values
    height, width = values.shape[:2]
    size = (width, round(height * ratio)) if ratio > 1 else (round(width / ratio), height)
    return np.asarray(Image.fromarray(values.astype(np.uint8)).resize(size, Image.Resampling.BICUBIC))


def stored_size_by_pydicom(path: Path) -> np.ndarray | None:
    """The same before its pixels are made square."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            dataset = pydicom.dcmread(path)
            frames = int(dataset.get("NumberOfFrames") or 1)
            stored = pixel_array(dataset, index=(frames + 1) // 2 - 1)
        except Exception:
            return None
        bits = dataset.BitsStored
        if dataset.PhotometricInterpretation == "PALETTE COLOR":
            coloured = apply_color_lut(stored, dataset)[..., :3]
            return np.rint(coloured / np.iinfo(coloured.dtype).max * 255)
        if stored.ndim == 3:
            return np.rint(stored / (2.0**bits - 1) * 255)
        measured = apply_modality_lut(stored, dataset)
        lowest, highest = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if dataset.PixelRepresentation else (0, 2**bits - 1)
        ends = apply_modality_lut(np.array([lowest, highest], dtype=np.float64), dataset)
        if "WindowCenter" in dataset or "VOILUTSequence" in dataset:
            shares = (apply_voi_lut(measured, dataset) - ends[0]) / (ends[1] - ends[0])
        elif bits <= 8:
            shares = measured / ends[1]
        else:
            padding = dataset.get("PixelPaddingValue")
            low, high = np.percentile(measured[stored != padding] if padding is not None else measured, [0.5, 99.5])
            shares = np.clip((measured.astype(float) - low) / (high - low), 0, 1)
    return np.rint((1 - shares if dataset.PhotometricInterpretation == "MONOCHROME1" else shares) * 255)


@pytest.fixture(scope="module")
def outcomes():
    """For every file that pydicom ships: our image or the reason, and pydicom's image."""
    found = {}
    for path in SHIPPED:
        try:
            ours = np.asarray(open_image(path))
        except ImageError as error:
            ours = error
        found[path] = (ours, by_pydicom(path))
    return found


def test_every_file_that_pydicom_ships_is_tried(outcomes):
    counts = Counter("opened" if isinstance(ours, np.ndarray) else "refused" for ours, _ in outcomes.values())
    print(dict(counts))
    assert counts["opened"] >= 102
    assert counts.total() == len(SHIPPED)


def test_what_pydicom_decodes_opens_with_its_values(outcomes):
    compared = 0
    for path, (ours, theirs) in outcomes.items():
        if theirs is not None:
            assert isinstance(ours, np.ndarray), f"{path.name}: {ours}"
            assert ours.shape == theirs.shape, path.name
            assert np.array_equal(ours, theirs), f"{path.name}: {np.abs(ours - theirs).max()} apart"
            compared += 1
    assert compared >= 94


def test_what_is_refused_is_refused_with_a_reason_and_a_way_out(outcomes):
    reasons = ("is no image", "without an image", "cannot be decoded", "cannot be shown", "is compressed as", "gzip")
    for path, (ours, _) in outcomes.items():
        if isinstance(ours, ImageError):
            assert any(reason in str(ours) for reason in reasons), ours
            assert path.name in str(ours)
            assert ours.hint


def test_lossless_jpeg_equals_the_same_picture_in_another_syntax():
    folder = Path(pydicom.__file__).with_name("data") / "test_files"
    assert np.array_equal(shown(folder / "SC_rgb_jpeg_gdcm.dcm"), shown(folder / "SC_rgb_rle.dcm"))


# Transfer syntaxes and kinds of pixels


@pytest.mark.parametrize("syntax", sorted(SYNTAXES.keys() - LOSSY))
@pytest.mark.parametrize("signed", [False, True])
def test_every_lossless_syntax_gives_the_same_picture(made, syntax, signed):
    values = scene().astype(np.int16) - 2000 if signed else scene()
    window = {"WindowCenter": 0 if signed else 2000, "WindowWidth": 1200}
    picture = shown(made(values, syntax, **window))
    shares = (values.astype(float) - window["WindowCenter"] + 0.5) / 1199 + 0.5
    assert np.array_equal(picture, np.rint(np.clip(shares, 0, 1) * 255))
    assert 40 < picture.mean() < 215


@pytest.mark.parametrize("syntax", sorted(SYNTAXES))
def test_every_syntax_reads_colours_and_the_chosen_frame(made, syntax):
    grey = scene(top=255)
    colours = np.stack([grey, grey // 2, np.full_like(grey, 9)], -1)
    off = np.abs(shown(made(colours, syntax)).astype(int) - colours).mean()
    assert off < (8 if syntax in LOSSY else 0.001)
    frames = np.stack([grey, grey[::-1], 255 - grey])
    path = made(frames, syntax)
    for number in (1, 2, 3):
        off = np.abs(shown(path, frame=number).astype(int) - frames[number - 1]).mean()
        assert off < (8 if syntax in LOSSY else 0.001)
    assert "no number 4" in refused(path.with_name("a.dcm#frame=4"))
    assert "frame 2 of 3 (the usual one" in open_recorded(path).steps[1]


def test_planes_apart_equal_points_together(made):
    colours = np.stack([scene(top=255, seed=seed) for seed in range(3)], -1)
    apart = made(np.moveaxis(colours, -1, 0).reshape(colours.shape), PlanarConfiguration=1)
    assert np.array_equal(shown(apart), colours)


def test_rubbish_above_the_stored_bits_is_cut_off(made):
    clean = shown(made(scene(), BitsStored=12, HighBit=11, WindowCenter=2048, WindowWidth=4096))
    noisy = scene() | np.uint16(0xA000)
    for syntax in ("explicit", "lossless"):
        options = {"BitsStored": 12, "HighBit": 11, "WindowCenter": 2048, "WindowWidth": 4096}
        assert np.array_equal(shown(made(noisy, syntax, **options)), clean)


def test_overlays_are_not_drawn(made):
    plain = shown(made(scene(top=255)))
    mask = {"OverlayRows": 40, "OverlayColumns": 48, "OverlayType": "G", "OverlayOrigin": [1, 1]}
    with_overlay = pydicom.dcmread(made(scene(top=255)))
    for number, (keyword, value) in enumerate({**mask, "OverlayData": b"\xff" * 240}.items()):
        tag = {
            "OverlayRows": 0x10,
            "OverlayColumns": 0x11,
            "OverlayType": 0x40,
            "OverlayOrigin": 0x50,
            "OverlayData": 0x3000,
        }[keyword]
        with_overlay.add_new((0x6000, tag), ["US", "US", "CS", "SS", "OW"][number], value)
    path = made(scene(top=255)).with_name("o.dcm")
    with_overlay.save_as(path)
    assert np.array_equal(shown(path), plain)


# Greys


def test_windows_are_chosen_by_name_by_numbers_and_among_the_files_own(made):
    values = (scene().astype(np.int16) - 1024).clip(-1024, 3000)
    path = made(values, Modality="CT", WindowCenter=[40, 300], WindowWidth=[80, 600])

    def straight(centre, width):
        return np.rint(np.clip((values - (centre - width / 2)) / width, 0, 1) * 255)

    assert np.array_equal(shown(path, window="lung"), straight(-600, 1500))
    assert np.array_equal(shown(path, window="-20:300"), straight(-20, 300))
    assert np.array_equal(shown(path), shown(path, window="1"))
    assert np.array_equal(shown(path, window="2"), np.rint(np.clip((values - 299.5) / 599 + 0.5, 0, 1) * 255))
    assert shown(path, window="full").min() == 0
    assert "no number 3" in refused(path.with_name("a.dcm#window=3"))
    for wrong in ("lungs", "40:0", "40:-5", "nan:5", "1e99:1e-9x"):
        assert "there is no window" in refused(path.with_name(f"a.dcm#window={wrong}"))


def test_a_named_window_is_for_ct(made):
    assert "is for CT, and this is MR" in refused(made(scene(), Modality="MR").with_name("a.dcm#window=lung"))
    assert "is in colour" in refused(made(np.zeros((9, 9, 3), np.uint8)).with_name("a.dcm#window=1"))


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("slope", [2.5, -1])
def test_window_functions_and_rescale_equal_pydicoms(made, function, slope):
    path = made(
        scene(),
        BitsStored=12,
        HighBit=11,
        WindowCenter=1500 * slope,
        WindowWidth=1800,
        VOILUTFunction=function,
        RescaleSlope=slope,
        RescaleIntercept=10,
    )
    dataset = pydicom.dcmread(path)
    theirs = apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset)
    ends = slope * 0 + 10, slope * 4095 + 10
    assert np.array_equal(shown(path), np.rint(np.abs((theirs - ends[0]) / (ends[1] - ends[0])) * 255))


@pytest.mark.parametrize("syntax", ["implicit", "explicit", "big"])
def test_lookup_tables_equal_pydicoms(made, syntax):
    curve = (65535 * (np.arange(4000) / 3999) ** 2).astype(">u2" if syntax == "big" else "<u2").tobytes()
    table = {"LUTDescriptor": [4000, 50, 16], "LUTData": curve}
    for keyword in ("VOILUTSequence", "ModalityLUTSequence"):
        path = made(scene(), syntax, WindowCenter=30000, WindowWidth=60000, **{keyword: sequence(table)})
        dataset = pydicom.dcmread(path)
        theirs = apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset)
        assert np.array_equal(shown(path), np.rint(theirs / 65535 * 255)), keyword


def test_tables_of_more_than_256_entries_of_8_bits_are_read_to_their_end(made):
    """As a VOI LUT and as a palette; pydicom's own functions wrap around at entry 256."""
    curve = np.repeat(np.arange(250, dtype=np.uint8), 4)
    values = np.arange(1000, dtype=np.uint16).reshape(25, 40)
    voi = sequence({"LUTDescriptor": [1000, 0, 8], "LUTData": curve.tobytes()})
    assert np.array_equal(shown(made(values, VOILUTSequence=voi)), curve.reshape(25, 40))
    palette = {"PhotometricInterpretation": "PALETTE COLOR"}
    for colour in ("Red", "Green", "Blue"):
        palette[f"{colour}PaletteColorLookupTableDescriptor"] = [1000, 0, 8]
        palette[f"{colour}PaletteColorLookupTableData"] = curve.tobytes()
    assert np.array_equal(shown(made(values, **palette))[..., 1], curve.reshape(25, 40))


def test_a_palette_of_a_big_endian_file_is_read_in_its_own_order(made):
    palette = {"PhotometricInterpretation": "PALETTE COLOR"}
    for colour in ("Red", "Green", "Blue"):
        palette[f"{colour}PaletteColorLookupTableDescriptor"] = [4, 0, 16]
        palette[f"{colour}PaletteColorLookupTableData"] = np.array([0, 21845, 43690, 65535], ">u2").tobytes()
    values = np.arange(4, dtype=np.uint16).reshape(2, 2)
    assert shown(made(values, "big", **palette))[..., 0].tolist() == [[0, 85], [170, 255]]


def test_enhanced_files_keep_windows_with_the_frame(made):
    own = [
        {
            "PixelValueTransformationSequence": [{"RescaleSlope": 1, "RescaleIntercept": -1000 * number}],
            "FrameVOILUTSequence": [{"WindowCenter": 1000 - 1000 * number, "WindowWidth": 2000}],
        }
        for number in range(2)
    ]
    path = made(np.stack([scene()] * 2), PerFrameFunctionalGroupsSequence=sequence(*own))
    assert np.array_equal(shown(path, frame=1), shown(path, frame=2))
    plain = made(scene(), WindowCenter=1000, WindowWidth=2000)
    assert np.array_equal(shown(path), shown(plain))


def test_monochrome1_is_turned_and_palettes_become_colours(made):
    grey = scene(top=255)
    assert np.array_equal(shown(made(grey, PhotometricInterpretation="MONOCHROME1")), 255 - grey)
    palette = {"PhotometricInterpretation": "PALETTE COLOR"}
    line = np.array([0, 1, 7, 1, 99, 60000, 2, 1, 0, 0, 0, 3, 1, 2, 3, 1, 149, 65535], "<u2")
    for colour in ("Red", "Green", "Blue"):
        palette[f"{colour}PaletteColorLookupTableDescriptor"] = [253, 0, 16]
        palette[f"Segmented{colour}PaletteColorLookupTableData"] = line.tobytes()
    path = made(grey, **palette)
    theirs = apply_color_lut(pydicom.dcmread(path).pixel_array, pydicom.dcmread(path))
    assert np.array_equal(shown(path), np.rint(theirs / 65535 * 255))


def test_padding_does_not_darken_the_picture(made):
    values = scene().astype(np.int16)
    values[:20] = -2000
    assert np.ptp(shown(made(values, PixelPaddingValue=-2000))[20:]) > 240
    assert np.ptp(shown(made(values))[20:]) < 200


# What must not pass


def test_nothing_about_the_patient_is_kept_or_said(made):
    path = made(scene(), PatientBirthDate="19700101", InstitutionName="Clinic", StudyDescription="Doe", Modality="CT")
    opened = open_recorded(path)
    said = repr((opened.steps, opened.facts, opened.warnings, opened.image.info))
    assert not any(word in said for word in ("Doe", "0815", "1970", "Clinic"))
    assert opened.facts["modality"] == "CT"
    kept = dicom_file.header(path, images.Limits(10**6, 10**6)).dataset
    assert not any(element.tag.group in (0x0008, 0x0010, 0x0020) and element.keyword != "Modality" for element in kept)


def test_free_text_in_a_coded_element_does_not_pass(made):
    content = made(scene()).read_bytes().replace(b"CS\x02\x00OT", b"CS\x02\x00d'")
    assert "modality" not in open_recorded(written(made(scene()), content)).facts


def test_a_file_that_says_so_is_warned_about(made):
    assert open_recorded(made(scene())).warnings == ()
    assert "burned into" in open_recorded(made(scene(), BurnedInAnnotation="YES")).warnings[0]
