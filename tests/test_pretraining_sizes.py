"""The section `sizes` and the map of states, made of real recipes and phantoms."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from _experiment import MAIN, ROWS, recipes, rows

from discern_vqa.datasets import phantom
from discern_vqa.errors import DataError
from discern_vqa.experiments import folder as folders
from discern_vqa.experiments import runner, sections
from discern_vqa.experiments.features import state_map
from discern_vqa.experiments.size_section import samples_before, sizes
from discern_vqa.report.feature_map import FEWEST
from discern_vqa.run import Run

ALONE = """
[rows."without pre-training"]
no_before = true
"""


@pytest.fixture
def planned(tmp_path):
    """The grid of an experiment on drawn phantoms, with a row without pre-training."""
    phantom.draw(tmp_path / "ph", size=32, counts={"pretrain": 6, "train": 4, "validation": 1, "test": 2}, workers=1)
    grid = runner.prepare([rows(tmp_path, ROWS + ALONE)], str(recipes(tmp_path)), [0, 1])[0]
    return grid, folders.Folder(tmp_path / "out", tmp_path / "ph", "test")


def test_the_size_of_a_pre_training_is_the_number_of_samples_that_it_learns(planned, tmp_path):
    grid, folder = planned
    drawn = len(phantom.read(tmp_path / "ph", "pretrain"))
    assert drawn > 6
    assert samples_before(grid.planned[0].trainings[0], folder) == drawn
    assert samples_before(grid.planned[-1].trainings[0], folder) == 0
    training = grid.planned[0].trainings[0]
    part = training.before.recipe.data.model_copy(update={"train_share": 0.5})
    recipe = training.before.recipe.model_copy(update={"data": part})
    half = replace(training, before=replace(training.before, recipe=recipe))
    images = {sample.image for sample in phantom.read(tmp_path / "ph", "pretrain")}
    assert 0 < samples_before(half, folder) < drawn
    assert len(images) == 6


def test_rows_on_a_data_set_without_printed_results_are_told_and_not_placed(planned):
    made = sizes(*planned)
    assert made["figures"]["dataset"] == "vqa_rad"
    assert made["figures"]["ours"] == {}
    assert len(made["figures"]["placed"]) == 7
    text = "\n".join(made["lines"])
    assert "- CMDPI: 114,000 (65,000 captions of ROCO" in text
    assert "they answer phantom, for which nothing is printed" in text


def test_rows_on_a_printed_data_set_have_their_own_size_where_they_learn_from_all_of_it(tmp_path, monkeypatch):
    (tmp_path / "vqa_rad.toml").write_text(MAIN.replace('"phantom"', '"vqa_rad"').replace('after = "before.toml"', ""))
    text = ROWS.partition('[rows."half the words"]')[0] + '[rows."a tenth"]\nset = { "data.train_share" = 0.1 }\n'
    grid = runner.prepare([rows(tmp_path, text)], str(tmp_path / "vqa_rad.toml"), [0])[0]
    made = sizes(grid, folders.Folder(tmp_path / "out", None, "test"))
    assert made["figures"]["ours"] == {"full": 0, "without mixup": 0}, "a row of a tenth is another comparison"
    assert "- here, full: 0" in made["lines"]


def test_an_auxiliary_set_that_the_pre_training_did_without_is_not_counted(planned, tmp_path, monkeypatch):
    grid, folder = planned
    drawn = len(phantom.read(tmp_path / "ph", "pretrain"))
    training = grid.planned[0].trainings[0]
    recipe = training.before.recipe

    def with_sets(*names):
        changes = {"auxiliary": list(names), "auxiliary_missing": "without"}
        return recipe.model_copy(update={"data": recipe.data.model_copy(update=changes)})

    wanted = replace(training, before=replace(training.before, recipe=with_sets("jsonl:nowhere")))
    with pytest.raises(DataError, match="nowhere"):
        samples_before(wanted, folder)
    run = folder.run(wanted.before)
    run.mkdir(parents=True)
    (run / "config.json").write_text("{}")
    began_with = SimpleNamespace(recipe=with_sets())
    monkeypatch.setattr(Run, "open", lambda folder, finished: began_with if folder == run else None)
    assert samples_before(wanted, folder) == drawn


def test_a_row_whose_pre_training_cannot_be_counted_is_named_and_not_placed(tmp_path):
    phantom.draw(tmp_path / "ph", size=32, counts={"pretrain": 2, "train": 2, "validation": 1, "test": 1}, workers=1)
    recipe = recipes(tmp_path)
    recipe.write_text(MAIN.replace('"phantom"', '"vqa_rad"'))
    before = tmp_path / "before.toml"
    before.write_text(
        before.read_text().replace('split = "pretrain"', 'split = "pretrain"\nauxiliary = ["jsonl:gone"]')
    )
    grid = runner.prepare([rows(tmp_path, ROWS + ALONE)], str(recipe), [0])[0]
    made = sizes(grid, folders.Folder(tmp_path / "out", tmp_path / "ph", "test"))
    assert made["figures"]["ours"] == {"without pre-training": 0}
    assert any(line.startswith("- here, full: not known, since ") and "gone" in line for line in made["lines"])


def test_the_map_of_states_keeps_groups_together_and_is_none_of_a_few():
    rng = np.random.default_rng(0)
    states = np.concatenate([rng.normal(size=(20, 8)), rng.normal(size=(20, 8)) + 30])
    kinds = ["PRES"] * 20 + ["POS"] * 20
    made = state_map(states, kinds)
    assert made == state_map(states, kinds), "the same states give the same map"
    points = np.array(made["points"])
    assert points.shape == (40, 2)
    assert made["question_types"] == kinds
    distances = np.linalg.norm(points[:, None] - points[None], axis=2) + 1e9 * np.eye(40)
    assert (distances.argmin(axis=1) // 20 == np.arange(40) // 20).all()
    assert state_map(states[: FEWEST - 1], kinds[: FEWEST - 1]) == {}


def test_a_report_has_the_map_of_the_first_seed_beside_the_means_of_all(planned):
    grid, folder = planned
    one = {"silhouette": 0.1, "purity": 0.5, "chance": 0.2, "points": [[0.0, 1.0]], "question_types": ["PRES"]}
    other = one | {"silhouette": 0.3, "points": [[5.0, 5.0]]}
    full, mixup = grid.planned[:2]
    for row in (full, mixup):
        for training in row.trainings:
            folder.run(training).mkdir(parents=True)
            folder.predictions(training).write_text("")
    for training, content in zip(full.trainings, (one, other), strict=True):
        folder.states(training).write_text(json.dumps(content))
    folder.states(mixup.trainings[1]).write_text(json.dumps(other))
    figures = sections.features(grid, folder)["figures"]
    assert figures["full"]["silhouette"]["mean"] == pytest.approx(0.2)
    assert figures["full"]["map"] == {"seed": 0, **one}
    assert "map" not in figures["without mixup"], "the map of another seed is not shown as the first one's"
