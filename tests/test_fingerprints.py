"""Fingerprints: equal images have equal ones however they are stored, frames are found, the cache tells no lies."""

import os
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from _pictures import picture, save
from PIL import Image, ImageOps

from discern_vqa.errors import DiscernError
from discern_vqa.imaging import fingerprints as module
from discern_vqa.imaging.fingerprint_cache import Cache
from discern_vqa.imaging.fingerprints import SIDE, VIEWS, content_digest, fingerprint, fingerprints, inner_box


def test_equal_pixels_have_one_digest_whatever_the_format_and_colour(tmp_path):
    drawn = picture(1)
    files = [
        save(tmp_path, "a.png", drawn),
        save(tmp_path, "b.bmp", drawn),
        save(tmp_path, "c.png", drawn.convert("RGB")),
        save(tmp_path, "d.tif", drawn),
    ]
    prints = [fingerprint(file) for file in files]
    assert len({one.pixels for one in prints}) == 1
    assert len({one.content for one in prints}) == 4
    assert len({one.thumbs for one in prints}) == 1
    other = fingerprint(save(tmp_path, "e.png", picture(2)))
    assert other.pixels != prints[0].pixels


def test_one_grey_level_in_one_point_is_another_picture(tmp_path):
    values = np.asarray(picture(1)).copy()
    values[3, 5] ^= 1
    one, other = save(tmp_path, "a.png", picture(1)), save(tmp_path, "b.png", Image.fromarray(values))
    assert fingerprint(one).pixels != fingerprint(other).pixels


def test_colour_is_told_from_grey(tmp_path):
    grey = picture(1).convert("RGB")
    red = Image.merge("RGB", (grey.split()[0], *Image.new("RGB", grey.size).split()[:2]))
    one, other = fingerprint(save(tmp_path, "a.png", grey)), fingerprint(save(tmp_path, "b.png", red))
    assert one.pixels != other.pixels


@pytest.mark.parametrize("grey", [0, 255])
def test_an_even_border_is_cut_off_and_one_within_another_too(grey):
    drawn = picture(3, 200)
    framed = ImageOps.expand(drawn, (20, 30, 40, 10), grey)
    found = inner_box(framed)
    assert np.allclose(found, (20, 30, 220, 230), atol=2)
    twice = inner_box(ImageOps.expand(framed, 25, 255 - grey))
    assert np.allclose(twice, (45, 55, 245, 255), atol=2)


def test_a_letter_in_the_border_does_not_keep_it():
    framed = ImageOps.expand(picture(3, 200), 40, 0)
    framed.paste(255, (5, 100, 15, 108))
    assert np.allclose(inner_box(framed), (40, 40, 240, 240), atol=2)


def test_an_even_picture_is_taken_whole():
    assert inner_box(Image.new("L", (50, 40), 7)) == (0, 0, 50, 40)


def test_what_cannot_be_opened_carries_the_reason(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no image")
    found = fingerprints([tmp_path / "bad.png", tmp_path / "none.png", save(tmp_path, "a.png", picture(1))])
    assert "is no image that can be read" in found.reasons[0]
    assert "No such file" in found.reasons[1]
    assert found.reasons[2] == ""
    assert (bool(found.content[0]), bool(found.content[1])) == (True, False)
    assert found.pixels[:2] == [b"", b""]
    assert found.thumbs.shape == (3, len(VIEWS), SIDE, SIDE)
    assert found.sizes.tolist() == [[0, 0], [0, 0], [96, 96]]


def same(one, other) -> bool:
    return (
        one.content == other.content
        and one.pixels == other.pixels
        and one.reasons == other.reasons
        and np.array_equal(one.thumbs, other.thumbs)
        and np.array_equal(one.sizes, other.sizes)
    )


def test_the_cache_answers_for_unchanged_files_and_only_for_these(tmp_path, monkeypatch):
    files = [save(tmp_path, f"{number}.png", picture(number)) for number in range(5)]
    cache = tmp_path / "cache" / "prints.sqlite"
    first = fingerprints(files, cache=cache)
    read = []
    monkeypatch.setattr(module, "fingerprint", lambda path: read.append(path) or fingerprint(path))
    assert same(fingerprints(files, cache=cache), first)
    assert read == []
    save(tmp_path, "2.png", picture(77))
    os.utime(files[3], ns=(1, 1))
    again = fingerprints(files, cache=cache)
    assert read == [files[2], files[3]]
    assert again.pixels[2] != first.pixels[2]
    assert again.pixels[3] == first.pixels[3]


def test_a_file_that_could_not_be_opened_is_tried_again(tmp_path):
    path, cache = tmp_path / "a.png", tmp_path / "c.sqlite"
    path.write_bytes(b"no image")
    assert fingerprints([path], cache=cache).reasons[0]
    with Cache(cache) as known:
        assert known.get(path) is None


def test_a_search_that_was_stopped_goes_on_where_it_was(tmp_path, monkeypatch):
    files = [save(tmp_path, f"{number}.png", picture(number)) for number in range(module._CHUNK + 3)]
    cache = tmp_path / "c.sqlite"

    def stop(done: int, total: int) -> None:
        if done == module._CHUNK + 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fingerprints(files, cache=cache, progress=stop)
    read = []
    monkeypatch.setattr(module, "fingerprint", lambda path: read.append(path) or fingerprint(path))
    fingerprints(files, cache=cache)
    assert read == files[module._CHUNK :]


def test_several_processes_find_the_same(tmp_path, monkeypatch):
    files = [save(tmp_path, f"{number}.png", picture(number)) for number in range(9)]
    (tmp_path / "bad.png").write_bytes(b"no image")
    files.append(tmp_path / "bad.png")
    monkeypatch.setattr(module, "_ENOUGH", 1)
    monkeypatch.setattr(module, "_CHUNK", 2)
    seen = []
    found = fingerprints(files, workers=2, progress=lambda done, total: seen.append((done, total)))
    assert same(found, fingerprints(files))
    assert seen == [(done, 10) for done in range(1, 11)]


def test_a_damaged_cache_is_begun_anew(tmp_path):
    cache = tmp_path / "c.sqlite"
    cache.write_bytes(b"no database, and longer than a header of SQLite would be" * 10)
    file = save(tmp_path, "a.png", picture(1))
    fingerprints([file], cache=cache)
    with Cache(cache) as known:
        assert known.get(file) is not None


def test_a_cache_whose_later_pages_are_spoilt_is_begun_anew(tmp_path):
    cache, file = tmp_path / "c.sqlite", save(tmp_path, "a.png", picture(1))
    fingerprints([file], cache=cache)
    whole = cache.read_bytes()
    assert len(whole) > 4096
    cache.write_bytes(whole[:4096] + b"x" * (len(whole) - 4096))
    fingerprints([file], cache=cache)
    with Cache(cache) as known:
        assert known.get(file) is not None


def test_a_cache_of_another_version_is_forgotten(tmp_path):
    cache, file = tmp_path / "c.sqlite", save(tmp_path, "a.png", picture(1))
    fingerprints([file], cache=cache)
    with sqlite3.connect(cache) as base:
        base.execute("pragma user_version = 999")
    base.close()
    with Cache(cache) as known:
        assert known.get(file) is None


def test_a_cache_that_cannot_be_written_is_said_in_two_lines(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DiscernError, match="cannot be used") as caught:
        fingerprints([], cache=tmp_path / "file" / "c.sqlite")
    assert "XDG_CACHE_HOME" in caught.value.hint


def test_the_cache_holds_no_name(tmp_path):
    file = save(tmp_path, "jane_doe_1970.png", picture(1))
    cache = tmp_path / "c.sqlite"
    fingerprints([file], cache=cache)
    assert b"jane" not in cache.read_bytes()
    assert cache.stat().st_mode & 0o077 == 0


def test_a_device_without_an_end_is_not_read():
    assert content_digest(Path("/dev/zero")) == b""
