"""One command at a time in a folder, and a training in its run folder."""

import subprocess
import sys

import pytest

from discern_vqa.errors import ConfigError, RunError
from discern_vqa.lock import NAME, locked
from discern_vqa.training.train import train


def test_two_commands_do_not_meet_in_one_folder(tmp_path):
    with locked(tmp_path), pytest.raises(RunError, match="another command is at work"):  # noqa: SIM117
        with locked(tmp_path):
            pass
    with locked(tmp_path):  # and it is free again
        assert (tmp_path / NAME).is_file()
    assert not list(tmp_path.iterdir())


def test_another_process_is_kept_out_until_the_holder_dies(tmp_path):
    code = "import sys; from pathlib import Path; from discern_vqa.lock import locked\n"
    code += "with locked(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RunError, match="another command is at work"), locked(tmp_path):
            pass
        holder.kill()
    with locked(tmp_path):
        pass


def test_what_a_killed_command_left_keeps_nobody_out(tmp_path):
    (tmp_path / NAME).write_text("4711")
    with locked(tmp_path):
        pass


def test_a_folder_that_stayed_empty_is_not_left_and_one_that_was_there_is(tmp_path):
    with locked(tmp_path / "new"):
        pass
    assert not (tmp_path / "new").exists()
    (tmp_path / "old").mkdir()
    with locked(tmp_path / "old"):
        pass
    assert (tmp_path / "old").is_dir()
    with locked(tmp_path / "kept"):
        (tmp_path / "kept" / "file").touch()
    assert [file.name for file in (tmp_path / "kept").iterdir()] == ["file"]


def test_a_training_has_its_folder_for_itself(tiny_run, tmp_path):
    recipe, phantoms = tiny_run.parent / "tiny.toml", tiny_run.parent / "phantoms"
    out = tmp_path / "run"
    with locked(out), pytest.raises(RunError, match="another command is at work in .*run"):
        train(recipe, data=phantoms, out=out, quiet=True)
    assert not out.exists()
    with locked(tiny_run):  # what has ended is only looked at
        train(recipe, data=phantoms, out=tiny_run, resume=True, quiet=True)
    with pytest.raises(ConfigError, match="no part 'hed'"):
        train(recipe, data=phantoms, out=out, overrides=["optim.factors={hed = 2.0}"], quiet=True)
    assert not (out / NAME).exists()
