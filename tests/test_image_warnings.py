"""What a person is told to look at: images that show nothing, maps of labels, sides stated twice, colour profiles."""

import io

import numpy as np
import pytest
from _medical import dicom, nifti, scene, sequence, written
from PIL import Image, ImageCms
from typer.testing import CliRunner

from discern_vqa.audit import images as audit_images
from discern_vqa.audit.image_set import ImageSet
from discern_vqa.audit.inputs import AuditInputs
from discern_vqa.cli import app
from discern_vqa.commands.data_look import seen
from discern_vqa.data.sample import Sample
from discern_vqa.imaging import colour_profile
from discern_vqa.imaging.content import MOST_LABELS, NOTHING, TWO_TONES, looks_like_labels, remarks
from discern_vqa.imaging.images import open_recorded

SIDE = 48


def labels(count: int, greatest: int = 255, side: int = SIDE) -> np.ndarray:
    """Squares of `count` values, 0 to `greatest`."""
    y, x = np.mgrid[:side, :side] // (side // 8)
    values = (y * 8 + x) % count
    return (values * greatest // max(1, count - 1)).astype(np.uint8)


# What shows nothing


@pytest.mark.parametrize("spread", [0, 3])
def test_one_even_area_is_said(spread):
    values = 100 + np.random.default_rng(0).integers(0, spread + 1, (SIDE, SIDE)).astype(np.uint8)
    assert remarks(Image.fromarray(values)) == (NOTHING,)
    assert remarks(Image.fromarray(np.stack([values] * 3, -1))) == (NOTHING,)
    values[5:9, 5:9] = 110
    assert NOTHING not in remarks(Image.fromarray(values))


def test_colours_of_one_even_area_are_said_though_their_channels_differ():
    assert remarks(Image.new("RGB", (SIDE, SIDE), (200, 10, 90))) == (NOTHING,)


@pytest.mark.parametrize(("count", "greatest"), [(2, 255), (3, 2), (30, 255), (64, 255)])
def test_a_map_of_labels_is_said_in_grey_and_in_colour(count, greatest):
    grey = Image.fromarray(labels(count, greatest))
    coloured = Image.fromarray(np.stack([labels(count, greatest), labels(count, 9), 255 - labels(count, greatest)], -1))
    for image in (grey, coloured):
        assert looks_like_labels(image)
        assert "looks like a map of labels" in remarks(image)[0]
    assert f": {count} values" in remarks(grey)[0]


def test_noise_ramps_and_more_values_are_no_labels():
    noise = np.random.default_rng(0).integers(0, MOST_LABELS, (SIDE, SIDE)).astype(np.uint8)
    ramp = np.tile(np.arange(0, SIDE, dtype=np.uint8) * 5, (SIDE, 1))
    many = np.kron(np.arange(81, dtype=np.uint8).reshape(9, 9) * 3, np.ones((8, 8), np.uint8))
    for values in (noise, ramp, ramp.T, many, scene(top=255)):
        assert remarks(Image.fromarray(values)) == ()


def test_a_mask_after_jpeg_or_a_resizing_is_said_and_an_image_on_black_is_not(tmp_path):
    y, x = np.mgrid[:300, :300]
    disc = (((y - 150) ** 2 + (x - 120) ** 2 < 2500) * 255).astype(np.uint8)
    for quality in (40, 75, 95):
        Image.fromarray(disc).save(tmp_path / "a.jpg", quality=quality)
        (warning,) = open_recorded(tmp_path / "a.jpg").warnings
        assert "looks like a mask" in warning or "looks like a map of labels" in warning, quality
    resized = Image.fromarray(disc).resize((217, 411), Image.Resampling.BICUBIC)
    assert (
        remarks(resized) == remarks(Image.merge("RGB", [resized, resized.point(lambda v: 0), resized])) == (TWO_TONES,)
    )
    small = np.zeros((400, 400), np.uint8)  # an image of a patient that fills a fiftieth of the frame
    small[:60, :60] = np.random.default_rng(0).integers(20, 200, (60, 60))
    assert remarks(Image.fromarray(small)) == ()


def test_a_large_map_of_labels_is_judged_by_part_of_its_rows():
    assert looks_like_labels(Image.fromarray(labels(5, side=2000)))
    noise = np.random.default_rng(0).integers(0, 50, (2000, 2000)).astype(np.uint8)
    assert not looks_like_labels(Image.fromarray(noise))


def test_files_that_say_they_are_labels_are_believed(tmp_path):
    marked = written(tmp_path / "a.nii", nifti(np.random.default_rng(0).random((20, 20, 3)), intent_code=1002))
    assert any("its values are labels" in warning for warning in open_recorded(marked).warnings)
    segmented = written(tmp_path / "a.dcm", dicom(labels(3, 2), Modality="SEG"))
    assert "says that it is a segmentation" in open_recorded(segmented).warnings[0]


def test_labels_stay_labels_when_pixels_are_made_square(tmp_path):
    path = written(tmp_path / "a.dcm", dicom(labels(4), PixelSpacing=[3, 2]))
    assert set(np.unique(np.asarray(open_recorded(path).image))) == {0, 85, 170, 255}


# Sides of a volume that are stated twice

VOLUME = np.random.default_rng(0).integers(0, 900, (16, 18, 6)).astype(np.int16)
SIDES = "disagree about left and right: the sform is believed, so left and right may be swapped"


def twice(tmp_path, qform: np.ndarray, sform: np.ndarray):
    from nibabel import Nifti1Image

    image = Nifti1Image(VOLUME, sform)
    image.set_sform(sform, 1)
    image.set_qform(qform, 1)
    return written(tmp_path / "a.nii", image.to_bytes())


def turned(degrees: float, axis: int) -> np.ndarray:
    turn, angle = np.eye(4), np.radians(degrees)
    one, other = (number for number in range(3) if number != axis)
    turn[one, one] = turn[other, other] = np.cos(angle)
    turn[one, other], turn[other, one] = -np.sin(angle), np.sin(angle)
    return turn


@pytest.mark.parametrize(
    ("qform", "sform", "said"),
    [
        (np.diag([2.0, 2, 3, 1]), np.diag([2.0, 2, 3, 1]), ""),
        (np.diag([-2.0, 2, 3, 1]), np.diag([2.0, 2, 3, 1]), SIDES),
        (np.diag([2.0, 2, 3, 1]), np.diag([-2.0, 2, 3, 1]), SIDES),
        (turned(20, 2), turned(-20, 1), ""),  # a registration turns a little
        (
            np.diag([-2.0, -2, 3, 1]),  # turned by half about the long axis
            np.diag([2.0, 2, 3, 1]),
            "disagree about left and right and about front and back: the sform is believed, so left and right may be "
            "swapped",
        ),
        (np.diag([2.0, -2, 3, 1]), np.diag([2.0, 2, 3, 1]), "disagree about front and back: the sform is believed"),
        (np.diag([2.0, 2, -3, 1]), np.diag([2.0, 2, 3, 1]), "disagree about head and feet: the sform is believed"),
        (np.diag([2.0, -2, -3, 1]), np.diag([2.0, 2, 3, 1]), "front and back and about head and feet: the sform is be"),
        # The same, stored in another order of axes: what is compared is the patient's directions, not the file's.
        (
            np.diag([1.0, -1, 1, 1])[:, [1, 0, 2, 3]],
            np.eye(4)[:, [1, 0, 2, 3]],
            "disagree about front and back: the sform is believed",
        ),
        (turned(90, 0), np.eye(4), "disagree about how the volume lies in the patient: the sform is believed"),
        (turned(90, 1), np.eye(4), "lies in the patient: the sform is believed, so left and right may be swapped"),
    ],
)
def test_qform_and_sform_that_disagree_are_said_and_the_sform_is_believed(tmp_path, qform, sform, said):
    opened = open_recorded(twice(tmp_path, qform, sform))
    assert [said in warning for warning in opened.warnings] == [True] * bool(said)
    assert [warning.endswith("swapped") for warning in opened.warnings] == [said.endswith("swapped")] * bool(said)
    alone = written(tmp_path / "b.nii", nifti(VOLUME, sform))
    assert np.array_equal(np.asarray(opened.image), np.asarray(open_recorded(alone).image))


def test_a_voxel_of_two_sizes_is_said_and_the_matrix_that_places_it_is_believed(tmp_path):
    """Method 3 of nifti1.h (sform) has no part for pixdim; in method 2 (qform) pixdim is the size."""
    affine, other = np.diag([1.0, 1, 3, 1]), [1, 1, 2, 3, 1, 1, 1, 1]
    agreed = open_recorded(written(tmp_path / "a.nii", nifti(VOLUME, affine)))
    assert agreed.warnings == ()
    differing = open_recorded(written(tmp_path / "b.nii", nifti(VOLUME, affine, pixdim=other)))
    assert differing.warnings[0].endswith("twice and differently: 1 x 2 x 3 (pixdim), 1 x 1 x 3 (sform, believed)")
    assert differing.facts["spacing"] == "1 x 1 x 3"
    assert np.array_equal(np.asarray(differing.image), np.asarray(agreed.image))  # square as the sform has it
    larger = nifti(VOLUME, affine, pixdim=[1, 2, 2, 6, 1, 1, 1, 1])  # of the same proportions
    assert "2 x 2 x 6 (pixdim), 1 x 1 x 3" in open_recorded(written(tmp_path / "c.nii", larger)).warnings[0]
    by_qform = nifti(VOLUME, affine, pixdim=other, sform_code=0, qform_code=1)
    opened = open_recorded(written(tmp_path / "d.nii", by_qform))
    assert (opened.warnings, opened.facts["spacing"], opened.image.size) == ((), "1 x 2 x 3", (16, 36))


def test_an_sform_of_zeros_leaves_the_qform(tmp_path):
    sides = nifti(VOLUME, np.diag([-2.0, 2, 3, 1]), qform_code=1, srow_x=[0] * 4, srow_y=[0] * 4, srow_z=[0] * 4)
    opened = open_recorded(written(tmp_path / "a.nii", sides))
    assert opened.warnings == ("the sform of the file is no position that a volume can have: the qform is believed",)
    alone = nifti(VOLUME, np.diag([-2.0, 2, 3, 1]), qform_code=1, sform_code=0)
    expected = open_recorded(written(tmp_path / "b.nii", alone))
    assert np.array_equal(np.asarray(opened.image), np.asarray(expected.image))
    assert opened.facts == expected.facts


def test_the_warning_reaches_look_and_ask(tmp_path):
    path = twice(tmp_path, np.diag([-2.0, 2, 3, 1]), np.diag([2.0, 2, 3, 1]))
    printed = CliRunner().invoke(app, ["data", "look", str(path)]).output
    assert f"warning: qform and sform {SIDES}" in printed
    assert f"warning: qform and sform {SIDES}" in seen(path)
    flat = tmp_path / "flat.png"
    Image.new("L", (SIDE, SIDE), 9).save(flat)
    assert seen(flat) == f"warning: {NOTHING}"


def test_the_audit_says_what_images_warn_of_and_remembers_it(tmp_path):
    sides = twice(tmp_path, np.diag([-2.0, 2, 3, 1]), np.diag([2.0, 2, 3, 1]))
    names = {"sides": sides}
    for name, values in (("flat", np.full((SIDE, SIDE), 9, np.uint8)), ("two", labels(2)), ("three", labels(3))):
        Image.fromarray(values).save(tmp_path / f"{name}.png")
        names[name] = tmp_path / f"{name}.png"
    Image.fromarray(scene(top=255)).save(tmp_path / "good.png")
    names["good"] = tmp_path / "good.png"
    about = {"split": "train", "question": "What is seen?", "answer": "a"}
    samples = {"train": [Sample(id=name, image=name, path=path, **about) for name, path in names.items()]}
    for _ in range(2):  # the second time from the cache
        image_set = ImageSet.look(samples, 1, tmp_path / "cache.sqlite", lambda done, total: None)
        found = audit_images.check(AuditInputs(samples, "m3ae", image_set))
        assert found["blank"] == ["flat"]
        assert [entry["images"] for entry in found["warned"]] == [["two", "three"], ["sides"]]
        said = " ".join(audit_images.verdict(found))
        assert "2 images, e.g. two: it looks like a map of labels" in said
        assert f"sides: qform and sform {SIDES}" in said


# Colour profiles


def primaries(gamma: float, matrix: list[list[float]]) -> bytes:
    """A matrix profile (ICC.1 8.3) of one gamma, whose columns are the colours' places in XYZ under D50."""

    def fixed(value: float) -> bytes:
        return int(round(value * 65536)).to_bytes(4, "big", signed=True)

    curve = b"curv" + b"\0" * 4 + (1).to_bytes(4, "big") + int(round(gamma * 256)).to_bytes(2, "big") + b"\0\0"
    tags = {b"wtpt": b"XYZ \0\0\0\0" + b"".join(map(fixed, (0.9642, 1.0, 0.8249)))}
    for column, letter in enumerate(b"rgb"):
        tags[bytes([letter]) + b"XYZ"] = b"XYZ \0\0\0\0" + b"".join(fixed(row[column]) for row in matrix)
        tags[bytes([letter]) + b"TRC"] = curve
    head, table, data = bytearray(128), len(tags).to_bytes(4, "big"), b""
    for name, value in tags.items():
        table += name + (128 + 4 + 12 * len(tags) + len(data)).to_bytes(4, "big") + len(value).to_bytes(4, "big")
        data += value
    head[8:12], head[12:24] = b"\x02\x10\0\0", b"mntrRGB XYZ "
    head[36:40], head[68:80] = b"acsp", b"".join(map(fixed, (0.9642, 1.0, 0.8249)))
    head[:4] = (128 + len(table) + len(data)).to_bytes(4, "big")
    return bytes(head) + table + data


SRGB = [[0.4361, 0.3851, 0.1431], [0.2225, 0.7169, 0.0606], [0.0139, 0.0971, 0.7141]]
ADOBE = [[0.6097, 0.2053, 0.1492], [0.3111, 0.6257, 0.0632], [0.0195, 0.0609, 0.7446]]


def test_a_profile_that_changes_colours_is_said_not_to_be_applied(tmp_path):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile, said in (
        (primaries(2.2, ADOBE), True),
        (primaries(1.0, SRGB), True),
        (primaries(2.2, SRGB), False),
        (srgb, False),
    ):
        path = tmp_path / "a.png"
        colours = np.stack([scene(top=255, seed=seed) for seed in range(3)], -1)
        Image.fromarray(colours).save(path, icc_profile=profile)
        opened = open_recorded(path)
        assert np.array_equal(np.asarray(opened.image), colours)
        assert [("is not applied" in warning) for warning in opened.warnings] == [True] * said


def test_a_profile_is_judged_in_every_kind_of_colour_image(tmp_path):
    colours, profile = np.stack([scene(top=255, seed=seed) for seed in range(3)], -1), primaries(2.2, ADOBE)
    path = written(tmp_path / "a.dcm", dicom(colours, ICCProfile=profile + b"\0"))
    assert "is not applied" in open_recorded(path).warnings[0]
    palette = {"PhotometricInterpretation": "PALETTE COLOR", "ICCProfile": profile + b"\0"}
    for colour in ("Red", "Green", "Blue"):
        palette[f"{colour}PaletteColorLookupTableDescriptor"] = [256, 0, 8]
        palette[f"{colour}PaletteColorLookupTableData"] = bytes(range(256))
    assert "is not applied" in open_recorded(written(tmp_path / "b.dcm", dicom(scene(top=255), **palette))).warnings[0]
    for mode in ("P", "RGBA"):
        Image.fromarray(colours).convert(mode).save(tmp_path / "a.png", icc_profile=profile)
        assert "is not applied" in open_recorded(tmp_path / "a.png").warnings[0], mode


def test_a_profile_for_other_colours_or_none_is_passed_over_and_a_broken_one_said():
    assert colour_profile.remark(primaries(2.2, ADOBE), "L") == ""
    assert colour_profile.remark(b"", "RGB") == ""
    assert "cannot be read" in colour_profile.remark(b"rubbish" * 40, "RGB")


def test_the_functional_groups_are_read_for_windows_that_cannot_be_used(tmp_path):
    groups = sequence({"FrameVOILUTSequence": [{"WindowCenter": 40, "WindowWidth": 0}]})
    path = written(tmp_path / "a.dcm", dicom(scene(), SharedFunctionalGroupsSequence=groups))
    opened = open_recorded(path)
    assert opened.warnings == ("a window of the file cannot be used and is passed over: number 1 (40:0)",)
    assert opened.steps[-1] == "without the 0.5 % darkest and brightest values"


def test_the_test_profile_is_a_profile():
    assert ImageCms.ImageCmsProfile(io.BytesIO(primaries(2.2, SRGB))).profile.xcolor_space.strip() == "RGB"
