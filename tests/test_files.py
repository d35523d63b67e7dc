"""A write is whole or not there at all, and a full disk is a user's two lines, not a traceback."""

import errno
import os
from pathlib import Path

import pytest
from safetensors import SafetensorError

from discern_vqa.cli import main
from discern_vqa.errors import DiscernError
from discern_vqa.files import atomic_path, atomic_write_bytes, atomic_write_text, explained
from discern_vqa.training.loop import Log


def refusing(number: int):
    """A stand-in for a system call on a disk that answers with this error."""

    def call(*arguments: object, **options: object) -> None:
        raise OSError(number, os.strerror(number))

    return call


def test_what_is_written_is_read_back_and_nothing_else_is_left(tmp_path):
    atomic_write_text(tmp_path / "new" / "a.txt", "größer\n")
    atomic_write_bytes(tmp_path / "new" / "b.bin", b"\x00\xff")
    assert (tmp_path / "new" / "a.txt").read_bytes() == "größer\n".encode()
    assert (tmp_path / "new" / "b.bin").read_bytes() == b"\x00\xff"
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["a.txt", "b.bin"]


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path):
    target = tmp_path / "scores.json"
    target.write_text("old")

    def write_half() -> None:
        with atomic_path(target) as partial:
            partial.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half()
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["scores.json"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_said_and_the_old_file_is_intact(tmp_path, monkeypatch, step, number):
    target = tmp_path / "model.safetensors"
    target.write_bytes(b"old")
    monkeypatch.setattr(f"os.{step}", refusing(number))
    with pytest.raises(DiscernError, match="no space left") as caught:
        atomic_write_bytes(target, b"new")
    assert str(target) in str(caught.value)
    assert "--resume" in caught.value.hint
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


def test_a_folder_that_cannot_be_written_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("os.replace", refusing(errno.EACCES))
    with pytest.raises(DiscernError, match="cannot write .*a.txt: Permission denied"):
        atomic_write_text(tmp_path / "a.txt", "new")


def test_the_command_line_says_a_full_disk_in_two_lines(tmp_path, monkeypatch, capsys):
    predictions, scores = tmp_path / "predictions.jsonl", tmp_path / "scores.json"
    predictions.write_text(
        '{"id": "1", "image": "a.png", "question": "?", "gold": "yes", "answer_type": "closed", "question_type": "",'
        ' "organ": "", "prediction": "yes", "score": 1.0, "alternatives": [["yes", 1.0]]}\n'
    )
    scores.write_text("old")
    monkeypatch.setattr("os.replace", refusing(errno.ENOSPC))
    assert main(["score", str(predictions), "--json", str(scores)]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("error: no space left")
    assert second.startswith("try: free some space")
    assert scores.read_text() == "old"


@pytest.mark.parametrize("full", [True, False])
def test_what_safetensors_says_of_a_full_disk_is_said_as_everywhere_and_the_rest_of_its_errors_passes(tmp_path, full):
    said = "I/O error: No space left on device (os error 28)" if full else "InvalidHeader"

    def write() -> None:
        with atomic_path(tmp_path / "state.safetensors") as partial:
            partial.write_bytes(b"half")
            raise SafetensorError(f"Error while serializing: {said}")

    with pytest.raises(DiscernError if full else SafetensorError, match="no space left" if full else "InvalidHeader"):
        write()
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_log_and_a_drawn_picture_on_a_full_disk_are_said_too():
    full = Path("/dev/full")
    log = Log(full, 0, active=True)
    log.write({"step": 1, "split": "train"})
    with pytest.raises(DiscernError, match="no space left on the device while writing /dev/full"):
        log.flush()
    with pytest.raises(DiscernError, match="no space left"), explained(full), open(full, "w") as file:
        file.write("an image")


def test_a_set_that_cannot_be_drawn_for_want_of_space_is_two_lines(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("PIL.Image.Image.save", refusing(errno.ENOSPC))
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    assert main(["data", "draw", "phantom", str(tmp_path / "set"), "--images", "4", "--size", "32"]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("error: no space left")
    assert second.startswith("try: free some space")


def test_a_target_below_a_file_a_read_only_disk_and_a_folder_are_said_as_what_they_are(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DiscernError, match="cannot write .*: (Not a directory|File exists)"):
        atomic_write_text(tmp_path / "file" / "deep" / "a.txt", "new")
    with pytest.raises(DiscernError, match="'.' is a folder; expected a file to write to"):
        atomic_write_text(Path("."), "new")
    monkeypatch.setattr("os.replace", refusing(errno.EROFS))
    monkeypatch.setattr("pathlib.Path.unlink", refusing(errno.EROFS))
    with pytest.raises(DiscernError, match="cannot write .*a.txt: Read-only file system"):
        atomic_write_text(tmp_path / "a.txt", "new")
