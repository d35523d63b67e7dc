"""The folder a training is told to fill: whose it may be, what must lie in it to go on, and what is done when a step
between two files never came."""

from pathlib import Path

import pytest

from discern_vqa import cli


def mistake(capsys: pytest.CaptureFixture[str], *line: object) -> tuple[str, str]:
    """The two lines with which a command is refused."""
    assert cli.main([str(part) for part in line]) == 2
    first, second = capsys.readouterr().err.splitlines()
    return first, second


@pytest.mark.parametrize("out", ["file", "file/run", "", "."])
def test_a_file_and_the_folder_one_stands_in_are_no_place_for_a_run(tiny_run, tmp_path, monkeypatch, capsys, out):
    (tmp_path / "file").write_text("mine")
    monkeypatch.chdir(tmp_path)
    said, advised = mistake(capsys, "train", tiny_run.parent / "tiny.toml", "--data", tiny_run.parent / "phantoms",
                            "--out", out)  # fmt: skip
    assert ("file is a file" if "file" in out else "names no folder") in said
    assert "another" in advised or "--out runs/first" in advised
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert Path("file").read_text() == "mine"
