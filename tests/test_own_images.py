"""Images of one's own data are found as people keep them; what fits two files is an error that names both."""

import os
import re
import shlex
import time
from pathlib import Path

import pytest

from discern_vqa import cli
from discern_vqa.datasets import csv, jsonl
from discern_vqa.errors import ConfigError, DataError
from discern_vqa.reading.image_files import tiny_images
from discern_vqa.reading.own_images import OwnImages

FILES = (
    "scans/CT/a.PNG",
    "scans/CT/1.2.840.99.dcm",
    "scans/b.jpg",
    "scans/Schädel.png",
    "scans/vol.nii.gz",
    "scans/with space.png",
    "scans/odd#name.png",
)


def folder(root: Path, *files: str) -> Path:
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("scans/b.jpg", "scans/b.jpg"),
        ("./scans//b.jpg", "scans/b.jpg"),
        ("scans/x/../b.jpg", "scans/b.jpg"),
        ("b.jpg", "scans/b.jpg"),
        ("a.png", "scans/CT/a.PNG"),
        ("ct/A.png", "scans/CT/a.PNG"),
        ("CT\\a.PNG", "scans/CT/a.PNG"),
        ("a", "scans/CT/a.PNG"),
        ("CT/a", "scans/CT/a.PNG"),
        ("1.2.840.99", "scans/CT/1.2.840.99.dcm"),
        ("vol", "scans/vol.nii.gz"),
        ("Scha\u0308del.PNG", "scans/Schädel.png"),  # as macOS writes it
        (" with space.png ", "scans/with space.png"),
        ("/home/other/project/scans/CT/a.PNG", "scans/CT/a.PNG"),
        ("/home/other/b.jpg", "scans/b.jpg"),
        ("C:\\Users\\me\\Scans\\ct\\a.png", "scans/CT/a.PNG"),
        ("D:/b.JPG", "scans/b.jpg"),
        ("project/data/scans/b.jpg", "scans/b.jpg"),
        ("file:///export/scans/b.jpg", "scans/b.jpg"),
        ("odd#name.png", "scans/odd#name.png"),
        ("vol.nii.gz#slice=3#axis=sagittal", "scans/vol.nii.gz#slice=3#axis=sagittal"),
        ("scans/vol.nii.gz#slice=3", "scans/vol.nii.gz#slice=3"),
    ],
)
def test_an_image_is_found_however_it_is_written_and_known_by_its_file(tmp_path, name, file):
    images = OwnImages(folder(tmp_path, *FILES))
    assert images.find(name, "t.csv:2") == (file, tmp_path / file)


def test_an_absolute_path_inside_the_folder_is_inside_also_through_a_link(tmp_path):
    folder(tmp_path / "set", *FILES)
    (tmp_path / "link").symlink_to(tmp_path / "set")
    for root in (tmp_path / "set", tmp_path / "link"):
        images = OwnImages(root)
        for base in (root, tmp_path / "set"):
            assert images.find(f"{base}/scans/b.jpg", "t.csv:2") == ("scans/b.jpg", root / "scans/b.jpg")


def test_images_behind_a_linked_folder_are_found_and_a_circle_of_links_ends(tmp_path):
    folder(tmp_path / "elsewhere", "a.png")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "pictures").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "circle").symlink_to(tmp_path / "elsewhere")
    assert OwnImages(tmp_path / "set").find("a.png", "t.csv:2")[0] == "pictures/a.png"


@pytest.mark.parametrize(
    ("files", "name", "first", "second"),
    [
        (("x/a.png", "y/a.png"), "a.png", "x/a.png", "y/a.png"),
        (("x/a.png", "y/A.PNG"), "a.PNG", "x/a.png", "y/A.PNG"),
        (("a.png", "x/a.jpg"), "a", "a.png", "x/a.jpg"),
        (("x/ct/a.png", "y/ct/a.png"), "/other/ct/a.png", "x/ct/a.png", "y/ct/a.png"),
    ],
)
def test_a_name_that_fits_two_files_is_refused_and_both_are_named(tmp_path, files, name, first, second):
    with pytest.raises(DataError) as caught:
        OwnImages(folder(tmp_path, *files)).find(name, "t.csv:2")
    assert str(caught.value) == f"t.csv:2: the image {name!r} may be {first} or {second}"


def test_more_of_the_path_or_the_right_case_decides(tmp_path):
    images = OwnImages(folder(tmp_path, "x/a.png", "y/a.png", "z/A.png"))
    assert images.find("/export/y/a.png", "t.csv:2")[0] == "y/a.png"
    assert images.find("A.png", "t.csv:2")[0] == "z/A.png"


def test_two_paths_of_another_machine_are_never_one_file(tmp_path):
    images = OwnImages(folder(tmp_path, "test/a.png"))
    assert images.find("/export/test/a.png", "t.csv:2")[0] == "test/a.png"
    with pytest.raises(DataError, match=r"t.csv:3: the images '/export/test/a.png' and '/export/train/a.png' would"):
        images.find("/export/train/a.png", "t.csv:3")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("train/b.jpg", "'train/b.jpg' is not there"),  # scans/b.jpg is another file
        ("b.png", "'b.png' is not there"),
        ("b.jp", "'b.jp' is not there"),
        ("../b.jpg", "leads out of the data set's folder"),
        ("scans/../../b.jpg", "leads out of the data set's folder"),
        ("https://example.org/b.jpg", "is an address"),
        (".", "is no name of a file"),
        ("scans", "is a folder"),
    ],
)
def test_other_names_are_refused(tmp_path, name, message):
    with pytest.raises(DataError, match=f"^t.csv:2: the image .*{re.escape(message)}") as caught:
        OwnImages(folder(tmp_path, *FILES)).find(name, "t.csv:2")
    assert caught.value.hint


def test_notes_beside_an_image_do_not_make_its_name_doubtful(tmp_path):
    images = OwnImages(folder(tmp_path, "a.png", "a.txt", "a.json", ".a.jpg", "__MACOSX/a.png"))
    assert images.find("a", "t.csv:2")[0] == "a.png"


def test_one_image_under_two_names_is_one_image_so_that_no_split_divides_it(tmp_path):
    tiny_images(tmp_path / "scans", ("a.png",))
    (tmp_path / "t.csv").write_text("image,question,answer\nscans/a.png,Is it?,yes\nA.PNG,Where?,left\n")
    assert {row.image for row in csv.read(tmp_path, "train")} == {"scans/a.png"}


def test_the_folder_of_images_may_lie_elsewhere_and_must_be_there(tmp_path):
    tiny_images(tmp_path / "pictures", ("a.png",))
    (tmp_path / "tables").mkdir()
    file = tmp_path / "tables" / "t.csv"
    file.write_text("image,question,answer\na.png,Is it?,yes\n")
    with pytest.raises(DataError, match="t.csv:2: the image 'a.png' is not there") as caught:
        csv.read(file, "train")
    command = caught.value.hint.partition(": ")[2]
    assert command.endswith("--option images=../pictures")
    assert cli.main(shlex.split(command)[1:]) == 0
    for images in ("../pictures", str(tmp_path / "pictures")):
        (row,) = csv.read(file, "train", images=images)
        assert (row.image, Path(os.path.realpath(row.path))) == ("a.png", tmp_path / "pictures" / "a.png")
    with pytest.raises(ConfigError, match="images=pictuers: .* is no folder"):
        csv.read(file, "train", images="pictuers")


def test_a_path_of_a_converted_file_is_found_after_the_folder_moved(tmp_path):
    tiny_images(tmp_path / "old" / "scans", ("a.png",))
    line = '{"image": "id7", "path": "%s", "question": "Is it?", "answer": "yes"}\n'
    (tmp_path / "old" / "samples.jsonl").write_text(line % (tmp_path / "old/scans/a.png"))
    (tmp_path / "old").rename(tmp_path / "new")
    (row,) = jsonl.read(tmp_path / "new", "train")
    assert (row.image, row.path) == ("id7", tmp_path / "new/scans/a.png")


def test_among_a_hundred_thousand_images_each_is_found_at_once(tmp_path, monkeypatch):
    """Of the folder's list there is one, and no look-up walks through it."""
    images = OwnImages(tmp_path)
    count = 100_000
    names = {f"im{number}.png": [f"scans/{number % 100}/im{number}.png"] for number in range(count)}
    monkeypatch.setattr(images._folder, "by_name", names)
    monkeypatch.setattr("discern_vqa.reading.own_images.is_file", lambda path: "scans" in str(path))
    start = time.process_time()
    for number in range(0, count, 20):
        assert images.find(f"IM{number}.png", "t.csv:2")[0] == f"scans/{number % 100}/im{number}.png"
    assert time.process_time() - start < 10  # a walk through the list for each name would take minutes


def test_an_image_of_another_number_is_never_suggested(tmp_path):
    tiny_images(tmp_path, ("057.png", "patient_12.png"))
    images = OwnImages(tmp_path)
    with pytest.raises(DataError) as missing:
        images.find("007.png", "q.csv:2")
    assert "did you mean" not in missing.value.hint
    with pytest.raises(DataError) as mistyped:
        images.find("pateint_12.png", "q.csv:3")
    assert mistyped.value.hint == "did you mean 'patient_12.png'?"


def test_a_link_that_names_itself_is_no_end_of_the_search(tmp_path):
    folder(tmp_path, "images/a.png")
    (tmp_path / "images" / "b.png").symlink_to("b.png")
    (tmp_path / "questions.csv").write_text("image,question,answer\na.png,x?,yes\nb.png,y?,no\n", encoding="utf-8")
    skipped: list[str] = []
    rows = csv.read(tmp_path, "train", skipped=skipped)
    assert [row.image for row in rows] == ["images/a.png"]
    assert len(skipped) == 1
    assert "b.png" in skipped[0]
