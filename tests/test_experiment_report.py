"""The report of an experiment against figures counted by hand."""

import copy
import csv
import json
import math

import numpy as np
import pytest
from _experiment import FAILING, ROWS, recipes, rows

from discern_vqa.data.sample import Sample
from discern_vqa.errors import RunError
from discern_vqa.experiments import (
    folder as folders,
)
from discern_vqa.experiments import (
    page as pages,
)
from discern_vqa.experiments import (
    report as reports,
)
from discern_vqa.experiments import (
    runner,
    sections,
)
from discern_vqa.experiments.features import clusters, purity
from discern_vqa.scoring import predictions
from discern_vqa.scoring.intervals import clustered_bootstrap
from discern_vqa.scoring.predictions import Prediction

QUESTIONS = 20  # two an image; even ones are open
SEEDS = [0, 1]


def answered(right: set[int]) -> list[Prediction]:
    """Twenty questions about ten images, `right` of them answered right."""
    return [
        Prediction(
            id=str(number),
            image=f"i{number // 2}.png",
            gold="yes",
            answer_type="closed" if number % 2 else "open",
            prediction="yes" if number in right else "no",
            question=f"q{number % 4}",
            question_type="PRES" if number < 12 else "POS",
            organ="chest" if number < 8 else "head",
        )
        for number in range(QUESTIONS)
    ]


GIVEN = {
    # row: the questions that seed 0 and seed 1 have right
    "full": (set(range(16)), set(range(18))),
    "without mixup": (set(range(10)), set(range(8))),
    "half the words": (set(range(16)), set(range(18))),
}


def without_training(tmp_path):
    """The grid with its predictions, without any training."""
    grid = runner.prepare([rows(tmp_path, ROWS + FAILING)], str(recipes(tmp_path)), SEEDS)[0]
    folder = folders.Folder(tmp_path / "out", None, "test")
    for planned in grid.planned[:-1]:
        for training, right in zip(planned.trainings, GIVEN[planned.row.name], strict=True):
            predictions.write(folder.predictions(training), answered(right))
            (folder.run(training) / "similar.json").write_text(json.dumps({"a": ["b", "c"], "b": ["a"], "c": []}))
    failed = {training.key: "it broke" for training in grid.planned[-1].trainings}
    return grid, folder, failed


@pytest.fixture
def made(tmp_path):
    return without_training(tmp_path)


@pytest.fixture(scope="module")
def gathered(tmp_path_factory):
    grid, folder, failed = without_training(tmp_path_factory.mktemp("gathered"))
    return reports.gather(grid, folder, failed, "discern experiment tiny", "2026-01-01")


@pytest.fixture
def report(gathered):
    return copy.deepcopy(gathered)


def row(report, name):
    return next(one for one in report["rows"] if one["name"] == name)


def test_means_and_spreads_are_those_of_the_seeds(report):
    overall = row(report, "full")["figures"]["overall"]
    assert overall["values"] == [0.8, 0.9]
    assert overall["mean"] == pytest.approx(0.85)
    assert overall["sd"] == pytest.approx(math.sqrt(0.05**2 * 2))  # n - 1 = 1
    # Of the questions below 10, five are open, of all 20 ten are; below 8 four.
    assert row(report, "without mixup")["figures"]["open"]["values"] == [0.5, 0.4]
    assert (report["n"], report["images"], report["seeds"]) == (20, 10, SEEDS)


def test_a_row_s_interval_is_that_of_its_mean_over_the_seeds_and_of_whole_images(report):
    first, second = (np.array([number in right for number in range(QUESTIONS)]) for right in GIVEN["without mixup"])
    images = [f"i{number // 2}.png" for number in range(QUESTIONS)]
    figures = row(report, "without mixup")["figures"]
    assert figures["overall"]["ci95"] == pytest.approx(clustered_bootstrap((first * 1.0 + second) / 2, images))
    even = np.arange(QUESTIONS) % 2 == 0
    of_open = clustered_bootstrap(((first * 1.0 + second) / 2)[even], np.array(images)[even])
    assert figures["open"]["ci95"] == pytest.approx(of_open)


def test_differences_are_paired_and_stand_beside_the_printed_ones(report):
    test = next(one for one in report["tests"] if (one["name"], one["part"]) == ("without mixup", "overall"))
    assert test["difference"] == pytest.approx(0.45 - 0.85)
    assert row(report, "without mixup")["printed_difference"] == {"open": -9.5, "closed": 0.0, "overall": -5.0}
    assert "printed_difference" not in row(report, "half the words")
    assert report["correction"] == "Holm over 6 tests"
    same = [one for one in report["tests"] if one["name"] == "half the words"]
    assert {one["verdict"] for one in same} == {"not distinguishable"}
    assert {one["difference"] for one in same} == {0.0}


def test_printed_figures_of_which_some_are_missing_are_compared_where_both_are_there(made, tmp_path):
    _, folder, _ = made
    text = ROWS.replace("open = 50.0, ", "").replace("closed = 70.0, overall = 55.0", "overall = 55.0")
    grid = runner.prepare([rows(tmp_path, text)], str(recipes(tmp_path)), SEEDS)[0]
    report = reports.gather(grid, folder, {}, "", "") | {"extra": []}
    assert row(report, "without mixup")["printed_difference"] == {"overall": -5.0}
    page = pages.as_markdown(report, {})
    assert "| - / 70.0 / 60.0 | - |" in page
    assert "| 40.5 / - / 55.0 | -5.0 |" in page


def test_a_row_that_failed_says_so(report, made):
    assert row(report, "broken")["failed"] == "it broke"
    assert "figures" not in row(report, "broken")
    text = pages.as_markdown(report, {})
    assert "failed: it broke" in text
    grid, folder, failed = made
    alone = folders.Grid(grid.experiment, grid.base, grid.planned[-1:], grid.seeds)
    with pytest.raises(RunError, match="no row has an answer: it broke"):
        reports.gather(alone, folder, failed, "", "")


def test_groups_are_cut_and_corrected_together(made):
    answers = {name: [answered(one) for one in seeds] for name, seeds in GIVEN.items()}
    by = reports.by_group(answers, "full", "organ", "lower")
    assert {group: (told["n"], told["images"]) for group, told in by.items()} == {"head": (12, 6), "chest": (8, 4)}
    assert by["chest"]["rows"]["full"]["values"] == [1.0, 1.0]
    assert by["head"]["rows"]["full"]["values"] == [pytest.approx(8 / 12), pytest.approx(10 / 12)]
    assert by["head"]["tests"]["without mixup"]["difference"] == pytest.approx((2 + 0 - 8 - 10) / 24)
    ps = sorted(test["p"] for told in by.values() for test in told["tests"].values())
    assert min(test["p_holm"] for told in by.values() for test in told["tests"].values()) == min(1.0, 4 * ps[0])


def test_the_page_holds_what_was_counted_and_no_path(report, made, tmp_path):
    report["extra"] = []
    text = pages.write(report, tmp_path / "page").read_text(encoding="utf-8")
    assert (
        "| **full** | nothing | 85.0 +- 7.1 | 85.0 +- 7.1 | 85.0 +- 7.1 | reference | 50.0 / 70.0 / 60.0 | - |" in text
    )
    assert "`objective.mixup` false" in text
    assert "| 40.5 / 70.0 / 55.0 | -5.0 |" in text
    assert "![Accuracy of each row with its interval](chart.png)" in text
    assert (tmp_path / "page" / "chart.png").is_file()
    assert (tmp_path / "page" / "chart.svg").is_file()
    assert "20 questions about 10 images" in text
    assert "discern experiment tiny" in text
    assert str(tmp_path) not in text + (tmp_path / "page" / "report.json").read_text(encoding="utf-8")
    lines = list(csv.DictReader((tmp_path / "page" / "rows.csv").read_text(encoding="utf-8").splitlines()))
    assert len(lines) == 3 * 2 * 3
    chosen = [line for line in lines if (line["row"], line["part"], line["seed"]) == ("without mixup", "overall", "1")]
    assert [line["accuracy"] for line in chosen] == ["0.400000"]


def test_similar_images_are_counted(made):
    grid, folder, _ = made
    section = sections.neighbours(grid, folder)
    assert section["figures"]["full"]["coverage"]["mean"] == pytest.approx(2 / 3)
    assert section["figures"]["full"]["mean"]["mean"] == pytest.approx(1.0)
    assert "| full | 66.7 +- 0.0 | 1.0 +- 0.0 |" in section["lines"]


def test_cases_are_those_on_which_the_rows_disagree(made):
    grid, folder, _ = made
    section = sections.cases(grid, folder)
    assert section["figures"]["apart"] == 6  # 10 ... 15 of the first seeds
    assert section["figures"]["right_alone"] == {"full": 0, "without mixup": 0, "half the words": 0}
    assert len(section["lines"]) == 4 + 6
    assert section["lines"][4].endswith("| yes | yes (right) | no (wrong) | yes (right) |")


def test_false_negatives_are_counted_over_pairs_of_a_batch():
    def ask(image, question, answer):
        return Sample(id=image + question, image=image, path=None, question=question, answer=answer, split="train",
                      answer_type="closed")  # fmt: skip

    samples = [ask("a", "normal", "yes"), ask("a", "mass", "no"), ask("b", "normal", "yes"), ask("c", "mass", "yes")]
    counted = sections.false_negatives(samples, [[0, 1, 2, 3]])
    # Each of the four questions meets two other images. Known: a-normal in b, a-mass in c, b-normal in a, c-mass in a.
    assert counted == {"batches": 1, "pairs": 8, "known": 4, "same": 2, "anchors": 4, "anchors_hit": 2}


def test_clusters_are_pure_where_types_lie_apart():
    rng = np.random.default_rng(0)
    centre = {"PRES": (1, 0, 0), "POS": (0, 1, 0), "SIZE": (0, 0, 1)}
    kinds = [kind for kind in centre for _ in range(20)]
    apart = clusters(np.array([centre[kind] for kind in kinds]) + 0.01 * rng.standard_normal((60, 3)), kinds)
    mixed = clusters(rng.standard_normal((60, 3)), kinds)
    assert apart["purity"] == 1.0
    assert apart["silhouette"] > 0.95 > 0.2 > mixed["silhouette"]
    assert apart["chance"] < 0.6
    assert purity(np.array([0, 0, 0, 1]), np.array(["a", "a", "b", "b"])) == 0.75
