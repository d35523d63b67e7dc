"""The folder a training is told to fill: whose it may be, what must lie in it to go on, and what is done when a step
between two files never came."""

import shutil
from pathlib import Path

import pytest
from conftest import TINY_RECIPE

from discern_vqa import cli
from discern_vqa.config import read_recipe
from discern_vqa.errors import ConfigError, RunError
from discern_vqa.training.train import train


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


def test_resuming_what_has_ended_with_another_recipe_is_refused(tiny_run, capsys):
    said, advised = mistake(capsys, "train", tiny_run.parent / "tiny.toml", "--data", tiny_run.parent / "phantoms",
                            "--out", tiny_run, "--resume", "--set", "optim.lr=0.5")  # fmt: skip
    assert said.endswith("another recipe: [optim] lr")
    assert "another --out" in advised


def test_what_a_kill_after_the_weights_left_undone_is_done_when_it_is_gone_on_with(tiny_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(tiny_run, folder)
    (folder / "README.md").unlink()
    for name in ("state.safetensors", ".best.model.safetensors"):
        (folder / name).touch()
    train(tiny_run.parent / "tiny.toml", data=tiny_run.parent / "phantoms", out=folder, resume=True, quiet=True)
    assert {path.name for path in folder.iterdir()} == {path.name for path in tiny_run.iterdir()}


def test_what_was_trained_first_is_not_taken_for_a_recipe_that_has_changed_since(tiny_run, tmp_path):
    (tmp_path / "before.toml").write_text(TINY_RECIPE)
    (tmp_path / "tune.toml").write_text(TINY_RECIPE + 'after = "before.toml"\n')
    shutil.copytree(tiny_run, tmp_path / "run" / "before")

    def tune(*changes: str, resume: bool = False) -> None:
        train(tmp_path / "tune.toml", data=tiny_run.parent / "phantoms", out=tmp_path / "run", resume=resume,
              overrides=["data.limit=40", *changes], quiet=True)  # fmt: skip

    with pytest.raises(RunError, match=r"before was started with another recipe: \[run\] seed"):
        tune("run.seed=3")
    (tmp_path / "before.toml").write_text(TINY_RECIPE.replace("lr = 1e-3", "lr = 1e-4"))
    for resume in (False, True):
        with pytest.raises(RunError, match=r"before was started with another recipe: \[optim\] lr"):
            tune(resume=resume)
    assert not (tmp_path / "run" / "config.json").exists()
    (tmp_path / "before.toml").write_text(TINY_RECIPE)
    tune()
    assert (tmp_path / "run" / "model.safetensors").is_file()


def test_a_recipe_that_comes_before_itself_is_said_before_anything_is_made(tmp_path):
    for name, after in (("a", "b"), ("b", "c"), ("c", "b")):
        (tmp_path / f"{name}.toml").write_text(TINY_RECIPE + f'after = "{after}.toml"\n')
    assert read_recipe(tmp_path / "a.toml").run.after == "b.toml"
    with pytest.raises(ConfigError, match=r"b.toml comes before itself, by way of run.after"):
        train(tmp_path / "a.toml", out=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_a_run_that_has_kept_no_step_begins_anew_and_takes_over_nothing(tiny_run, tmp_path):
    folder = tmp_path / "run"
    data = tiny_run.parent / "phantoms"
    limited = ["data.limit=40", "optim.lr=1e-4"]
    folder.mkdir()
    for name in ("config.json", "vocabulary.json", "similar.json"):
        (folder / name).write_bytes((tiny_run / name).read_bytes())
    (folder / "encoders" / "text").mkdir(parents=True)
    (folder / "similar.json").write_text('{"of": ["another", "recipe"]}')
    (folder / "notes.txt").write_text("mine")
    run = train(tiny_run.parent / "tiny.toml", data=data, overrides=limited, out=folder, quiet=True)
    assert (run.recipe.optim.lr, run.recipe.data.limit) == (1e-4, 40)
    new = train(tiny_run.parent / "tiny.toml", data=data, overrides=limited, out=tmp_path / "new", quiet=True).folder
    assert {path.name for path in folder.iterdir()} == {path.name for path in new.iterdir()} | {"notes.txt"}
    assert "another" not in (folder / "similar.json").read_text()
    with pytest.raises(RunError, match="already holds a run"):
        train(tiny_run.parent / "tiny.toml", data=data, overrides=limited, out=folder, quiet=True)
