"""Burned-in text: invented names in real and drawn images are noticed, images without them hardly ever flagged."""

import random
import sys
from pathlib import Path

import numpy as np
import pytest
from _medical import dicom, scene, written
from PIL import Image, ImageDraw, ImageFont

from discern_vqa.cli import main
from discern_vqa.datasets import phantom
from discern_vqa.imaging.burned_in import text_lines
from discern_vqa.imaging.images import open_image

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

from burned_in_text import burned  # noqa: E402  (the measurement's own way of burning text in)

PORTABLE = {"xmlab140", "xmlab186"}
"""Radiographs of SLAKE, among those looked at here, into which a word is burned ("PORTABLE")."""


def noticed_and_flagged(pictures: list[Image.Image]) -> tuple[int, int]:
    draw = random.Random(0)
    noticed = sum(bool(text_lines(burned(picture, draw)[0])) for picture in pictures)
    return noticed, sum(bool(text_lines(picture)) for picture in pictures)


def test_invented_text_in_drawn_pictures_is_noticed_and_nothing_else(tmp_path):
    phantom.draw(tmp_path, images=20, size=256, seed=1, workers=1)
    paths = sorted({sample.path for split in phantom.SPLITS for sample in phantom.read(tmp_path, split)})[:20]
    noticed, flagged = noticed_and_flagged([open_image(path) for path in paths])
    assert noticed >= 14  # 24 of 30 when measured: the smallest letters, 9 points, are at the limit
    assert flagged <= 1


def test_invented_text_in_real_pictures_is_noticed_and_hardly_anything_else(real_data):
    paths = sorted(real_data("slake").glob("imgs/*/source.jpg"))[::40][:12]
    pictures = {path.parent.name: open_image(path) for path in paths}
    assert len(pictures) == 12
    assert {name for name, picture in pictures.items() if text_lines(picture)} == PORTABLE
    noticed, _ = noticed_and_flagged(list(pictures.values()))
    assert noticed >= 10


def test_the_rows_of_medpix_captions_are_noticed(real_data):
    paths = sorted((real_data("vqa_rad") / "images").iterdir())[::80]
    assert all(text_lines(open_image(path)) for path in paths), "each of these carries a line of text at its foot"


def test_the_place_is_the_texts(tmp_path):
    picture = Image.fromarray(scene(300, 400, 120).astype(np.uint8))
    font = ImageFont.load_default(22)
    ImageDraw.Draw(picture).text((150, 200), "DOE^JANE 1970", fill=255, font=font)
    line = text_lines(picture)[0]
    left, top, right, bottom = ImageDraw.Draw(picture).textbbox((150, 200), "DOE^JANE 1970", font=font)
    assert abs(line.left - left) < 25
    assert abs(line.right - right) < 25
    assert top - 3 <= line.top < line.bottom <= bottom + 3
    assert line.letters >= 4


@pytest.mark.parametrize("size", [(1, 1), (3, 900), (900, 3), (64, 64), (2000, 10)])
def test_empty_and_odd_pictures_hold_no_text(size):
    assert text_lines(Image.new("L", size, 0)) == []
    assert text_lines(Image.new("RGB", size, (255, 255, 255))) == []


def test_look_says_what_is_seen_and_warns_of_text(tmp_path, capsys):
    values = scene(200, 300, 120).astype(np.uint8)
    path = written(tmp_path / "a.dcm", dicom(np.stack([values] * 3), BurnedInAnnotation="NO"))
    assert main(["data", "look", f"{path}#frame=2", "--out", str(tmp_path / "seen.png")]) == 0
    said = capsys.readouterr().out
    assert "DICOM: seen as 300 x 200 pixels, grey" in said
    assert "- frame 2 of 3\n" in said
    assert "warning" not in said
    assert "Doe" not in said
    with Image.open(tmp_path / "seen.png") as saved:
        assert np.array_equal(np.asarray(saved), values)
        assert not saved.info
    picture = Image.fromarray(values)
    ImageDraw.Draw(picture).text((10, 10), "Muster, Max 1970", fill=255, font=ImageFont.load_default(20))
    written(path, dicom(np.asarray(picture), BurnedInAnnotation="YES"))
    assert main(["data", "look", str(path)]) == 0
    said = capsys.readouterr().out
    assert "warning: the file says that text is burned into the image" in said
    assert "warning: text may be burned in" in said


def test_a_wrong_choice_is_answered_in_two_lines(tmp_path, capsys):
    path = written(tmp_path / "a.dcm", dicom(scene()))
    assert main(["data", "look", f"{path}#frame=2"]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith("has 1 frames; there is no number 2")
    assert second == "try: #frame=1 to #frame=1"
