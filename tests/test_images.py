"""Images: every kind of file becomes the same kind of array, and every bad file a clear error that names it."""

import io
import os
import random
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from discern_vqa.errors import ConfigError, ImageError
from discern_vqa.imaging import images
from discern_vqa.imaging.images import load_image, open_image, open_recorded

GREYS = np.linspace(0, 255, 60 * 80).astype(np.uint8).reshape(60, 80)


def saved(tmp_path, picture, name="a.png", **options):
    picture.save(tmp_path / name, **options)
    return tmp_path / name


@pytest.mark.parametrize("fit", images.FITS)
@pytest.mark.parametrize(("mode", "channels"), [("rgb", 3), ("grey", 1)])
@pytest.mark.parametrize("size", [1, 32, 224])
def test_the_array_has_the_size_and_channels_asked_for(tmp_path, fit, mode, channels, size):
    array = load_image(saved(tmp_path, Image.fromarray(GREYS)), size, mode, fit)
    assert (array.shape, array.dtype) == ((size, size, channels), np.uint8)


@pytest.mark.parametrize("side", [(500, 1), (1, 500), (1, 1)])
@pytest.mark.parametrize("fit", images.FITS)
def test_a_picture_of_one_line_is_fitted_too(tmp_path, side, fit):
    assert load_image(saved(tmp_path, Image.new("L", side, 200)), 16, "grey", fit).max() == 200


def test_padding_keeps_all_of_it_cropping_the_middle_and_stretching_bends(tmp_path):
    wide = np.full((20, 60), 100, dtype=np.uint8)
    wide[:, :10] = wide[:, -10:] = 250
    path = saved(tmp_path, Image.fromarray(wide))
    padded, cropped, stretched = (load_image(path, 60, "grey", fit)[..., 0] for fit in ("pad", "crop", "stretch"))
    assert (padded[:20] == 0).all()
    assert (padded[40:] == 0).all()
    assert (padded[30, 0], padded[30, 30], padded[30, -1]) == (250, 100, 250)
    assert (cropped == 100).all()
    assert (stretched[:, 0] == 250).all()


def test_shrinking_averages_instead_of_picking_points(tmp_path):
    board = (np.indices((256, 256)).sum(axis=0) % 2 * 255).astype(np.uint8)
    small = load_image(saved(tmp_path, Image.fromarray(board)), 16, "grey")[2:-2, 2:-2]
    assert abs(int(small.min()) - 128) < 6
    assert abs(int(small.max()) - 128) < 6


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.gif", "a.jpg", "a.webp"])
def test_formats_agree_on_the_pixels(tmp_path, name):
    options = {"lossless": True} if name == "a.webp" else {"quality": 100} if name == "a.jpg" else {}
    array = np.asarray(open_image(saved(tmp_path, Image.fromarray(GREYS), name, **options)).convert("L"))
    assert np.abs(array.astype(int) - GREYS).max() <= 2


@pytest.mark.parametrize("mode", ["1", "P", "RGB", "RGBA", "LA", "CMYK", "YCbCr"])
def test_every_colour_mode_becomes_plain_grey_or_colour(tmp_path, mode):
    name = "a.jpg" if mode in ("CMYK", "YCbCr") else "a.png"
    path = saved(tmp_path, Image.new("L", (16, 16), 255).convert(mode), name)
    assert open_image(path).mode in ("L", "RGB")
    assert (load_image(path, 8) >= 254).all()


def test_twelve_bits_in_a_sixteen_bit_file_are_not_black(tmp_path):
    deep = np.linspace(0, 4095, 60 * 80).astype(np.uint16).reshape(60, 80)
    for name in ("a.png", "a.tif"):
        array = np.asarray(open_image(saved(tmp_path, Image.fromarray(deep), name)))
        assert (array.min(), array.max()) == (0, 255)
        assert np.abs(array.astype(int) - GREYS).max() <= 1


def test_a_deep_tiff_whose_zero_is_white_is_turned(tmp_path):
    deep = np.linspace(0, 4095, 60 * 80).astype(np.uint16).reshape(60, 80)
    path = saved(tmp_path, Image.fromarray(deep), "a.tif", tiffinfo={262: 0})
    assert np.abs(np.asarray(open_image(path)).astype(int) - (255 - GREYS)).max() <= 1
    assert "its 0 is white" in open_recorded(path).steps[0]


def test_comments_and_dates_of_the_file_stay_behind(tmp_path):
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("Comment", "Doe, Jane 1970")
    path = saved(tmp_path, Image.fromarray(GREYS), "a.png", pnginfo=info)
    opened = open_recorded(path)
    assert "Doe" not in repr((opened.steps, opened.facts, opened.image.info))
    opened.image.save(tmp_path / "b.png")
    assert b"Doe" not in (tmp_path / "b.png").read_bytes()


def test_strips_join_to_the_whole_picture(tmp_path, monkeypatch):
    from discern_vqa.imaging import raster

    deep = np.random.default_rng(0).integers(0, 60000, (50, 33)).astype(np.uint16)
    clear = Image.fromarray(np.random.default_rng(1).integers(0, 255, (50, 33, 4)).astype(np.uint8))
    paths = [saved(tmp_path, Image.fromarray(deep), "a.png"), saved(tmp_path, clear, "b.png")]
    whole = [np.asarray(open_image(path)) for path in paths]
    monkeypatch.setattr(raster, "_STRIP", 100)
    for path, picture in zip(paths, whole, strict=True):
        assert np.array_equal(np.asarray(open_image(path)), picture)


def test_floating_point_greys_may_hold_holes_and_be_flat(tmp_path):
    values = np.array([[0.0, 0.5], [1.0, np.nan]], dtype=np.float32)
    assert np.asarray(open_image(saved(tmp_path, Image.fromarray(values), "a.tif"))).tolist() == [[0, 128], [255, 0]]
    counted = (
        "greys from 0 to 1 stretched to 8 bits; 1 pixel holds no number (NaN or infinite), 25 % of all: shown black"
    )
    assert open_recorded(tmp_path / "a.tif").steps == (counted,)
    flat = saved(tmp_path, Image.fromarray(np.full((4, 4), 700, dtype=np.uint16)), "b.png")
    assert np.asarray(open_image(flat)).max() == 0


def test_transparent_points_show_black(tmp_path):
    picture = Image.new("RGBA", (4, 4), (255, 255, 255, 0))
    assert load_image(saved(tmp_path, picture), 4).max() == 0
    palette = picture.convert("P")
    palette.info["transparency"] = palette.getpixel((0, 0))
    assert load_image(saved(tmp_path, palette, "p.png", transparency=palette.getpixel((0, 0))), 4).max() == 0


def test_the_cameras_orientation_is_applied(tmp_path):
    picture = Image.fromarray(np.array([[255, 0], [0, 0]], dtype=np.uint8)).resize((64, 64), Image.Resampling.NEAREST)
    exif = picture.getexif()
    exif[0x0112] = 3  # upside down
    array = load_image(saved(tmp_path, picture, "a.jpg", exif=exif, quality=100), 64, "grey")[..., 0]
    assert array[:32, :32].mean() < 5
    assert array[32:, 32:].mean() > 250


# What must be refused


def refused(path) -> ImageError:
    with pytest.raises(ImageError) as caught:
        load_image(path, 32)
    assert path.name in str(caught.value)
    assert caught.value.hint
    assert "\n" not in str(caught.value) + caught.value.hint
    return caught.value


def test_a_missing_image_is_answered_with_the_nearest_name(tmp_path):
    saved(tmp_path, Image.fromarray(GREYS), "synpic101.jpg")
    assert refused(tmp_path / "synpic101.jpeg").hint == "did you mean 'synpic101.jpg'?"
    assert "is not there" in str(refused(tmp_path / "nowhere" / "a.png"))
    assert "is a folder" in str(refused(tmp_path))


def test_a_name_that_no_file_can_have_and_a_link_in_a_circle_are_refused(tmp_path):
    for name in ("x" * 300, "x" * 300 + "#frame=2"):
        with pytest.raises(ImageError, match="is not there"):
            open_image(tmp_path / name)
    (tmp_path / "loop.png").symlink_to("loop.png")
    assert "is a broken link" in str(refused(tmp_path / "loop.png"))


def test_a_pipe_is_said_to_be_one_and_not_answered_with_its_own_name(tmp_path):
    os.mkfifo(tmp_path / "fifo.png")
    error = refused(tmp_path / "fifo.png")
    assert "is a pipe or a device" in str(error)
    assert error.hint == "give the path of an image file"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"patient,finding\n1,mass\n", "is no image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is no image"),
        (b"\0" * 128 + b"DICM" + b"\0" * 64, "is a DICOM file"),
    ],
)
def test_what_is_no_image_is_refused(tmp_path, content, message):
    (tmp_path / "a.png").write_bytes(content)
    assert message in str(refused(tmp_path / "a.png"))


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.bmp", "a.webp"])
def test_a_truncated_image_is_refused(tmp_path, name):
    noise = np.random.default_rng(0).integers(0, 255, (90, 90, 3), dtype=np.uint8)
    path = saved(tmp_path, Image.fromarray(noise), name)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "cannot be decoded" in str(refused(path)) or "is no image" in str(refused(path))


@pytest.mark.parametrize(("width", "height"), [(9_000, 10_001), (12_000, 10_000), (20_000, 20_000)])
def test_a_bomb_is_refused_before_it_is_decoded(tmp_path, monkeypatch, width, height):
    monkeypatch.setattr(images, "MOST_PIXELS", 90_000_000)
    path = saved(tmp_path, Image.new("1", (8, 8)))
    content = bytearray(path.read_bytes())
    content[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    content[29:33] = images.zlib.crc32(content[12:29]).to_bytes(4, "big")
    path.write_bytes(content)
    assert "at most 90 million pixels" in str(refused(path))


def test_a_file_of_too_many_bytes_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "MOST_BYTES", 100)
    assert "at most 100 million pixels and 0 MB" in str(refused(saved(tmp_path, Image.fromarray(GREYS))))


def test_a_file_of_several_pages_is_refused(tmp_path):
    page = Image.fromarray(GREYS)
    path = saved(tmp_path, page, "stack.tif", save_all=True, append_images=[page, page])
    assert "holds 3 pages" in str(refused(path))


def test_wrong_options_are_refused(tmp_path):
    for options in ({"size": 0}, {"size": 8, "mode": "gray"}, {"size": 8, "fit": "squash"}):
        with pytest.raises(ConfigError, match="cannot load images with"):
            load_image(tmp_path / "a.png", **options)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp", "a.gif", "a.webp", "a.tif"])
@pytest.mark.filterwarnings("ignore")
def test_a_damaged_file_is_an_image_or_an_image_error_and_nothing_else(tmp_path, name):
    buffer = io.BytesIO()
    Image.fromarray(GREYS).save(buffer, format=Image.registered_extensions()[f".{name[2:]}"])
    draw = random.Random(name)
    outcomes = set()
    for _ in range(150):
        content = bytearray(buffer.getvalue())
        for _ in range(draw.choice([1, 3, 10])):
            content[draw.randrange(min(len(content), draw.choice([80, 10_000])))] = draw.randrange(256)
        (tmp_path / name).write_bytes(content)
        try:
            outcomes.add(load_image(tmp_path / name, 8).shape)
        except ImageError as error:
            outcomes.add("refused" if name in str(error) else str(error))
    assert outcomes == {(8, 8, 3), "refused"}


def test_data_without_torch():
    code = (
        "import sys, discern_vqa.imaging.images, discern_vqa.data.answers, discern_vqa.datasets.vqa_rad, "
        "discern_vqa.datasets.jsonl; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_image_of_vqa_rad_opens(real_data):
    paths = sorted((real_data("vqa_rad") / "images").iterdir())
    assert len(paths) == 315
    assert {load_image(path, 32).shape for path in paths} == {(32, 32, 3)}
