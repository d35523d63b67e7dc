"""`discern data get` against a server of this machine: resume, checksums, mirrors, archives, licences."""

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from _readers import own_folders
from _server import git_hash, served, zipped

from discern_vqa import cli, registry
from discern_vqa.datasets import slake, vqa_rad
from discern_vqa.errors import ConfigError, DataError
from discern_vqa.reading import get
from discern_vqa.reading.download import download, holds
from discern_vqa.reading.sources import File, Hub, Zenodo

__all__ = ["own_folders"]  # the fixture

CONTENT = bytes(range(256)) * 4000  # about 1 MB
SHA = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
PUBLIC = [name for name in registry.names("datasets") if getattr(registry.load("datasets", name), "SOURCE", "")]


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with served() as about:
        about.files["/a.bin"] = CONTENT
        yield about


def fetch(server, target: Path, path: str = "/a.bin", *more: str, **known) -> str:
    return download([server.url + path, *more], target, wait_s=0.0, **known)


def test_a_file_is_fetched_whole_and_its_checksum_compared(server, tmp_path):
    told = []
    known = {"size": len(CONTENT), "checksum": SHA, "progress": lambda done, whole: told.append((done, whole))}
    assert fetch(server, tmp_path / "new" / "a.bin", **known) == server.url + "/a.bin"
    assert (tmp_path / "new" / "a.bin").read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["a.bin"]


def test_what_breaks_off_is_gone_on_with_in_the_same_call(server, tmp_path):
    server.breaks["/a.bin"] = [300_000, 200_000]
    fetch(server, tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert [asked for _, asked in server.asked] == ["", "bytes=300000-", "bytes=500000-"]


def test_what_broke_off_is_gone_on_with_by_a_later_call(server, tmp_path):
    server.breaks["/a.bin"] = [100_000, 100_000, 100_000]
    with pytest.raises(DataError, match="cannot download a.bin: .*broke off") as caught:
        fetch(server, tmp_path / "a.bin")
    assert "run the same command again" in caught.value.hint
    assert not (tmp_path / "a.bin").exists()
    fetch(server, tmp_path / "a.bin")
    assert server.asked[-1][1] == "bytes=300000-"
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_file_that_changed_meanwhile_is_fetched_anew(server, tmp_path):
    server.breaks["/a.bin"] = [100_000, 0, 0]
    with pytest.raises(DataError):
        fetch(server, tmp_path / "a.bin")
    server.files["/a.bin"] = CONTENT[::-1]
    fetch(server, tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT[::-1]


def test_a_server_that_knows_no_ranges_sends_all_again(server, tmp_path):
    server.ranges, server.breaks["/a.bin"] = False, [100_000]
    fetch(server, tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_without_mark_and_checksum_nothing_is_pieced_together(server, tmp_path):
    server.etags, server.breaks["/a.bin"] = False, [100_000]
    fetch(server, tmp_path / "a.bin")
    assert [asked for _, asked in server.asked] == ["", ""]
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_wrong_checksum_is_refused_and_the_mirror_asked(server, tmp_path):
    server.files["/bad.bin"] = b"x" * len(CONTENT)
    url = fetch(server, tmp_path / "a.bin", "/bad.bin", server.url + "/a.bin", checksum=SHA)
    assert url.endswith("/a.bin")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    with pytest.raises(DataError, match="its checksum differs from the owner's"):
        fetch(server, tmp_path / "b.bin", "/bad.bin", checksum=SHA)
    assert [file.name for file in tmp_path.iterdir()] == ["a.bin"]


@pytest.mark.parametrize(("status", "reason"), [(404, "HTTP 404"), (403, "HTTP 403 .it may need a registration")])
def test_an_answer_of_no_is_not_asked_for_again(server, tmp_path, status, reason):
    server.status["/a.bin"] = status
    with pytest.raises(DataError, match=reason):
        fetch(server, tmp_path / "a.bin")
    assert len(server.asked) == 1
    server.files["/mirror.bin"] = CONTENT
    assert fetch(server, tmp_path / "a.bin", "/a.bin", server.url + "/mirror.bin").endswith("/mirror.bin")


def test_more_than_was_stated_is_refused(server, tmp_path):
    with pytest.raises(DataError, match="bytes were received, 1,000 were expected"):
        fetch(server, tmp_path / "a.bin", size=1000)
    assert not any(tmp_path.iterdir())


def test_only_http_is_spoken_and_a_full_disk_is_said_before(server, tmp_path):
    with pytest.raises(DataError, match="is not an http address"):
        download(["file:///etc/passwd"], tmp_path / "a", wait_s=0.0)
    with pytest.raises(DataError, match="has room for"):
        fetch(server, tmp_path / "a", size=10**18)


def test_three_kinds_of_checksums_are_known(tmp_path):
    (tmp_path / "a").write_bytes(CONTENT)
    md5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
    for checksum in (SHA, f"md5:{md5}", f"git:{git_hash(CONTENT)}"):
        assert holds(tmp_path / "a", checksum)
        assert not holds(tmp_path / "a", checksum[:-1] + ("0" if checksum[-1] != "0" else "1"))


# Services


def test_a_repository_of_the_hub_is_listed_with_sizes_and_checksums(server, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    server.listed("me/set", {"data/train-0.parquet": b"1", "data/test-0.parquet": b"22", "README.md": b"3"})
    train, test = Hub(repository="me/set", patterns=("data/train-*.parquet", "data/test-*.parquet")).files()
    assert (train.name, train.size) == ("data/train-0.parquet", 1)
    assert test.checksum == f"sha256:{hashlib.sha256(b'22').hexdigest()}"
    server.listed("me/set", {"README.md": b"3"}, large=False)
    (readme,) = Hub(repository="me/set", patterns=("*.md",)).files()
    assert readme.checksum == f"git:{git_hash(b'3')}"
    with pytest.raises(DataError, match="has no file nothing.zip any more"):
        Hub(repository="me/set", patterns=("nothing.zip",)).files()
    with pytest.raises(DataError, match="the hub does not answer: .*HTTP 404"):
        Hub(repository="me/other", patterns=("*",)).files()
    server.files["/api/datasets/me/set/tree/main?recursive=true"] = b"<html>"
    with pytest.raises(DataError, match="is no list of files"):
        Hub(repository="me/set", patterns=("*",)).files()


def test_a_zenodo_record_states_checksums_and_is_fetched_without_them_when_silent(server):
    source = Zenodo(record=7, names=("a b.zip",), mirrors={"a b.zip": "https://mirror/a.zip"}, endpoint=server.url)
    stated = {"files": [{"key": "a b.zip", "size": 5, "checksum": "md5:abc"}, {"key": "other", "size": 1}]}
    server.files["/api/records/7"] = json.dumps(stated).encode()
    (file,) = source.files()
    assert (file.size, file.checksum, file.unpack) == (5, "md5:abc", True)
    assert file.urls == (f"{server.url}/records/7/files/a%20b.zip?download=1", "https://mirror/a.zip")
    server.status["/api/records/7"] = 500
    assert (source.files()[0].size, source.files()[0].checksum) == (0, "")
    server.status.clear()
    server.files["/api/records/7"] = b'{"files": [1]}'
    with pytest.raises(DataError, match="record 7 cannot be read"):
        source.files()


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_set_says_where_it_is_to_be_had(name):
    reader = registry.load("datasets", name)
    if not getattr(reader, "GET", None):
        with pytest.raises(ConfigError) as caught:
            get.sources_of(reader, name)
        assert reader.SOURCE in caught.value.hint
        return
    for sources in reader.GET.values():
        for source in sources:
            for url in source.urls if isinstance(source, File) else ():
                assert url.startswith("https://")
            assert not isinstance(source, Hub) or source.patterns
            assert not isinstance(source, Zenodo) or source.names
    with pytest.raises(ConfigError, match="has no part 'third'"):
        get.sources_of(reader, name, "third")


# The whole road


def slake_on(server, tmp_path) -> dict[str, bytes]:
    """A tiny SLAKE as the hub has it: JSON files, and archives of images and knowledge."""
    slake.write_tiny(tmp_path / "made")
    files = {
        file.relative_to(tmp_path / "made").as_posix(): file.read_bytes() for file in (tmp_path / "made").rglob("*.*")
    }
    plain = {name: content for name, content in files.items() if "/" not in name}
    plain["validation.json"] = plain.pop("validate.json")
    plain["imgs.zip"] = zipped({name: content for name, content in files.items() if name.startswith("imgs/")})
    plain["KG.zip"] = zipped({name: content for name, content in files.items() if name.startswith("KG/")})
    server.listed("BoKelvin/SLAKE", plain)
    return plain


def test_slake_is_fetched_unpacked_and_read(server, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    plain = slake_on(server, tmp_path)
    root = tmp_path / "got"
    assert cli.main(["data", "get", "slake", "--out", str(root), "--accept-licence"]) == 0
    said = capsys.readouterr().out
    assert "licence: CC BY 4.0" in said
    assert f"all: {len(plain)} files" in said
    assert "imgs.zip: checked" in said
    assert f"discern data audit slake {root}" in said
    assert len(slake.read(root, "train")) == 5
    assert len(slake.read(root, "validation")) == 1
    assert slake.knowledge(root)
    assert not (root / "imgs.zip").exists()
    record = json.loads((root / get.RECORD).read_text())
    assert record["licence"] == slake.LICENCE
    assert record["files"]["imgs.zip"]["checksum"].startswith("sha256:")
    asked = len(server.asked)
    assert cli.main(["data", "get", "slake", "--out", str(root), "--accept-licence"]) == 0
    assert len(server.asked) == asked + 1  # the list
    assert "imgs.zip: there already" in capsys.readouterr().out


def test_a_broken_road_is_gone_on_with(server, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    slake_on(server, tmp_path)
    archive = "/datasets/BoKelvin/SLAKE/resolve/main/imgs.zip"
    server.status[archive] = 503
    line = ["data", "get", "slake", "--out", str(tmp_path / "got"), "--accept-licence"]
    assert cli.main(line) == 2
    assert "cannot download imgs.zip" in capsys.readouterr().err
    server.status.clear()
    assert cli.main(line) == 0
    assert [path for path, _ in server.asked].count("/datasets/BoKelvin/SLAKE/resolve/main/train.json") == 1


def test_nothing_is_fetched_before_the_licence_is_accepted(server, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    slake_on(server, tmp_path)
    line = ["data", "get", "slake", "--out", str(tmp_path / "got")]
    assert cli.main(line) == 2
    said = capsys.readouterr()
    assert "licence: CC BY 4.0" in said.out
    assert "the licence of slake was not accepted" in said.err
    assert "--accept-licence" in said.err
    assert cli.main([*line, "--dry-run"]) == 0
    assert "imgs.zip" in capsys.readouterr().out
    assert not (tmp_path / "got").exists()


def test_by_default_a_set_lands_where_discern_looks_for_it(server, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.delenv("DISCERN_DATA", raising=False)
    vqa_rad.write_tiny(tmp_path / "made", edition="hub")
    files = {file.relative_to(tmp_path / "made").as_posix(): file.read_bytes() for file in tmp_path.rglob("*.parquet")}
    server.listed("flaviagiammarino/vqa-rad", files)
    assert cli.main(["data", "get", "vqa_rad", "--part", "hub", "--accept-licence"]) == 0
    capsys.readouterr()
    assert cli.main(["data", "list", "--json"]) == 0
    (row,) = [row for row in json.loads(capsys.readouterr().out) if row["name"] == "vqa_rad"]
    assert row["found"] == str(tmp_path / "cache" / "discern" / "data" / "vqa_rad")
    assert len(vqa_rad.read(Path(row["found"]), "test")) == 4


def test_a_damaged_archive_is_not_kept_and_an_inner_one_is_unpacked(server, tmp_path):
    inner = zipped({"VQAMed2019_Test_Images/1.jpg": b"1"})
    server.files["/test.zip"] = zipped({"VQAMed2019Test/images.zip": inner, "VQAMed2019Test/q.txt": b"q"})
    file = File(name="test.zip", urls=(server.url + "/test.zip",), unpack=True, inner=("images.zip",))
    get.get([file], tmp_path / "got", "CC0", wait_s=0.0)
    there = sorted(one.relative_to(tmp_path / "got").as_posix() for one in (tmp_path / "got").rglob("*.*"))
    assert there == [".discern-get.json", "VQAMed2019Test/VQAMed2019_Test_Images/1.jpg", "VQAMed2019Test/q.txt"]
    server.files["/test.zip"] = b"<html>come back later</html>"
    with pytest.raises(DataError, match="cannot be unpacked"):
        get.get([file], tmp_path / "other", "CC0", wait_s=0.0)
    assert not any((tmp_path / "other").iterdir())


def test_a_list_whose_names_lead_out_and_a_record_of_something_else_are_refused(tmp_path):
    with pytest.raises(DataError, match="leads out of"):
        get.get([File(name="../a", urls=())], tmp_path / "got", "CC0")
    for content in ("{", "[]", '{"files": 3}'):
        (tmp_path / get.RECORD).write_text(content)
        with pytest.raises(DataError, match="discern-get.json"):
            get.get([], tmp_path, "CC0")


def test_a_reader_of_ones_own_data_has_nothing_to_get():
    with pytest.raises(ConfigError) as caught:
        get.sources_of(SimpleNamespace(), "csv")
    assert "your own data" in caught.value.hint
    with pytest.raises(ConfigError) as caught:
        get.sources_of(SimpleNamespace(draw=print), "phantom")
    assert "discern data draw phantom" in caught.value.hint
