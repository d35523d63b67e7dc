"""JPEG Lossless: every predictor, depth and interleaving comes back to the last bit; damage is noticed."""

import numpy as np
import pytest
from _medical import lossless_jpeg, scene

from discern_vqa.imaging.lossless_jpeg import decode


@pytest.mark.parametrize("predictor", range(1, 8))
@pytest.mark.parametrize("restart_rows", [0, 7])
@pytest.mark.parametrize(("precision", "top"), [(8, 255), (12, 4095), (16, 65535)])
def test_what_was_encoded_comes_back(predictor, restart_rows, precision, top):
    for values in (scene(20, 31, top), np.random.default_rng(0).integers(0, top + 1, (9, 6)).astype(np.uint16)):
        back = decode(lossless_jpeg(values, precision, predictor, restart_rows))
        assert back.dtype == np.uint16
        assert np.array_equal(back[..., 0], values)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (5, 4, 3)])
@pytest.mark.parametrize("predictor", [1, 2, 7])
def test_odd_shapes_and_colours_come_back(shape, predictor):
    values = np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)
    assert np.array_equal(decode(lossless_jpeg(values, 8, predictor)).reshape(shape), values)


def test_a_difference_of_half_the_range_is_read():
    values = np.array([[0, 32768, 0], [32768, 0, 65535]], dtype=np.uint16)
    assert np.array_equal(decode(lossless_jpeg(values, 16))[..., 0], values)


def test_every_cut_and_every_wrong_process_is_a_value_error():
    whole = lossless_jpeg(scene(8, 8, 255), 8)
    for length in range(len(whole) - 3):
        with pytest.raises(ValueError, match=r"."):
            decode(whole[:length])
    with pytest.raises(ValueError, match="another process"):
        decode(whole.replace(b"\xff\xc3", b"\xff\xc0"))
    with pytest.raises(ValueError, match="no JPEG"):
        decode(b"text")
