"""Hyper-parameter search: on validation alone, resumable, and told what is wrong."""

import json
import shutil

import optuna
import pytest
from _experiment import MAIN

from discern_vqa.datasets import phantom
from discern_vqa.errors import ConfigError
from discern_vqa.experiments import search as seeking

SPACE = '["optim.lr"]\nlow = 1e-4\nhigh = 1e-2\nlog = true\n["objective.mixup"]\nchoices = [true, false]\n'


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A recipe, a space, and phantoms whose test split is gone."""
    folder = tmp_path_factory.mktemp("search")
    phantom.draw(folder / "ph", size=32, counts={"train": 16, "validation": 6, "test": 4}, workers=1)
    lines = (folder / "ph" / "samples.jsonl").read_text().splitlines(keepends=True)
    (folder / "ph" / "samples.jsonl").write_text("".join(x for x in lines if json.loads(x)["split"] != "test"))
    shutil.rmtree(folder / "ph" / "images" / "test")
    (folder / "main.toml").write_text(MAIN.replace('after = "before.toml"\n', ""))
    (folder / "space.toml").write_text(SPACE)
    return folder


def sought(place, out, trials, **more):
    return seeking.search(
        place / "main.toml", place / "space.toml", out, trials=trials, data=place / "ph", say=lambda text: None, **more
    )


def test_a_search_needs_no_test_split_and_goes_on_where_it_stopped(place, tmp_path):
    first = sought(place, tmp_path, 2)
    assert [row["state"] for row in first["trials"]] == ["complete"] * 2
    assert all(1e-4 <= row["set"]["optim.lr"] <= 1e-2 for row in first["trials"])
    best = max(first["trials"], key=lambda row: row["validation"])
    assert first["best"] == best
    figures = [json.loads(x) for x in (tmp_path / "trials" / "0000" / "metrics.jsonl").read_text().splitlines()]
    assert first["trials"][0]["validations"] == [x["accuracy"] for x in figures if x["split"] == "validation"]
    config = json.loads((tmp_path / "trials" / "0001" / "config.json").read_text())
    assert config["optim"]["lr"] == first["trials"][1]["set"]["optim.lr"]
    assert sought(place, tmp_path, 2) == first, "nothing is left to do"
    more = sought(place, tmp_path, 3)
    assert more["trials"][:2] == first["trials"]
    assert len(more["trials"]) == 3
    assert json.loads((tmp_path / "search.json").read_text()) == more
    (place / "other.toml").write_text('["optim.lr"]\nchoices = [0.1]\n')
    with pytest.raises(ConfigError, match="begun with another space"):
        seeking.search(place / "main.toml", place / "other.toml", tmp_path, trials=9, data=place / "ph")


def test_a_trial_that_lags_is_stopped_and_another_database_is_taken(place, tmp_path, monkeypatch):
    monkeypatch.setattr(optuna.pruners, "MedianPruner", lambda **more: optuna.pruners.ThresholdPruner(lower=2.0))
    found = sought(place, tmp_path / "out", 1, storage=f"sqlite:///{tmp_path / 'mine.db'}")
    assert found["trials"][0]["state"] == "pruned"
    assert len(found["trials"][0]["validations"]) == 1
    assert found["best"] is None
    assert (tmp_path / "mine.db").is_file()
    assert not (tmp_path / "out" / "study.db").exists()


def test_a_study_goes_on_with_its_own_recipe_and_data_alone(place, tmp_path):
    def again(recipe="main.toml", data="ph"):
        return seeking.search(
            place / recipe, place / "space.toml", tmp_path, trials=1, data=place / data, say=lambda text: None
        )

    first = again()
    assert again() == first
    (place / "away").mkdir()
    shutil.copytree(place / "ph", place / "away" / "ph")
    assert again(data="away/ph") == first, "the same data elsewhere are the same data"
    samples = place / "away" / "ph" / "samples.jsonl"
    rows = [json.loads(line) for line in samples.read_text().splitlines()]
    next(row for row in rows if row["split"] == "validation")["answer"] = "something else"
    samples.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(ConfigError, match="begun with other data"):
        again(data="away/ph")
    text = (place / "main.toml").read_text()
    (place / "main.toml").write_text(text.replace("batch = 16", "batch = 8"))
    try:
        with pytest.raises(ConfigError, match="begun with another recipe") as caught:
            again()
    finally:
        (place / "main.toml").write_text(text)
    assert "another --out" in caught.value.hint


def test_a_resumed_search_proposes_other_points(place, tmp_path):
    found = [row["set"]["optim.lr"] for _ in range(2) for row in sought(place, tmp_path, 1)["trials"]]
    assert found[0] == found[1], "nothing is left to do"
    seeds = {seeking._sampler_seed(seed, there) for seed in range(3) for there in range(5)}
    assert len(seeds) == 15
    drawn = [row["set"]["optim.lr"] for row in sought(place, tmp_path, 2)["trials"]]
    assert len(set(drawn)) == 2


@pytest.mark.parametrize("storage", ["foo://x", "foo", "redis://x", "sqlite:////no/such/folder/a.db"])
def test_a_database_that_cannot_be_had_is_told(place, tmp_path, storage):
    with pytest.raises(ConfigError, match=f"--storage '{storage}': no study can be kept there") as caught:
        sought(place, tmp_path, 1, storage=storage)
    assert "sqlite:///" in caught.value.hint


def test_what_cannot_be_sought_is_told_before_anything_starts(place, tmp_path):
    with pytest.raises(ConfigError, match="holds nothing out"):
        sought(place, tmp_path, 1, overrides=["data.validation_ratio=0.0"])
    with pytest.raises(ConfigError, match="chooses on test"):
        sought(place, tmp_path, 1, overrides=['data.imitate=["D13"]'])
    (place / "odd.toml").write_text('["optim.lrr"]\nlow = 1\nhigh = 2\n')
    with pytest.raises(ConfigError, match="did you mean 'lr'"):
        seeking.search(place / "main.toml", place / "odd.toml", tmp_path, trials=1, data=place / "ph")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "lr = 3\n",
        *(
            f'["optim.lr"]\n{said}\n'
            for said in (
                "low = 2\nhigh = 1",
                "choices = []",
                "low = 1\nhihg = 2",
                'low = "1"\nhigh = 2',
                "low = true\nhigh = 2",
                "low = nan\nhigh = 2.0",
                "choices = 3",
                'choices = "ab"',
                "choices = [2026-01-01]",
                "low = 0.0\nhigh = 1.0\nstep = 0.0",
                "low = 1\nhigh = 4\nstep = 0.5",
                'low = 1\nhigh = 2\nlog = "yes"',
                "low = 0.0\nhigh = 1.0\nlog = true",
            )
        ),
    ],
)
def test_a_broken_space_is_told(tmp_path, text):
    (tmp_path / "space.toml").write_text(text)
    with pytest.raises(ConfigError):
        seeking.read_space(tmp_path / "space.toml")
