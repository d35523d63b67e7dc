"""Where a training's figures go besides metrics.jsonl: nowhere unless a recipe says so, and then once and whole."""

import importlib.util
import json

import pytest
from accelerate import PartialState, tracking
from conftest import TINY_RECIPE

from discern_vqa import cli
from discern_vqa.config import check_recipe
from discern_vqa.datasets import phantom
from discern_vqa.errors import ConfigError, RunError
from discern_vqa.toml import read_tables
from discern_vqa.training import loop
from discern_vqa.training.loop import Log
from discern_vqa.training.trackers import IDS, Trackers
from discern_vqa.training.train import train

SMALL = ["model.width=16", "model.image.size=32", "model.image.patch=8", "optim.batch=16", "run.epochs=2"]


class Fake(tracking.GeneralTracker):
    """Keeps what it is told, as a service would: under the name of the run."""

    name, requires_logging_directory = "trackio", False
    kept: dict[str, list] = {}

    def __init__(self, **settings):
        super().__init__()
        self.settings = settings

    @property
    def tracker(self):
        return self

    def start(self):
        self.open = self.kept.setdefault(self.settings["name"], [])

    def store_init_configuration(self, values): ...

    def log(self, values, step):
        self.open.append((step, values))

    def finish(self):
        self.open.append("finished")


@pytest.fixture
def fake(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name == "trackio" or find(name))
    monkeypatch.setitem(tracking.LOGGER_TYPE_TO_CLASS, "trackio", Fake)
    monkeypatch.setattr(Fake, "kept", {})
    return Fake.kept


def recipe(tmp_path):
    phantom.write_tiny(tmp_path / "phantoms")
    (tmp_path / "tiny.toml").write_text(TINY_RECIPE)
    return tmp_path / "tiny.toml"


def scalars(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    read.Reload()
    return {(name, one.step): one.value for name in read.Tags()["scalars"] for one in read.Scalars(name)}


def lines_of(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_training_is_read_back_from_tensorboard_and_a_fake_service_as_metrics_jsonl_has_it(tmp_path, fake):
    out = tmp_path / "run"
    sets = [*SMALL, 'run.trackers=["tensorboard", "trackio"]']
    train(recipe(tmp_path), data=tmp_path / "phantoms", out=out, overrides=sets, quiet=True)
    lines = lines_of(out)
    wanted = {
        (f"{line['split']}/{name}", line["step"]): value
        for line in lines
        for name, value in line.items()
        if isinstance(value, float)
    }
    assert {line["split"] for line in lines} == {"train", "validation"}
    assert scalars(out / "tensorboard") == pytest.approx(wanted, rel=1e-6)
    ((name, told),) = fake.items()
    assert json.loads((out / IDS).read_text()) == {"trackio": name}
    assert {(key, step): value for step, values in told[:-1] for key, value in values.items()} == wanted
    assert told[-1] == "finished"


def test_a_resumed_training_goes_on_where_it_stopped(tmp_path, fake):
    PartialState()
    log = Log(tmp_path / "metrics.jsonl", 0, active=True, trackers=["tensorboard", "trackio"])
    for step in (10, 20, 30):
        log.write({"step": step, "split": "train", "loss": step / 10})
    log.close()
    log = Log(tmp_path / "metrics.jsonl", 20, active=True, trackers=["tensorboard", "trackio"])
    log.write({"step": 25, "split": "train", "loss": 7.0})
    log.close()
    assert [line["step"] for line in lines_of(tmp_path)] == [10, 20, 25]
    assert scalars(tmp_path / "tensorboard") == {("train/loss", 10): 1, ("train/loss", 20): 2, ("train/loss", 25): 7}
    assert len(fake) == 1, "the service knows one run, and not a second one"
    Log(tmp_path / "metrics.jsonl", 0, active=True, trackers=["trackio"]).close()
    assert len(fake) == 2, "a training that begins anew is another run"


def test_only_the_main_process_tracks(tmp_path, fake):
    Log(tmp_path / "metrics.jsonl", 0, active=False, trackers=["trackio"]).write({"step": 1, "split": "train"})
    assert fake == {}


def test_without_trackers_metrics_jsonl_is_alone(tiny_run):
    assert not (tiny_run / "tensorboard").exists()
    assert not (tiny_run / IDS).exists()
    assert (tiny_run / loop.METRICS).is_file()


def test_a_missing_package_and_an_unknown_tracker_are_two_lines_before_anything_is_made(tmp_path, capsys, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "wandb" else find(name))
    file = recipe(tmp_path)
    for name, said, advised in (
        ("wandb", "run.trackers names wandb, which is not installed", "pip install wandb"),
        ("excel", "[run] trackers.0 = \"excel\": input should be 'tensorboard', 'mlflow', 'wandb' or 'trackio'", ""),
    ):
        given = ["train", str(file), "--data", str(tmp_path / "phantoms"), "--out", str(tmp_path / "run")]
        assert cli.main([*given, "--set", f'run.trackers=["{name}"]']) == 2
        first, second = capsys.readouterr().err.splitlines()
        assert said in first
        assert advised in second
        assert not (tmp_path / "run").exists()


def test_a_service_that_does_not_start_is_said(tmp_path, fake, monkeypatch):
    monkeypatch.setattr(Fake, "start", lambda self: 1 / 0)
    with pytest.raises(RunError, match="the tracker trackio does not start: division by zero"):
        Trackers(["trackio"], tmp_path, 0)


def test_wandb_stays_offline_unless_the_user_says_otherwise(tmp_path, monkeypatch):
    begun = []

    class Wandb(Fake):
        def start(self):
            begun.append(self.settings)

    monkeypatch.setitem(tracking.LOGGER_TYPE_TO_CLASS, "wandb", Wandb)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    Trackers(["wandb"], tmp_path, 0)
    monkeypatch.setenv("WANDB_MODE", "online")
    Trackers(["wandb"], tmp_path, 10)
    assert [one["mode"] for one in begun] == ["offline", "online"]
    assert begun[0]["id"] == begun[1]["id"]
    assert begun[0]["dir"] == tmp_path


def test_the_old_key_is_refused_with_the_new_one_and_a_run_that_has_it_opens(tmp_path):
    tables = read_tables(recipe(tmp_path))
    for value, names in ((True, ["tensorboard"]), (False, [])):
        old = tables | {"run": tables["run"] | {"tensorboard": value}}
        with pytest.raises(ConfigError) as caught:
            check_recipe(old, "tiny.toml")
        assert "[run] tensorboard: this key is now trackers" in str(caught.value)
        assert f"run.trackers = {json.dumps(names)}" in str(caught.value.hint)
        assert check_recipe(old, "config.json", kept=True).run.trackers == names
