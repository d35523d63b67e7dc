"""Two processes that divide each batch learn what one process learns from it, step by step, for both models."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import TINY_RECIPE
from safetensors.torch import load_file
from test_cmi_run import RECIPE as CMI_RECIPE

from discern_vqa.datasets import phantom
from discern_vqa.evaluation.opening import open_run
from discern_vqa.scoring import predictions

HERE = Path(__file__).resolve().parent
SMALL = [
    "model.width=16", "model.image.size=32", "model.image.channels=4", "model.image.patch=8",
    "data.augment=true", "data.mirror=true", "optim.lr=3e-3", "run.validate_every=2",
]  # fmt: skip
TUNE = [
    *SMALL, "model.dropout=0", "optim.batch=9", "optim.ema=0.9", "run.epochs=6",
    "objective.readings.similar_above=-1", "objective.readings.eps_per=cell", "objective.readings.rho_text=0.2",
]  # fmt: skip
PRETRAIN = [
    *SMALL, "model.dropout=0", "optim.batch=12", "run.epochs=8", "optim.accumulate=2",
    "objective.contra_vqa=true", "objective.readings.queue=16", "objective.readings.intra_view=augmented",
    "objective.readings.rho_question=0.5", "objective.readings.loss_scope=masked",
]  # fmt: skip
CMI = [
    *SMALL, "model.fvta.dropout=0", "model.cifr.dropout=0", "model.generator.dropout=0", "model.fvta.token=filip",
    "optim.batch=9", "optim.optimizer=muon", "run.epochs=6",
]  # fmt: skip
ALONE = ["optim.per_image=1", "optim.batch=7"]  # eight images: batches of seven texts and of one
CAPTIONS = ["optim.per_image=3", "run.epochs=1", "objective.contra_vqa=false"]  # a process may have no caption
PRIOR = ["run.epochs=1", "prior.wording=true", "objective.lam=beta"]  # which computes in 32 bits alone
OTHER = ["run.epochs=3", "model.fvta.token=sparc", "objective.loss=ce", "objective.generate=all"]
JOBS = [
    {"name": "stopped", "recipe": "tune.toml", "set": [*TUNE, *ALONE], "stop": 7},
    {"name": "tune", "recipe": "tune.toml", "set": TUNE},
    {"name": "tune-single", "recipe": "tune.toml", "set": [*TUNE, *ALONE]},
    {"name": "tune-32", "recipe": "tune.toml", "set": [*TUNE, *PRIOR], "bits": 32},
    {"name": "pretrain", "recipe": "pretrain.toml", "set": PRETRAIN},
    {"name": "pretrain-mixed", "recipe": "pretrain.toml", "set": [*PRETRAIN, *CAPTIONS]},
    {"name": "cmi", "recipe": "cmi.toml", "set": CMI},
    {"name": "cmi-single", "recipe": "cmi.toml", "set": [*CMI, *ALONE, *OTHER]},
    {"name": "judged", "recipe": "cmi.toml", "set": [*SMALL, "run.epochs=1"], "bits": 32, "evaluate": True},
]
FIRST = {"tune": 9.178808812780531, "pretrain": 19.488792171397357, "cmi": 20.89074159499505}
"""The loss of the first step, from before batches were divided."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """The folder in which one process and two processes trained all the jobs above."""
    root = tmp_path_factory.mktemp("two")
    phantom.write_tiny(root / "phantoms")
    (root / "tune.toml").write_text(TINY_RECIPE)
    pretraining = TINY_RECIPE.replace("cmdpi_finetune", "cmdpi_pretrain").replace(
        "[model]", 'split = "pretrain"\nvalidation_ratio = 0.2\n[model]'
    )
    (root / "pretrain.toml").write_text(pretraining)
    (root / "cmi.toml").write_text(CMI_RECIPE)
    (root / "jobs.json").write_text(json.dumps(JOBS))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    meet = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    places = [{}, *(meet | {"RANK": rank, "LOCAL_RANK": rank} for rank in "01")]
    base = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parent / "src"), "HF_HUB_OFFLINE": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, str(HERE / "_two_processes.py"), str(root), "two" if place else "one"],
            env=base | place,
            stderr=subprocess.PIPE,
            text=True,
        )
        for place in places
    ]
    said = [process.communicate(timeout=400)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], "\n".join(said)
    return root


def told(root: Path, name: str, kind: str) -> dict:
    return json.loads((root / f"{name}.{kind}.json").read_text())


def drift(ours: dict, theirs: dict) -> float:
    """The largest relative difference of any part of any step's loss."""
    assert [step[0] for step in ours["steps"]] == [step[0] for step in theirs["steps"]]
    pairs = [pair for a, b in zip(ours["steps"], theirs["steps"], strict=True) for pair in zip(a, b, strict=True)]
    return max(abs(a - b) / max(abs(a), abs(b), 1e-3) for a, b in pairs)


@pytest.mark.slow
@pytest.mark.parametrize("job", [job for job in JOBS if job["name"] != "judged"], ids=lambda job: job["name"])
def test_every_step_of_two_processes_has_the_losses_of_one(trained, job):
    one, two = (told(trained, f"{job['name']}-{kind}", kind) for kind in ("one", "two"))
    if job.get("bits") == 32:  # sums in another order: not equal, and near
        assert 0 < drift(one, two) < 1e-4
        return
    if job["name"] in FIRST:
        assert len(one["steps"]) >= 50
    assert drift(one, two) < 1e-10
    assert one["validations"] == two["validations"]
    assert one["validations"] or job.get("stop")


@pytest.mark.parametrize("name", ["tune", "pretrain", "cmi"])
def test_both_end_with_the_same_weights(trained, name):
    one, two = (load_file(trained / f"{name}-{kind}" / "model.safetensors") for kind in ("one", "two"))
    assert one.keys() == two.keys()
    far = {key: float((one[key].double() - two[key].double()).abs().max()) for key in one if one[key].numel()}
    assert max(far.values()) < 1e-9, max(far, key=far.get)


@pytest.mark.parametrize(("begun", "ended"), [("one", "two"), ("two", "one")])
def test_what_one_began_two_go_on_with_and_the_reverse(trained, begun, ended):
    whole = told(trained, f"tune-single-{ended}", ended)
    rest = told(trained, f"stopped-{begun}-on", ended)
    assert rest["steps"][0][0] == 6, "a checkpoint of the other is gone on with"
    whole["steps"] = whole["steps"][6:]
    assert drift(rest, whole) < 1e-10
    assert rest["validations"] == whole["validations"][1:]


@pytest.mark.parametrize("name", FIRST)
def test_one_process_computes_what_it_did_before_batches_were_divided(trained, name):
    assert told(trained, f"{name}-one", "one")["steps"][0][1] == pytest.approx(FIRST[name], rel=1e-9)


def test_two_processes_judge_a_run_as_one_does(trained):
    folder = trained / "judged-two"
    scores, predictor = json.loads((folder / "scores.test.json").read_text()), open_run(folder)
    samples = [sample for sample in phantom.read(trained / "phantoms", "test") if not sample.is_caption]
    alone = predictor.answering(samples)
    assert len(predictor.modes) == 5
    for mode in predictor.modes:
        rows = predictions.from_answers(samples, alone.answers(mode))
        written = (folder / scores["modes"][mode]["file"]).read_text()
        assert written == predictions.as_text(rows), "every question once, in order, to the last digit"
