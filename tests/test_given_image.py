"""Images that a Python program has in memory: the same answer as of their file, and a clear refusal of anything
else."""

import numpy as np
import pytest
from PIL import Image

import discern_vqa
from discern_vqa.errors import DataError, ImageError
from discern_vqa.evaluation.given_image import as_file
from discern_vqa.imaging.images import open_image


def test_an_image_in_memory_is_answered_like_its_file(tiny_run, tmp_path):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 56), dtype=np.uint8))
    image.save(tmp_path / "a.png")
    model = discern_vqa.load(tiny_run)
    expected = model.ask(tmp_path / "a.png", "Is there a mass?")
    for given in (str(tmp_path / "a.png"), image, np.asarray(image), Image.open(tmp_path / "a.png")):
        answer = model.ask(given, "Is there a mass?")
        assert (answer.text, answer.score) == (expected.text, pytest.approx(expected.score, abs=1e-6))
    assert answer.verdict.answer == answer.text


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (np.zeros((4, 4)), "array of float64"), (np.zeros((4, 4, 2), np.uint8), r"shape \(4, 4, 2\)"),
        (np.zeros((0, 4), np.uint8), r"shape \(0, 4\)"), (Image.new("F", (4, 4)), "mode 'F'"), (None, "NoneType"),
        (bytearray(b"bytes"), "given as bytearray"), ([[1]], "list"),
    ],
)  # fmt: skip
def test_anything_else_is_refused_in_words(given, told):
    with pytest.raises(ImageError, match=told) as caught, as_file(given):
        pass
    assert caught.value.hint


def test_a_question_that_is_no_text_is_refused(tiny_run):
    with pytest.raises(DataError, match="given as int"):
        discern_vqa.load(tiny_run).ask(np.zeros((8, 8), np.uint8), 5)


def test_an_image_that_lies_on_its_side_is_turned_upright():
    image = Image.new("RGB", (40, 20))
    image.getexif()[0x0112] = 6
    with as_file(image) as file:
        assert open_image(file).size == (20, 40)
    assert not file.exists()


@pytest.mark.parametrize("mode", ["I;16B", "I;16L"])
def test_sixteen_bits_in_any_order_of_bytes_keep_their_values(mode):
    greys = np.array([[0, 255, 256], [1000, 40000, 65535]], np.uint16)
    image = Image.frombytes(mode, (3, 2), greys.astype(">u2" if mode == "I;16B" else "<u2").tobytes())
    with as_file(image) as file, Image.open(file) as written:
        assert np.asarray(written).tolist() == greys.tolist()


def test_an_image_of_pillow_that_cannot_be_read_is_refused_in_words(tmp_path):
    file = tmp_path / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)).save(file)
    closed = Image.open(file)
    closed.close()
    cut = tmp_path / "cut.png"
    cut.write_bytes(file.read_bytes()[:2000])
    with Image.open(cut) as half:
        for image, told in (
            (closed, "cannot be read: Operation on closed image"),
            (half, "cannot be read: .*truncated"),
            (Image.new("RGB", (0, 5)), "has 0 x 5 pixels"),
        ):
            with pytest.raises(ImageError, match=told) as caught, as_file(image):
                pass
            assert caught.value.hint
    transparent = Image.new("LA", (2, 2), (100, 255)).convert("La")
    with as_file(transparent) as written, Image.open(written) as opened:
        assert opened.getpixel((0, 0)) == (100, 255)
