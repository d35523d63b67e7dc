"""A run's confidence: fitted on what it did not learn, kept beside its weights, used when asked, and its limits."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from discern_vqa import cli
from discern_vqa.config import DataConfig
from discern_vqa.data.answers import Answer
from discern_vqa.datasets import csv, phantom
from discern_vqa.errors import ConfigError, DataError, RunError
from discern_vqa.evaluation.calibrate import calibrate_run
from discern_vqa.evaluation.evaluate import evaluate
from discern_vqa.evaluation.opening import open_run
from discern_vqa.recipe_samples import Samples
from discern_vqa.run import Run, save_weights
from discern_vqa.scoring import predictions
from discern_vqa.scoring.predictions import Prediction
from discern_vqa.trust import calibration
from discern_vqa.trust.calibration import FILE, Calibration, describe_rows


def rows(n: int = 200, seed: int = 0, start: int = 0) -> list[Prediction]:
    """Held-out predictions of a table of four answers; a fifth is true now and then and cannot be given."""
    rng = np.random.default_rng(seed)
    made = []
    for i in range(start, start + n):
        shares = rng.dirichlet([0.5] * 4)
        order = np.argsort(-shares)
        names = ["yes", "no", "left", "right"] if i % 2 else ["left", "right", "yes", "no"]
        true = "elsewhere" if rng.random() < 0.04 else names[rng.choice(4, p=shares)]
        pairs = tuple((names[k], float(shares[k])) for k in order)
        made.append(
            Prediction(
                id=str(i),
                image=f"{i // 2}.png",
                gold=true,
                answer_type="closed" if i % 2 else "open",
                prediction=pairs[0][0],
                score=pairs[0][1],
                alternatives=pairs,
                others=0,
                question=f"question {i}?",
            )  # fmt: skip
        )
    return made


@pytest.fixture
def folder(tiny_run, tmp_path, monkeypatch):
    """A copy of the run that may be calibrated, on as few questions as it holds out."""
    monkeypatch.setattr(calibration, "FEWEST", 10)
    left_out = shutil.ignore_patterns("*.test.*", FILE, "ood.*", "predictions.*", "similar.json")
    return shutil.copytree(tiny_run, tmp_path / "run", ignore=left_out)


@pytest.fixture
def image(tiny_run):
    return sorted((tiny_run.parent / "phantoms" / "images" / "test").glob("*.png"))[0]


# -- the record --------------------------------------------------------------------------------------------------------


def test_what_is_written_is_read_back_and_judges_alike(tmp_path):
    made = Calibration.fit(rows(), "lower", about={"what": "validation"})
    made.write(tmp_path / FILE)
    again = Calibration.read(tmp_path / FILE)
    assert again == made
    answer = Answer("yes", 0.6, (("yes", 0.6), ("no", 0.4)), others=0)
    assert again.judge(answer) == made.judge(answer)
    assert again.measure(rows(seed=1)) == made.measure(rows(seed=1))


def test_the_promises_hold_on_questions_like_those_it_was_fitted_on():
    covered, answered = [], []
    for seed in range(15):
        made = Calibration.fit(rows(400, seed), "lower", target=0.8)
        measured = made.measure(rows(400, 100 + seed))
        covered.append(measured["sets"]["all"]["accuracy"])
        answered.append(measured["abstention"]["accuracy"])
        assert {"open", "closed"} == measured["sets"]["answer_type"]["groups"].keys()
        assert measured["sets"]["levels"]["0.5"]["accuracy"] < measured["sets"]["levels"]["0.8"]["accuracy"]
    assert np.mean(covered) == pytest.approx(0.9, abs=0.02)
    assert np.mean(answered) == pytest.approx(0.8, abs=0.03)


def test_an_answer_is_judged_by_the_form_it_has():
    made = Calibration.fit(rows(400), "lower")
    bars = made.sets["answer_form"]
    pairs = [("yes", 0.5), ("no", 0.3), ("left", 0.15), ("right", 0.05)]
    for first in ("yes", "left"):
        ordered = [
            (first, 0.5),
            *(
                (text, score)
                for (text, _), (_, score) in zip([p for p in pairs if p[0] != first], pairs[1:], strict=True)
            ),
        ]
        judged = made.judge(Answer(first, 0.5, tuple(ordered), others=0)).judged
        form = "yes/no" if first == "yes" else "other"
        tempered = [score for _, score in ordered]  # near enough to temperature 1 for the order
        assert len(judged.answer_set) == pytest.approx(
            sum(score >= bars[form]["threshold"] for score in tempered), abs=1
        )
        assert judged.answer_set == tuple(text for text, _ in ordered)[: len(judged.answer_set)]
    sure = made.judge(Answer("yes", 0.99, (("yes", 0.99), ("no", 0.01)), others=0)).judged
    unsure = made.judge(Answer("yes", 0.3, (("yes", 0.3), ("no", 0.28)), others=2)).judged
    assert not sure.abstains
    assert unsure.abstains
    assert sure.confidence > sure.threshold > unsure.confidence


def test_where_the_coverage_cannot_be_promised_the_best_that_can_be_is():
    hidden = [replace(row, gold="elsewhere") if i % 4 == 0 else row for i, row in enumerate(rows(400))]
    made = Calibration.fit(hidden, "lower")
    assert made.sets["all"]["all"]["threshold"] is None
    judged = made.judge(Answer("yes", 0.6, (("yes", 0.6), ("no", 0.4)), others=0)).judged
    assert 0.5 <= judged.coverage < 0.9
    assert judged.answer_set is not None
    hopeless = Calibration.fit([replace(row, gold="elsewhere") for row in rows()], "lower")
    judged = hopeless.judge(Answer("yes", 0.9, (("yes", 0.9),), others=0)).judged
    assert (judged.answer_set, judged.coverage, judged.abstains, judged.threshold) == (None, 0.9, True, None)


def test_too_few_questions_and_numbers_out_of_range_are_refused():
    with pytest.raises(DataError, match="49 held-out questions are too few"):
        Calibration.fit(rows(49))
    for wrong in ({"coverage": 1.0}, {"coverage": 90}, {"target": 0.0}):
        with pytest.raises(ConfigError, match="expected between 0 and 1"):
            Calibration.fit(rows(), **wrong)
    with pytest.raises(DataError, match="has no score"):
        Calibration.fit([replace(row, score=None) for row in rows()])


@pytest.mark.parametrize("damage", ['{"version": 1', "[]", '{"version": 2}', '{"version": 1, "kind": "x"}', "[" * 9999])
def test_a_file_that_is_no_calibration_is_two_lines(tmp_path, damage):
    (tmp_path / FILE).write_text(damage)
    with pytest.raises(RunError, match=FILE) as caught:
        Calibration.read(tmp_path / FILE)
    assert "discern calibrate" in caught.value.hint


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("temperature", "high", "could not convert string to float: 'high'"),
        ("temperature", 0, "its temperature is 0"),
        ("temperature", -5, "its temperature is -5"),
        ("kind", "x", "its kind 'x'"),
        ("normaliser", "x", "normaliser"),
        ("sets", {}, "it lacks 'answer_form'"),
        ("fitted_on", None, "'NoneType' object has no attribute 'get'"),
        ("abstention", {"threshold": 0.5}, "missing 3 required positional arguments"),
        ("version", 2, "it is of version 2; this program reads 1"),
    ],
)
def test_a_calibration_of_another_shape_is_refused(tmp_path, key, value, said):
    Calibration.fit(rows(), "lower").write(tmp_path / FILE)
    content = json.loads((tmp_path / FILE).read_text())
    (tmp_path / FILE).write_text(json.dumps(content | {key: value}))
    with pytest.raises(RunError, match=re.escape(said)) as caught:
        Calibration.read(tmp_path / FILE)
    assert FILE in str(caught.value)
    assert "discern calibrate" in caught.value.hint


def test_scores_as_they_stand_are_described_and_files_without_scores_are_not():
    described = describe_rows(rows(), "lower")
    assert described["ece"] < 0.15
    assert described["surer_half"]["gain"] > 0.1
    assert describe_rows([replace(rows(1)[0], score=None)]) is None


# -- the run -----------------------------------------------------------------------------------------------------------


def test_evaluate_calibrates_on_validation_and_measures_on_test(folder):
    scores = evaluate(folder, baselines=False)
    made = Calibration.read(folder / FILE)
    held = predictions.read(folder / "predictions.validation.jsonl")
    judged = predictions.read(folder / "predictions.test.jsonl")
    assert made.fitted_on["n"] == len(held)
    assert not {row.id for row in held} & {row.id for row in judged}
    assert made == Calibration.fit(held, "plain", about={k: made.fitted_on[k] for k in ("what", "file", "weights")})
    assert (
        json.loads(json.dumps(made.measure(judged)))
        == json.loads((folder / "scores.test.json").read_text())["calibration"]
    )
    assert scores["confidence"]["n"] == len(judged)
    assert {"ours", "mevf_all", "in_vocabulary"} <= scores["protocols"].keys()
    assert all(len(row.alternatives) == 10 and row.others > 0 for row in judged)


def test_too_few_validation_questions_are_said_and_nothing_is_written(folder, monkeypatch):
    monkeypatch.setattr(calibration, "FEWEST", 50)
    missing = evaluate(folder, baselines=False)["calibration"]
    assert "19 held-out questions are too few: calibrated confidence takes 50" in missing["missing"]
    assert not (folder / FILE).exists()


def test_a_calibration_that_is_there_is_kept_and_one_of_other_weights_is_refused(folder, image):
    line = ["calibrate", str(folder), "--coverage", "0.8", "--accuracy", "0.7"]
    assert cli.main(line) == 0
    evaluate(folder, baselines=False)
    assert Calibration.read(folder / FILE).sets["coverage"] == 0.8
    model = Run.open(folder).load_model()
    model.ffn_answer.bias.data += 1
    save_weights(model, folder / "model.safetensors")
    with pytest.raises(RunError, match="made for other weights"):
        open_run(folder)
    assert cli.main(line) == 0
    open_run(folder)


def test_ask_and_predict_say_how_far_to_believe(folder, image, tmp_path, capsys):
    assert cli.main(["calibrate", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "temperature" in said
    assert "too good to be true" in said, "there are no test predictions yet"
    made = Calibration.read(folder / FILE)
    for threshold, abstains in ((0.0, False), (1.0, True)):
        replace(made, bar=replace(made.bar, threshold=threshold)).write(folder / FILE)
        assert cli.main(["ask", str(folder), str(image), "Is there a mass?", "--json"]) == 0
        answer = json.loads(capsys.readouterr().out)
        assert answer["abstains"] == abstains
        assert 0 <= answer["confidence"] <= 1
        assert cli.main(["ask", str(folder), str(image), "Is there a mass?"]) == 0
        first, *_, last = capsys.readouterr().out.splitlines()
        assert first.startswith("I would rather not answer") == abstains
        assert answer["answer"] in first
        assert last == "Research software: not for diagnosis."
    (tmp_path / "q.csv").write_text(f"image,question\n{image},Is there a mass?\n")
    assert cli.main(["predict", str(folder), str(tmp_path / "q.csv"), str(tmp_path / "out.jsonl")]) == 0
    (line,) = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
    assert (line["prediction"], line["abstains"]) == (answer["answer"], True)
    assert line["confidence"] == pytest.approx(answer["confidence"], abs=1e-3)
    assert {"answer_set", "set_coverage", "others"} <= line.keys()


def test_a_data_sets_own_validation_serves_a_run_that_carved_none(folder):
    config = json.loads((folder / "config.json").read_text())
    config["data"]["validation_ratio"] = 0.0
    (folder / "config.json").write_text(json.dumps(config))
    made, held = calibrate_run(folder)
    assert {row.image.split("/")[1] for row in held} == {"validation"}
    assert made.fitted_on["n"] == len(held)


def test_own_data_without_validation_rows_holds_nothing_out_and_is_judged_all_the_same(folder, tmp_path):
    root = shutil.copytree(Run.open(folder).root, tmp_path / "own")
    lines = (root / "samples.jsonl").read_text().splitlines(keepends=True)
    (root / "samples.jsonl").write_text("".join(line for line in lines if '"split": "validation"' not in line))
    config = json.loads((folder / "config.json").read_text())
    config["data"]["validation_ratio"] = 0.0
    (folder / "config.json").write_text(json.dumps(config))
    scores = evaluate(folder, data=root, baselines=False)
    assert "held none out" in scores["calibration"]["missing"]
    assert json.loads((folder / "scores.test.json").read_text())["n"] == scores["n"]
    with pytest.raises(RunError, match="held none out"):
        calibrate_run(folder, data=root)


def test_a_table_without_validation_rows_holds_nothing_out(tmp_path):
    csv.write_tiny(tmp_path)
    choice = DataConfig(dataset="csv", validation_ratio=0.0)
    assert {sample.split for sample in Samples(choice, tmp_path, 0).held_out()} == {"validation"}
    table = tmp_path / csv.FILE
    table.write_text(table.read_text().replace(";val;", ";train;").replace(";dev;", ";train;"))
    assert Samples(choice, tmp_path, 0).held_out() == []


def test_a_run_that_learned_from_everything_says_so_and_borrows(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(phantom, "SPLITS", ("train", "test"))
    config = json.loads((folder / "config.json").read_text())
    other = tmp_path / "with_validation"
    for ratio, run in ((0.3, other), (0.0, folder)):
        if run is other:
            shutil.copytree(folder, other)
        config["data"]["validation_ratio"] = ratio
        (run / "config.json").write_text(json.dumps(config))
    assert cli.main(["calibrate", str(folder)]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert "held none out" in first
    assert "--on" in second
    missing = evaluate(folder, baselines=False)["calibration"]
    assert "held none out" in missing["missing"]
    assert not (folder / FILE).exists()
    assert cli.main(["calibrate", str(folder), "--on", str(other)]) == 2, "that one is not calibrated yet"
    capsys.readouterr()
    assert cli.main(["calibrate", str(other)]) == 0
    assert cli.main(["calibrate", str(folder), "--on", str(other)]) == 0
    assert Calibration.read(folder / FILE).fitted_on["borrowed_from"] == "with_validation"
    open_run(folder)
    capsys.readouterr()
    assert cli.main(["calibrate", str(folder), "--on", str(other / "predictions.validation.jsonl")]) == 2
    assert "has learned from" in capsys.readouterr().err
    assert cli.main(["calibrate", str(folder), "--on", str(folder / "predictions.test.jsonl")]) == 2
    assert "test questions" in capsys.readouterr().err


def test_a_run_of_another_recipe_lends_nothing(folder, tmp_path):
    other = shutil.copytree(folder, tmp_path / "other")
    kept = json.loads((other / "config.json").read_text())
    changed = json.loads(json.dumps(kept))
    changed["run"] |= {"seed": 7, "epochs": 9, "threads": 2}
    changed["data"]["validation_ratio"] = 0.4
    (other / "config.json").write_text(json.dumps(changed))
    with pytest.raises(RunError, match="has no predictions.validation"):  # what may differ does
        calibrate_run(folder, on=other)
    changed["optim"] |= {"lr": 0.5, "batch": 2}
    changed["data"]["min_count"] = 2
    (other / "config.json").write_text(json.dumps(changed))
    with pytest.raises(RunError, match=r"differ in data\.min_count, optim\.\w+, optim\.\w+") as caught:
        calibrate_run(folder, on=other)
    assert "discern train" in caught.value.hint
    (other / "config.json").write_text(json.dumps(kept))
    content = json.loads((other / "vocabulary.json").read_text())
    names = content["answers"] if isinstance(content["answers"], list) else content["answers"]["answers"]
    names[0], names[1] = names[1], names[0]
    (other / "vocabulary.json").write_text(json.dumps(content))
    with pytest.raises(RunError, match="differ in the answers of the vocabulary"):
        calibrate_run(folder, on=other)


def test_too_few_held_out_questions_are_said_before_the_model_is_loaded(tiny_run, monkeypatch, capsys):
    def opened(*given, **named):
        raise AssertionError("the model was loaded")

    monkeypatch.setattr("discern_vqa.evaluation.calibrate.open_run", opened)
    monkeypatch.setattr("discern_vqa.trust.calibration.FEWEST", 100_000)
    assert cli.main(["calibrate", str(tiny_run)]) == 2
    assert "held-out questions are too few to calibrate on; expected at least 100000" in capsys.readouterr().err
