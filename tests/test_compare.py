"""`discern compare`: the same questions, who is better, and words that say no more than can be told."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from discern_vqa import cli
from discern_vqa.errors import ConfigError, DataError
from discern_vqa.scoring import predictions
from discern_vqa.scoring.compare import Answerer, as_text, compare, read_answerers
from discern_vqa.scoring.intervals import clustered_bootstrap
from discern_vqa.scoring.predictions import Prediction


def rows(share: float, seed: int = 0, n: int = 300) -> list[Prediction]:
    """Answers of which about `share` are right; the same questions are easy for everybody."""
    hard = np.random.default_rng(99).random(n)
    mood = np.random.default_rng(seed).normal(0, 0.1, n)
    return [
        Prediction(
            id=str(i),
            image=f"{i // 3}.png",
            gold="yes",
            answer_type="closed" if i % 3 else "open",
            prediction="yes" if hard[i] + mood[i] < share else "no",
        )
        for i in range(n)
    ]


def model(name: str, *seeds: list[Prediction]) -> Answerer:
    return Answerer(name, seeds)


def test_the_difference_its_interval_and_its_sign_are_those_of_the_files():
    first, second = rows(0.6), rows(0.75, seed=1)
    compared = compare([model("a", first), model("b", second)])
    right = [np.array([row.prediction == "yes" for row in one], dtype=float) for one in (first, second)]
    overall = next(test for test in compared["tests"] if test["part"] == "overall")
    assert overall["difference"] == pytest.approx((right[1] - right[0]).mean())
    images = [row.image for row in first]
    bootstrap = list(clustered_bootstrap(right[1] - right[0], images))
    assert overall["ci95"] == pytest.approx(bootstrap, abs=0.03)  # another method, and corrected for three tests
    assert overall["verdict"] == "better"
    assert overall["mcnemar"]["only_this"] > overall["mcnemar"]["only_reference"]
    assert [test["part"] for test in compared["tests"]] == ["overall", "open", "closed"]
    assert compared["models"][1]["overall"]["correct"] == int(right[1].sum())
    backwards = compare([model("b", second), model("a", first)])["tests"][0]
    assert backwards["difference"] == pytest.approx(-overall["difference"])
    assert backwards["verdict"] == "worse"
    assert "b is better than a: +1" in as_text(compared)


def test_what_cannot_be_told_apart_is_said_in_words_with_what_could_have_been_found():
    compared = compare([model("a", rows(0.7)), model("b", rows(0.7, seed=1))])
    overall = compared["tests"][0]
    assert overall["verdict"] == "not distinguishable"
    assert 0.01 < overall["detectable"] < 0.1
    assert "b and a are not distinguishable" in overall["words"]
    assert f"a true difference under {100 * overall['detectable']:.1f} percentage points is missed" in overall["words"]
    assert "One seed each" in as_text(compared)
    alike = compare([model("a", rows(0.7)), model("b", rows(0.7))])["tests"][0]
    assert (alike["p"], alike["detectable"], alike["verdict"]) == (1, None, "not distinguishable")
    assert "they answer alike" in alike["words"]


def test_all_tests_of_the_table_are_corrected_together():
    others = [model(f"m{i}", rows(0.7 + 0.02 * i, seed=i)) for i in range(4)]
    compared = compare([model("base", rows(0.68)), *others])
    assert compared["correction"] == "Holm over 12 tests"
    assert len(compared["tests"]) == 12
    assert all(test["p_holm"] >= test["p"] for test in compared["tests"])
    smallest = min(compared["tests"], key=lambda test: test["p"])
    assert smallest["p_holm"] == pytest.approx(min(1, 12 * smallest["p"]))


def test_the_order_of_lines_does_not_matter_and_other_questions_are_refused():
    first, second = rows(0.6), rows(0.7, seed=1)
    shuffled = compare([model("a", first), model("b", second[::-1])])
    assert shuffled["tests"] == compare([model("a", first), model("b", second)])["tests"]
    with pytest.raises(DataError, match="b answers other questions: 1 of 300 are missing .*'0'.*, 0 are more"):
        compare([model("a", first), model("b", second[1:])])
    with pytest.raises(DataError, match="0 of 299 are missing, 1 are more"):
        compare([model("a", first[1:]), model("b", second)])
    for change in ({"gold": "no"}, {"image": "other.png"}):
        wrong = [replace(second[0], **change), *second[1:]]
        with pytest.raises(DataError, match="'0' has another image or another true answer"):
            compare([model("a", first), model("b", wrong)])


def test_several_seeds_give_a_mean_a_spread_and_a_wider_interval():
    seeds = [rows(share, seed=i) for i, share in enumerate((0.66, 0.7, 0.74))]
    compared = compare([model("a", rows(0.6, seed=7)), model("b", *seeds)])
    b = compared["models"][1]["overall"]
    means = [np.mean([row.prediction == "yes" for row in one]) for one in seeds]
    assert b["accuracy"] == pytest.approx(np.mean(means))
    assert b["sd"] == pytest.approx(np.std(means, ddof=1))
    overall = compared["tests"][0]
    assert overall["mcnemar"] is None
    one = compare([model("a", rows(0.6, seed=7)), model("b", seeds[1])])["tests"][0]
    assert np.diff(overall["ci95"]) > np.diff(one["ci95"])
    text = as_text(compared)
    assert "(sd " in text
    assert "One seed each" not in text
    alone = compare([model("b", *seeds)])
    assert alone["models"][0]["overall"] == b
    assert (alone["tests"], alone["correction"]) == ([], "none")
    assert "(sd " in as_text(alone)


def test_one_image_proves_nothing():
    single = [replace(row, image="one.png") for row in rows(0.5, n=30)]
    better = [replace(row, prediction="yes") for row in single]
    test = compare([model("a", single), model("b", better)])["tests"][0]
    assert (test["p"], test["ci95"], test["detectable"]) == (1, None, None)
    assert test["verdict"] == "not distinguishable"
    json.dumps(test, allow_nan=False)


def test_files_folders_and_named_seeds_are_read(tmp_path: Path):
    for name in ("r0", "r1", "other"):
        (tmp_path / name).mkdir()
        predictions.write(tmp_path / name / "predictions.test.jsonl", rows(0.6, n=6))
    predictions.write(tmp_path / "mine.jsonl", rows(0.6, n=6))
    paths = [str(tmp_path / name) for name in ("r0", "mine.jsonl", "r1/predictions.test.jsonl")]
    named = f"full={tmp_path / 'r0'},{tmp_path / 'r1'}"
    found = read_answerers([*paths, named])
    assert [(one.name, len(one.seeds)) for one in found] == [("r0", 1), ("mine", 1), ("r1", 1), ("full", 2)]
    twice = read_answerers([str(tmp_path / "r0"), str(tmp_path / "r0" / "predictions.test.jsonl")])
    assert len({one.name for one in twice}) == 2
    for given, error, said in (
        ([paths[0]], ConfigError, "nothing to compare with"),
        ([f"full={paths[0]}"], ConfigError, "nothing to compare with"),
        ([named, named], ConfigError, "two are named 'full'"),
        (["a=", paths[0]], ConfigError, "names no file"),
        ([f"a={paths[0]},{paths[0]}", paths[1]], ConfigError, "'a' names .* twice"),
        ([f"a={paths[0]},{paths[0]}/predictions.test.jsonl", paths[1]], ConfigError, "'a' names .* twice"),
        ([paths[0], str(tmp_path)], DataError, "has no predictions.test.jsonl"),
        ([paths[0], str(tmp_path / "gone.jsonl")], DataError, "gone.jsonl is not there"),
    ):
        with pytest.raises(error, match=said) as caught:
            read_answerers(given)
        assert caught.value.hint


def test_the_verb_prints_the_words_and_writes_the_figures(tmp_path: Path, capsys):
    for name, share in (("full", 0.75), ("less", 0.6)):
        predictions.write(tmp_path / f"{name}.jsonl", rows(share, seed=len(name)))
    line = ["compare", str(tmp_path / "full.jsonl"), str(tmp_path / "less.jsonl"), "--json", str(tmp_path / "out.json")]
    assert cli.main(line) == 0
    said = capsys.readouterr().out
    content = json.loads((tmp_path / "out.json").read_text())
    assert content["reference"] == "full"
    assert all(test["words"] in said for test in content["tests"])
    assert cli.main(line[:2]) == 2
    assert capsys.readouterr().err.startswith("error: there is nothing to compare with")


def test_comparing_scoring_and_calibrating_files_do_not_wake_torch():
    trust = "abstention, calibration, calibration_view, confidence, conformal"
    scoring = "compare, free_text, literature, protocols, statistics, table_check"
    code = (
        f"import sys; from discern_vqa.trust import {trust}; from discern_vqa.scoring import {scoring}; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-W", "error", "-c", code], check=False).returncode == 0
