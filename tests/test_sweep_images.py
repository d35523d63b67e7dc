"""The sweep tells images that are equal from images that differ, whatever reads them."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from _medical import dicom, nifti, scene, written
from PIL import Image

from discern_vqa.imaging import raster


@pytest.fixture
def sweep(monkeypatch):
    """benchmarks/sweep_images.py."""
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[1] / "benchmarks")
    import sweep_images

    yield sweep_images
    sys.modules.pop("sweep_images")


@pytest.fixture
def folder(tmp_path):
    """One file of each kind, one that is cut off, and one that is no image."""
    made = tmp_path / "set"
    made.mkdir()
    written(made / "a.dcm", dicom(scene(), WindowCenter=2000, WindowWidth=900, PixelSpacing=[2, 1]))
    written(
        made / "b.nii.gz", nifti(np.stack([scene()] * 3, -1).astype(np.int16), np.diag([-1.0, 1, 1, 1]), packed=True)
    )
    Image.fromarray(scene(top=255)).convert("RGBA").save(made / "c.png")
    written(made / "d.png", (made / "c.png").read_bytes()[:200])
    written(made / "e.rst", b"text")
    return made


def test_each_kind_is_equal_and_a_cut_off_file_is_refused_by_both(sweep, folder):
    rows = {row["file"]: (row["kind"], row["outcome"]) for row in sweep.sweep(folder)}
    assert rows == {
        "set/a.dcm": ("DICOM", "equal"),
        "set/b.nii.gz": ("NIfTI, Analyze", "equal"),
        "set/c.png": ("ordinary image", "equal"),
        "set/d.png": ("ordinary image", "refused by both"),
    }


def test_pixels_that_change_are_found_and_listed(sweep, folder, monkeypatch, capsys, tmp_path):
    plain = raster._over_black

    def darker(image):
        shown, is_clear = plain(image)
        return shown.point(lambda value: max(0, value - 2)), is_clear

    monkeypatch.setattr(raster, "_over_black", darker)
    monkeypatch.setattr(sys, "argv", ["sweep_images.py", str(folder), "--json", str(tmp_path / "out.json")])
    assert sweep.main() == 1
    assert "set/c.png: " in capsys.readouterr().out
    result = json.loads((tmp_path / "out.json").read_text())
    assert result["counts"]["ordinary image"] == {"differ": 1, "refused by both": 1}
    assert str(tmp_path) not in json.dumps(result)


def test_rounding_is_no_difference_and_another_size_is(sweep):
    values = scene(top=200)
    assert sweep.difference(values, values + 1.0) == ""
    assert "100.00% of the values, at most 2 apart" in sweep.difference(values, values + 2)
    assert sweep.difference(values, np.stack([values] * 3, -1)) == ""
    assert "48 x 40 pixels, theirs 40 x 48" in sweep.difference(values, values.T)
