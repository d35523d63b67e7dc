"""A training killed with SIGKILL at any moment and gone on with --resume ends with the weights of an unbroken one, to
the last bit, and with the same log."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import TINY_RECIPE
from safetensors.torch import load_file

from discern_vqa.datasets import phantom
from discern_vqa.errors import RunError
from discern_vqa.training.train import train

HERE = Path(__file__).resolve().parent
SMALL = [
    "model.width=16", "model.dropout=0.2", "model.image.size=32", "model.image.channels=4", "model.image.patch=8",
    "data.augment=true", "optim.batch=16", "optim.ema=0.9", "run.epochs=3", "run.save_every=2",
]  # fmt: skip
ACCUMULATED = [*SMALL, "optim.accumulate=2", "optim.batch=12", "optim.optimizer=muon"]
JOBS = [
    {"name": "whole", "recipe": "tune.toml", "set": SMALL, "kill": []},
    # before anything is saved, inside an epoch, in the middle of a save
    {"name": "inside", "recipe": "tune.toml", "set": SMALL, "kill": ["step:2", "step:9", "save:2"]},
    # between epochs: the state stands, or only the best weights do
    {"name": "between", "recipe": "tune.toml", "set": SMALL, "kill": ["saved:3", "validated:1"]},
    {"name": "accumulated-whole", "recipe": "tune.toml", "set": ACCUMULATED, "kill": []},
    {"name": "accumulated-killed", "recipe": "tune.toml", "set": ACCUMULATED, "kill": ["step:6", "saved:3"]},
    {"name": "pretraining-whole", "recipe": "pretrain.toml", "set": SMALL, "kill": []},
    {"name": "pretraining-killed", "recipe": "pretrain.toml", "set": SMALL, "kill": ["step:12", "saved:2"]},
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """The folder in which all the trainings above were made."""
    root = tmp_path_factory.mktemp("resume")
    phantom.write_tiny(root / "phantoms")
    (root / "tune.toml").write_text(TINY_RECIPE)
    pretraining = TINY_RECIPE.replace("cmdpi_finetune", "cmdpi_pretrain").replace(
        "[model]", 'split = "pretrain"\nvalidation_ratio = 0.2\n[model]'
    )
    (root / "pretrain.toml").write_text(pretraining)
    (root / "jobs.json").write_text(json.dumps(JOBS))
    source = str(HERE.parent / "src")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(HERE / "_killed.py"), str(root)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": source, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr.strip(), done.stderr
    return root


def metrics(folder: Path) -> list[dict]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def same(one: Path, other: Path) -> None:
    weights, again = load_file(one / "model.safetensors"), load_file(other / "model.safetensors")
    assert weights.keys() == again.keys()
    assert [name for name in weights if not torch.equal(weights[name], again[name])] == []
    assert metrics(one) == metrics(other)


@pytest.mark.parametrize("job", [job for job in JOBS if job["kill"]], ids=lambda job: job["name"])
def test_a_killed_training_ends_as_an_unbroken_one_bit_for_bit(trained, job):
    ends = json.loads((trained / f"{job['name']}.ends").read_text())
    assert ends == [-signal.SIGKILL] * len(job["kill"]) + [0], "every kill came, and the last training ended"
    whole = {"accumulated-killed": "accumulated-whole", "pretraining-killed": "pretraining-whole"}.get(
        job["name"], "whole"
    )
    same(trained / whole, trained / job["name"])
    left = {path.name for path in (trained / job["name"]).iterdir()}
    assert left == {path.name for path in (trained / whole).iterdir()}, "nothing half written is left behind"


def test_the_trainings_compared_have_learned_and_are_long_enough_to_be_broken(trained):
    lines = metrics(trained / "whole")
    assert lines[-1]["step"] >= 12
    assert {line["split"] for line in lines} == {"train", "validation"}
    first = load_file(trained / "whole" / "model.safetensors")
    other = load_file(trained / "accumulated-whole" / "model.safetensors")
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_resuming_what_has_ended_changes_nothing(trained, capsys):
    before = (trained / "whole" / "model.safetensors").read_bytes()
    run = train(trained / "tune.toml", data=trained / "phantoms", overrides=SMALL, out=trained / "whole", resume=True)
    assert "has ended already" in capsys.readouterr().out
    assert (run.folder / "model.safetensors").read_bytes() == before


def test_a_folder_that_holds_a_run_is_not_overwritten_and_another_recipe_does_not_resume_it(trained):
    with pytest.raises(RunError) as caught:
        train(trained / "tune.toml", data=trained / "phantoms", overrides=SMALL, out=trained / "whole", quiet=True)
    assert "already holds a run" in str(caught.value)
    assert "--resume" in caught.value.hint
    folder = trained / "started"
    folder.mkdir(exist_ok=True)
    for name in ("config.json", "vocabulary.json"):
        (folder / name).write_bytes((trained / "whole" / name).read_bytes())
    with pytest.raises(RunError, match=r"another recipe: \[optim\] lr"):
        train(trained / "tune.toml", data=trained / "phantoms", overrides=[*SMALL, "optim.lr=0.5"], out=folder,
              resume=True, quiet=True)  # fmt: skip
