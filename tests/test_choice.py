"""Choices behind a file's name: `brain.nii.gz#axis=coronal#slice=3`."""

from pathlib import Path

import numpy as np
import pytest
from _medical import dicom, nifti, scene, written
from PIL import Image

from discern_vqa.errors import ImageError
from discern_vqa.imaging.image_ref import Choice, file_of, read_choice, split_choice, with_choice
from discern_vqa.imaging.images import open_image


@pytest.mark.parametrize(
    ("written_as", "choice"),
    [
        ("a.dcm", Choice()),
        ("a.dcm#frame=3", Choice(frame=3)),
        ("a.nii.gz#axis=coronal#slice=40", Choice(axis="coronal", slice=40)),
        ("a.dcm#window=lung", Choice(window="lung")),
        ("a.dcm#window=-600:1500#mirror=yes", Choice(window="-600:1500", mirror=True)),
        ("a.dcm#mirror=no", Choice()),
    ],
)
def test_what_stands_behind_the_name_is_read(written_as, choice):
    file, found = read_choice(Path("x") / written_as)
    assert file == Path("x") / written_as.partition("#")[0]
    assert found == choice
    assert read_choice(Path(f"a{choice}")) == (Path("a"), choice)


@pytest.mark.parametrize("name", ["a#b.png", "#frame=1", "a#", "case #7.png", "a.png#frame", "a.png#frame=1#x"])
def test_other_names_with_a_hash_are_names(name):
    assert split_choice(Path(name)) == (Path(name), "")


def test_a_file_of_that_very_name_is_that_file(tmp_path):
    Image.new("L", (3, 2), 7).save(tmp_path / "a.png#frame=2", format="PNG")
    assert open_image(tmp_path / "a.png#frame=2").size == (3, 2)
    assert file_of(tmp_path / "a.png#frame=2").name == "a.png#frame=2"


@pytest.mark.parametrize(
    ("name", "said", "hint"),
    [
        ("a.dcm#frme=1", "nothing is chosen by 'frme'", "did you mean 'frame'?"),
        ("a.dcm#frame=0", "expected a number from 1 on", "for example #frame=3"),
        ("a.dcm#frame=1#frame=2", "'frame' is chosen twice", "leave one"),
        ("a.dcm#frame=one", "expected a number from 1 on", "for example"),
        ("a.dcm#axis=axal", "expected one of axial", "#axis=axial"),
        ("a.dcm#window=", "expected a name, CENTRE:WIDTH", "#window=lung"),
        ("a.dcm#mirror=true", "expected yes or no", "#mirror=yes"),
    ],
)
def test_a_choice_that_cannot_be_is_answered(name, said, hint):
    with pytest.raises(ImageError, match=said) as caught:
        read_choice(Path(name))
    assert hint in caught.value.hint


def test_a_choice_that_the_file_does_not_have_is_answered(tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    written(tmp_path / "a.dcm", dicom(scene()))
    for name, said in (
        ("a.png#window=lung", "is a PNG file, which has no window"),
        ("a.png#frame=2", "has 1 pages"),
        ("a.dcm#slice=2", "is a DICOM file, which has no slice"),
    ):
        with pytest.raises(ImageError, match=said):
            open_image(tmp_path / name)


def test_the_missing_file_is_named_without_its_choices(tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "brain.png")
    with pytest.raises(ImageError, match="is not there") as caught:
        open_image(tmp_path / "brains.png#frame=1")
    assert caught.value.hint == "did you mean 'brain.png'?"


def test_mirroring_swaps_left_and_right_in_every_kind(tmp_path):
    Image.fromarray(scene(top=255)).save(tmp_path / "a.png")
    written(tmp_path / "a.dcm", dicom(scene()))
    written(tmp_path / "a.nii", nifti(np.stack([scene()] * 3, -1)))
    for name in ("a.png", "a.dcm", "a.nii"):
        path = with_choice(tmp_path / name, mirror=True)
        assert np.array_equal(np.asarray(open_image(path)), np.asarray(open_image(tmp_path / name))[:, ::-1])


def test_a_further_choice_joins_or_replaces_the_first():
    assert with_choice(Path("x/a.dcm#frame=3"), window="lung") == Path("x/a.dcm#frame=3#window=lung")
    assert with_choice(Path("x/a.dcm#frame=3"), frame=4) == Path("x/a.dcm#frame=4")


def test_a_page_of_a_tiff_and_of_an_animation_is_chosen(tmp_path):
    pages = [Image.new("L", (4, 4), value) for value in (10, 20, 30)]
    for name in ("a.tif", "a.gif"):
        pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:])
        for number, value in ((1, 10), (3, 30)):
            assert set(np.asarray(open_image(tmp_path / f"{name}#frame={number}").convert("L")).flat) == {value}
    assert set(np.asarray(open_image(tmp_path / "a.gif").convert("L")).flat) == {10}
    with pytest.raises(ImageError, match="holds 3 pages") as caught:
        open_image(tmp_path / "a.tif")
    assert "a.tif#frame=1 to #frame=3" in caught.value.hint
