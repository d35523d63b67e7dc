"""Archives from the network: unpacked without trust."""

import os
import zipfile

import pytest
from _server import zipped

from discern_vqa.errors import DataError
from discern_vqa.reading import archives


def test_archives_are_unpacked_without_the_clutter_of_other_systems(tmp_path):
    (tmp_path / "a.zip").write_bytes(zipped({"imgs/1.jpg": b"1", "__MACOSX/imgs/1.jpg": b"", "imgs/.DS_Store": b""}))
    assert archives.unpack(tmp_path / "a.zip", tmp_path / "out") == 1
    files = [file for file in (tmp_path / "out").rglob("*") if file.is_file()]
    assert files == [tmp_path / "out" / "imgs" / "1.jpg"]


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil", "C:\\evil", "..\\evil"])
def test_names_that_lead_out_of_an_archive_are_refused(tmp_path, name):
    (tmp_path / "a.zip").write_bytes(zipped({"good": b"1", name: b"2"}))
    with pytest.raises(DataError, match="leads out of its folder"):
        archives.unpack(tmp_path / "a.zip", tmp_path / "out")
    assert not (tmp_path / "evil").exists()


def test_links_bombs_and_damaged_archives_are_refused(tmp_path):
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match="holds a link, 'link'"):
        archives.unpack(tmp_path / "link.zip", tmp_path / "out")
    (tmp_path / "bomb.zip").write_bytes(zipped({"zeros": bytes(50_000_000)}))
    with pytest.raises(DataError, match="would grow to 0.1 GB"):
        archives.unpack(tmp_path / "bomb.zip", tmp_path / "out")
    whole = zipped({"a": os.urandom(5000)})
    for content in (whole[:3000], b"PK\x03\x04 nothing", whole[:100] + bytes([whole[100] ^ 1]) + whole[101:], b""):
        (tmp_path / "cut.zip").write_bytes(content)
        with pytest.raises(DataError, match="cannot be unpacked"):
            archives.unpack(tmp_path / "cut.zip", tmp_path / "out")
