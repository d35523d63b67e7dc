"""A command about one image decodes it once: it is described, answered, judged and drawn from the same pixels."""

from pathlib import Path

import pytest
from _medical import dicom, nifti, scene, written
from PIL import Image

from discern_vqa import cli
from discern_vqa.imaging import dicom as dicom_reader
from discern_vqa.imaging import images, raster
from discern_vqa.imaging import nifti as nifti_reader
from discern_vqa.imaging.decoded import decoded_once
from discern_vqa.imaging.images import open_recorded


@pytest.fixture
def decodings(monkeypatch) -> list[str]:
    """The names of the files that were decoded, in order."""
    names: list[str] = []
    for reader in (dicom_reader, nifti_reader, raster):
        read = reader.read

        def counted(file, *arguments, read=read):
            names.append(file.name)
            return read(file, *arguments)

        monkeypatch.setattr(reader, "read", counted)
    return names


@pytest.fixture
def files(tmp_path) -> dict[str, Path]:
    """An image of each kind."""
    Image.fromarray(scene(top=255).astype("uint8")).save(tmp_path / "a.png")
    return {
        "raster": tmp_path / "a.png",
        "DICOM": written(tmp_path / "a.dcm", dicom(scene())),
        "NIfTI": written(tmp_path / "a.nii", nifti(scene()[..., None].repeat(3, axis=2))),
    }


@pytest.mark.parametrize("kind", ["raster", "DICOM", "NIfTI"])
def test_ask_decodes_the_image_once(tiny_run, files, decodings, kind, capsys):
    assert cli.main(["ask", str(tiny_run), str(files[kind]), "Is there a mass?"]) == 0
    assert decodings == [files[kind].name]
    assert ("seen: " in capsys.readouterr().err) == (kind != "raster")


@pytest.mark.parametrize("kind", ["raster", "DICOM", "NIfTI"])
def test_explain_decodes_the_image_once(tiny_run, files, decodings, kind, tmp_path):
    out = ["--out", str(tmp_path / "map.png")]
    assert cli.main(["explain", str(tiny_run), str(files[kind]), "Is there a mass?", *out]) == 0
    assert decodings == [files[kind].name]


def test_outside_of_a_command_a_file_that_has_changed_is_read_anew(tmp_path, decodings):
    file = tmp_path / "a.png"
    Image.new("L", (4, 4), 10).save(file)
    with decoded_once():
        assert open_recorded(file) is open_recorded(file)
    Image.new("L", (4, 4), 200).save(file)
    assert images.open_image(file).getpixel((0, 0)) == 200
    assert decodings == ["a.png", "a.png"]
