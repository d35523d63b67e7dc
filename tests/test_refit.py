"""`data.refit`: once all is chosen, validation is learned from too, and nothing is measured on it."""

from pathlib import Path

import pytest
from conftest import TINY_RECIPE

from discern_vqa import cli
from discern_vqa.config import DataConfig, check_recipe, read_recipe
from discern_vqa.datasets import slake, vqa_rad
from discern_vqa.errors import ConfigError
from discern_vqa.recipe_samples import Samples


def ids(samples):
    return {sample.id for sample in samples}


@pytest.fixture
def root(tmp_path) -> Path:
    slake.write_tiny(tmp_path / "slake")
    return tmp_path / "slake"


@pytest.mark.parametrize("validation_from", ["own", "train"])
def test_train_and_validation_are_learned_from_and_nothing_is_held_out(root, validation_from):
    choice = DataConfig(
        dataset="slake", refit="train+validation", validation_from=validation_from, validation_ratio=0.5
    )
    reading = Samples(choice, root)
    train, validation = reading.learning
    assert ids(train) == ids(slake.read(root, "train")) | ids(slake.read(root, "validation"))
    assert validation == reading.held_out() == []
    assert not ids(train) & ids(reading.test("test"))
    assert ids(reading.vocabulary()) == ids(train)


def test_a_set_without_a_validation_part_is_learned_from_whole(tmp_path):
    vqa_rad.write_tiny(tmp_path / "vqa_rad")
    choice = DataConfig(dataset="vqa_rad", refit="train+validation", validation_ratio=0.5)
    train, validation = Samples(choice, tmp_path / "vqa_rad").learning
    assert ids(train) == ids(vqa_rad.read(tmp_path / "vqa_rad", "train"))
    assert validation == []


def test_nothing_is_measured_on_what_was_learned_from(root):
    reading = Samples(DataConfig(dataset="slake", refit="train+validation"), root)
    with pytest.raises(ConfigError, match="'validation' was learned from") as caught:
        reading.test("validation")
    assert "data.refit=none" in caught.value.hint
    assert Samples(DataConfig(dataset="slake"), root).test("validation")


def test_the_best_epoch_cannot_be_chosen_on_nothing(tmp_path):
    path = tmp_path / "refit.toml"
    path.write_text(TINY_RECIPE, encoding="utf-8")
    with pytest.raises(ConfigError, match=r'\[run\] select = "last" is expected'):
        read_recipe(path, ['data.refit="train+validation"'])
    read_recipe(path, ['data.refit="train+validation"', "run.select=last"])
    data = {"dataset": "slake", "refit": "train+validation"}
    check_recipe({"data": data, "model": {"name": "baselines.majority"}, "run": {}}, "a baseline has no epochs")


def test_a_run_is_trained_and_evaluated_on_test_alone(root, tmp_path, capsys):
    path = tmp_path / "refit.toml"
    text = TINY_RECIPE.replace('dataset = "phantom"', 'dataset = "slake"\nrefit = "train+validation"')
    path.write_text(text.replace("epochs = 1", 'epochs = 1\nselect = "last"'), encoding="utf-8")
    run = str(tmp_path / "run")
    assert cli.main(["train", str(path), "--data", str(root), "--out", run]) == 0
    assert "0 for validation" in capsys.readouterr().out
    assert cli.main(["evaluate", run, "--split", "validation"]) == 2
    assert "'validation' was learned from" in capsys.readouterr().err
    assert cli.main(["evaluate", run]) == 0
