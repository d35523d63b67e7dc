"""Experiments whose rows are lines over the number of images: what is planned, learned from, paired and reported."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from _experiment import here, recipes, rows
from PIL import Image

from discern_vqa import cli
from discern_vqa.datasets import phantom
from discern_vqa.errors import ConfigError
from discern_vqa.experiments import catalogue, curves, runner
from discern_vqa.experiments.folder import Folder
from discern_vqa.recipe_samples import Samples
from discern_vqa.scoring import predictions
from discern_vqa.scoring.predictions import Prediction
from discern_vqa.toml import toml_value

SHARES = (0.05, 0.1, 0.25, 0.5, 1.0)
METHODS = {
    # line: (model, is it pre-trained, baseline on its features)
    "question only": ("baselines.question_only", False, ""),
    "kernel ridge": ("baselines.kernel_ridge", False, ""),
    "CMDPI": ("cmdpi", False, ""),
    "CMDPI, pre-trained": ("cmdpi", True, ""),
    "plain transformer": ("cmdpi", False, "plain_transformer"),
    "CMI-MTL": ("cmi_mtl", False, ""),
}
CURVES = """
title = "Tiny curves"
source = "nowhere"
family = "cmdpi"
reference = "network, 100 %"
sections = ["curve"]
split = "validation"
set = { "data.validation_ratio" = 0.0 }

[compare]
network = ["ridge", "table"]

[rows.network]
no_before = true
places = [0.25, 1.0]
vary = "data.train_share"
scale_each = { "run.epochs" = [2.0, 1.0] }

[rows.ridge]
recipe = "baselines/kernel_ridge"
set = { "model.image" = { kind = "tiny", size = 32, patch = 8, channels = 4, layers = 1, heads = 2 } }
places = [0.25, 1.0]
vary = "data.train_share"

[rows.table]
baseline = "lookup"
no_before = true
places = [0.25, 1.0]
vary = "data.train_share"
scale_each = { "run.epochs" = [2.0, 1.0] }
"""
HEAD = 'title = "a"\nsource = "b"\nfamily = "cmdpi"\n'


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("drawn") / "phantoms"
    phantom.draw(root, size=32, counts={"pretrain": 12, "train": 16, "validation": 6, "test": 4}, workers=1)
    return root


def planned(name: str, seeds=(0,)):
    return {row.row.name: row for row in runner.prepare([name], "", list(seeds))[0].planned}


@pytest.mark.parametrize(
    ("name", "epochs"), [("data_efficiency_slake", (16, 16)), ("data_efficiency_vqa_rad", (4, 10))]
)
def test_every_method_is_planned_at_every_share(name, epochs):
    cells = planned(name)
    assert list(cells) == [f"{line}, {100 * share:g} %" for line in METHODS for share in SHARES]
    for line, (model, is_pretrained, baseline) in METHODS.items():
        for share in SHARES:
            row = cells[f"{line}, {100 * share:g} %"]
            (training,) = row.trainings
            assert training.recipe.model.name == model
            assert training.recipe.data.train_share == share
            assert (training.before is not None) == is_pretrained
            assert (row.row.line, row.row.at, row.row.baseline) == (line, share, baseline)
        whole = cells[f"{line}, 100 %"].trainings[0].recipe.run.epochs
        if model in ("cmdpi", "cmi_mtl"):
            assert whole == epochs[model == "cmi_mtl"]
            small = cells[f"{line}, 5 %"].trainings[0].recipe.run.epochs
            assert small > whole


@pytest.mark.parametrize("name", ["data_efficiency_slake", "data_efficiency_vqa_rad"])
def test_all_methods_learn_from_the_samples_of_the_base_recipe(name):
    def of_samples(data):
        return data.model_dump(exclude={"text_length", "views", "augment", "mirror"})

    cells = planned(name, (0, 1))
    for share in SHARES:
        chosen = [row.trainings for row in cells.values() if row.row.at == share]
        first = of_samples(chosen[0][0].recipe.data)
        assert all(of_samples(training.recipe.data) == first for trainings in chosen for training in trainings)
        assert (first["validation_ratio"], first["auxiliary"]) == (0.0, [])
    networks = [training for row in cells.values() for training in row.trainings if not training.recipe.is_baseline]
    assert {training.recipe.run.select for training in networks} == {"last"}
    assert {training.recipe.prior.on for training in networks} == {False}


def test_no_pretraining_of_a_curve_has_seen_the_data_set_that_is_reported():
    for name in (
        "data_efficiency_slake",
        "data_efficiency_vqa_rad",
        "pretraining_size_slake",
        "pretraining_size_vqa_rad",
    ):
        before = [training.before for row in planned(name).values() for training in row.trainings if training.before]
        assert before
        for training in before:
            assert training.recipe.data.dataset == "vqa_med_2019"
            assert training.recipe.data.auxiliary == ["jsonl:radiology_pairs"]
            assert training.recipe.data.auxiliary_missing == "refuse"
            assert training.recipe.data.vocabulary_from == []


def test_the_size_of_the_pretraining_is_varied_alone():
    cells = planned("pretraining_size_slake")
    shares = {
        name: row.trainings[0].before and row.trainings[0].before.recipe.data.train_share for name, row in cells.items()
    }
    assert shares == {"CMDPI, 0 %": None, "CMDPI, 25 %": 0.25, "CMDPI, 50 %": 0.5, "CMDPI, 100 %": 1.0}
    assert {row.trainings[0].recipe.data.train_share for row in cells.values()} == {1.0}
    assert {row.row.line for row in cells.values()} == {"CMDPI"}


def test_the_parts_of_a_collection_share_their_trainings():
    labels = runner.labelled(runner.prepare(["data_efficiency"], "", [0]))
    # Of each data set: six methods at five shares, of which the plain transformer reads the features of CMDPI; and
    # CMDPI after a quarter and a half of the pre-training. The pre-trainings (three sizes) serve both data sets.
    assert len(labels) == 2 * (5 * 5 + 2) + 3
    assert catalogue.singles(["data_efficiency", "fig8", "data_efficiency_slake"]) == [
        *catalogue.collections()["data_efficiency"].parts,
        "fig8",
    ]


def test_methods_and_seeds_learn_from_the_same_images_and_small_shares_are_part_of_larger_ones(tmp_path, phantoms):
    grid = runner.prepare([rows(tmp_path, CURVES)], str(recipes(tmp_path)), [0, 1])[0]
    images = {
        (row.row.line, row.row.at, seed): {
            one.image for one in Samples(training.recipe.data, phantoms, training.recipe.run.seed).learning[0]
        }
        for row in grid.planned
        for seed, training in enumerate(row.trainings)
    }
    small = images["network", 0.25, 0]
    assert {(line, at): len(chosen) for (line, at, seed), chosen in images.items() if seed == 0} == {
        (line, at): {0.25: 4, 1.0: 16}[at] for line in ("network", "ridge", "table") for at in (0.25, 1.0)
    }
    for (_, at, _), chosen in images.items():
        assert chosen == small if at == 0.25 else chosen > small


def test_a_tiny_run_from_the_command_to_the_report(tmp_path, phantoms, monkeypatch, capsys):
    monkeypatch.setattr(runner, "work", here)
    out = tmp_path / "out"
    typed = [rows(tmp_path, CURVES), "--on", str(recipes(tmp_path)), "--data", str(phantoms), "--out", str(out)]
    assert cli.main(["experiment", *typed, "--seeds", "0,1"]) == 0
    assert len(list((out / "runs").iterdir())) == 2 * 4, "the table reads the network's runs"
    report = json.loads((out / "reports" / "tiny.main.validation" / "report.json").read_text(encoding="utf-8"))
    assert (report["split"], report["images"], report["axis"]) == ("validation", 6, "training")
    made = {row["name"]: row for row in report["rows"]}
    assert {name: row["images"] for name, row in made.items()} == {
        f"{line}, {share} %": images for line in ("network", "ridge", "table") for share, images in ((25, 4), (100, 16))
    }
    assert all(row["seeds"] == [0, 1] and row["figures"]["overall"]["ci95"] for row in made.values())
    grid = runner.prepare(typed[:1], typed[2], [0, 1])[0]
    folder = Folder(out, phantoms, "validation")
    right = {}
    for row in grid.planned:
        answers = [predictions.read(folder.answers_of(row, training)) for training in row.trainings]
        assert [one.id for one in answers[0]] == [one.id for one in answers[1]]
        right[row.row.name] = np.mean([[one.prediction == one.gold for one in seed] for seed in answers])
        assert made[row.row.name]["figures"]["overall"]["mean"] == pytest.approx(right[row.row.name])
    table = folder.answers_of(grid.planned[-1], grid.planned[-1].trainings[0])
    assert table.parent.name == "baselines"
    tests = report["differences"]["tests"]
    assert [(one["line"], one["other"], one["at"]) for one in tests] == [
        ("network", other, at) for other in ("ridge", "table") for at in (0.25, 1.0)
    ]
    for one in tests:
        place = f"{100 * one['at']:g} %"
        assert one["difference"] == pytest.approx(right[f"network, {place}"] - right[f"{one['other']}, {place}"])
    assert report["differences"]["correction"] == "Holm over 4 tests"
    page = (out / "reports" / "tiny.main.validation" / "report.md").read_text(encoding="utf-8")
    assert "| difference | 4 images | 16 images | detectable |" in page
    assert "| share of the images of training | 25 %, 4 images | 100 %, 16 images |" in page
    assert "`recipe` baselines/kernel_ridge" in page
    assert str(tmp_path) not in page
    # The same command does nothing twice.
    stamps = {path: path.stat().st_mtime_ns for path in (out / "runs").rglob("*") if path.is_file()}
    capsys.readouterr()
    assert cli.main(["experiment", *typed, "--seeds", "0,1"]) == 0
    assert "8 trainings, 8 of them are there already" in capsys.readouterr().out
    assert stamps == {path: path.stat().st_mtime_ns for path in (out / "runs").rglob("*") if path.is_file()}


def test_each_experiment_of_a_command_answers_its_own_split_after_the_last_training(tmp_path, phantoms, monkeypatch):
    asked: list[str] = []

    def watched(tasks, *given):
        asked.extend(f"{task.request['do']} {task.request.get('split', '')}".strip() for task in tasks)
        return here(tasks, *given)

    monkeypatch.setattr(runner, "work", watched)
    one = "[rows.full]\nno_before = true\n"
    other = tmp_path / "other.toml"
    other.write_text(
        f'{HEAD}split = "validation"\n{one}[rows."half"]\nset = {{ "data.train_share" = 0.5 }}\nno_before = true\n'
    )
    names = [rows(tmp_path, HEAD + one), str(other)]
    grids = runner.prepare(names, str(recipes(tmp_path)), [0])
    assert runner.run(grids, tmp_path / "out", data=phantoms, say=lambda text: None) == {}
    assert asked == ["train", "train", "answer test", "answer validation", "answer validation"]
    full, half = grids[1].trainings
    run = Folder(tmp_path / "out", phantoms, "validation").run
    assert grids[0].trainings[0].key == full.key
    assert {file.name for file in run(full).glob("predictions.*")} == {
        "predictions.test.jsonl",
        "predictions.validation.jsonl",
    }
    assert {file.name for file in run(half).glob("predictions.*")} == {"predictions.validation.jsonl"}
    assert {grid.split for grid in runner.prepare(names, str(recipes(tmp_path)), [0], "test")} == {"test"}


def pairs(root: Path, count: int, caption: str = "A chest film.") -> None:
    """A folder of `count` images with a caption each."""
    root.mkdir(exist_ok=True)
    for number in range(count):
        Image.new("L", (32, 32), 20 * number).save(root / f"{number}.png")
    lines = [{"image": f"{number}.png", "split": "pretrain", "caption": caption} for number in range(count)]
    (root / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.parametrize(("share", "images"), [(1.0, 12 + 4), (0.5, 6 + 2), (0.25, 3 + 1)])
def test_the_images_of_a_pretraining_are_counted_with_those_of_its_auxiliary_sets(tmp_path, phantoms, share, images):
    shutil.copytree(phantoms, tmp_path / "phantoms")
    pairs(tmp_path / "pairs", 4)
    before = {"data.auxiliary": ["jsonl:pairs"], "data.train_share": share}
    text = f"{HEAD}[rows.full]\nbefore = {toml_value(before)}\n"
    (training,) = runner.prepare([rows(tmp_path, text)], str(recipes(tmp_path)), [0])[0].trainings
    folder = Folder(tmp_path / "out", tmp_path / "phantoms", "test", "phantom")
    assert training.before is not None
    assert folder.learned(training.before).images == images
    first = folder.digest(training.before, "learned")
    pairs(tmp_path / "pairs", 4, "A hand film.")
    assert Folder(tmp_path / "out", tmp_path / "phantoms", "test").digest(training.before, "learned") != first
    shutil.rmtree(tmp_path / "pairs")
    assert Folder(tmp_path / "out", tmp_path / "phantoms", "test").digest(training.before, "learned") == "", (
        "unreadable"
    )


def answered(right: int) -> list[Prediction]:
    """Forty questions about twenty images, the first `right` of them answered right."""
    return [
        Prediction(
            id=str(n), image=f"i{n // 2}", gold="yes", answer_type="closed", prediction="yes" if n < right else "no"
        )
        for n in range(40)
    ]


def test_differences_are_taken_at_the_same_place_and_corrected_together(tmp_path):
    experiment = catalogue.load(rows(tmp_path, CURVES))
    given = {"network, 25 %": 10, "ridge, 25 %": 30, "table, 25 %": 10, "network, 100 %": 38, "ridge, 100 %": 36}
    answers = {name: [answered(right), answered(right)] for name, right in given.items()}
    found = curves.differences(experiment, answers, "lower")
    told = {(one["other"], one["at"]): one for one in found["tests"]}
    assert {place: one["difference"] for place, one in told.items()} == {
        ("ridge", 0.25): pytest.approx(-0.5),
        ("ridge", 1.0): pytest.approx(0.05),
        ("table", 0.25): 0.0,
    }, "a place that one of the two lacks is left out"
    assert told["ridge", 0.25]["p_holm"] == pytest.approx(3 * told["ridge", 0.25]["p"])
    assert told["ridge", 0.25]["verdict"] == "worse"
    assert {told[place]["verdict"] for place in (("ridge", 1.0), ("table", 0.25))} == {"not distinguishable"}


def test_a_folder_of_data_is_for_one_data_set(tmp_path):
    grids = runner.prepare(["data_efficiency_slake", "data_efficiency_vqa_rad"], "", [0])
    with pytest.raises(ConfigError, match="these experiments are about slake and vqa_rad") as caught:
        runner.run(grids, tmp_path / "out", data=tmp_path, say=lambda text: None)
    assert "DISCERN_DATA" in caught.value.hint
    assert not (tmp_path / "out").exists()
    slake = Folder(tmp_path, tmp_path / "mine", "validation", "slake")
    training = next(row for row in grids[0].planned if row.row.name == "CMDPI, pre-trained, 5 %").trainings[0]
    assert slake.data_of(training) == tmp_path / "mine"
    assert training.before is not None
    assert slake.data_of(training.before) is None, "the pre-training is on another set"


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ("places = [0.1]", "expected one of `vary` and `vary_before`"),
        ('places = []\nvary = "data.train_share"', "at least 1 item"),
        ('places = [-0.1]\nvary = "data.train_share"', "greater than or equal to 0"),
        (
            'places = [0.1, 1.0]\nvary = "data.train_share"\nscale_each = { "run.epochs" = [2.0] }',
            "a factor for each place",
        ),
        ('places = [1.0]\nvary = "data.train_share"\nat = 1.0', "`at` and `line` are made of the places"),
        ('places = [1.0]\nvary = "data.train_share"\nplacess = 1', r"\[rows.full\] placess: unknown key"),
    ],
)
def test_a_broken_line_is_told(tmp_path, row, error):
    with pytest.raises(ConfigError, match=error):
        catalogue.load(rows(tmp_path, f"{HEAD}[rows.full]\n{row}\n"))


def test_names_that_are_not_there_are_told_before_anything_starts(tmp_path):
    with pytest.raises(ConfigError, match="compare names 'nobody', and no line has that name"):
        catalogue.load(rows(tmp_path, f'{HEAD}compare = {{ nobody = ["full"] }}\n[rows.full]\n'))
    for row, error in (
        ('recipe = "baselines/lookupp"', "no recipe"),
        ('baseline = "lookupp"', "no baseline 'lookupp'"),
    ):
        name = rows(tmp_path, f"{HEAD}[rows.full]\n{row}\n")
        with pytest.raises(ConfigError, match=error) as caught:
            runner.prepare([name], str(recipes(tmp_path)), [0])
        assert "lookup" in caught.value.hint
