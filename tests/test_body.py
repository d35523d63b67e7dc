"""Weight outside the body: measured where a background is there, and not where none is."""

import numpy as np
from PIL import Image

from discern_vqa.evaluation.body import body, outside_body, warning


def scan() -> Image.Image:
    """A disc on black with a dark hole in it, and a bright table below that is no part of it."""
    rows, columns = np.mgrid[:120, :120]
    values = np.where((rows - 50) ** 2 + (columns - 60) ** 2 < 35**2, 150, 2)
    values[(rows - 50) ** 2 + (columns - 60) ** 2 < 12**2] = 0
    values[100:108, 10:110] = 220
    return Image.fromarray(values.astype(np.uint8))


def grid_at(row: int, column: int) -> np.ndarray:
    grid = np.zeros((12, 12))
    grid[row, column] = 1.0
    return grid


def test_the_body_is_the_largest_region_with_its_holes_and_without_the_table():
    inside = body(scan())
    assert inside[50, 60]
    assert inside[50, 90]
    assert not inside[104, 60]
    assert not inside[5, 5]


def test_weight_in_a_corner_or_on_the_table_lies_outside():
    assert outside_body(scan(), grid_at(5, 6)) < 0.02
    assert outside_body(scan(), grid_at(0, 0)) > 0.98
    assert outside_body(scan(), grid_at(10, 5)) > 0.7
    assert warning(scan(), grid_at(0, 11)).startswith("most of the weight, 100 %, lies outside the body")
    assert warning(scan(), grid_at(5, 6)) == ""


def test_an_image_without_a_background_has_no_outside():
    full = Image.fromarray(np.full((80, 80), 120, np.uint8))
    assert outside_body(full, grid_at(0, 0)) is None
    assert outside_body(Image.new("L", (80, 80)), grid_at(0, 0)) is None
