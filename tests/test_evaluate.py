"""`evaluate`: the run beside baselines and controls, in files that agree with each other."""

import json
import shutil

import pytest

from discern_vqa.datasets import phantom
from discern_vqa.errors import ConfigError, DataError
from discern_vqa.evaluation import evaluate as module
from discern_vqa.evaluation.evaluate import evaluate
from discern_vqa.evaluation.predict import Predictor
from discern_vqa.measurements import mirror, reliance
from discern_vqa.recipe_samples import Samples
from discern_vqa.report.page import write_report
from discern_vqa.run import Run
from discern_vqa.scoring import kept_states, metrics, predictions
from discern_vqa.trust import ood


@pytest.fixture(scope="module")
def judged(tiny_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("judged") / "run"
    shutil.copytree(tiny_run, folder, ignore=shutil.ignore_patterns("*.test.*"))
    return folder, evaluate(folder)


def test_the_files_say_what_is_returned(judged):
    folder, scores = judged
    assert json.loads((folder / "scores.test.json").read_text()) == json.loads(json.dumps(scores))
    rows = predictions.read(folder / "predictions.test.jsonl")
    assert scores["overall"]["n"] == len(rows)
    again = metrics.score(rows, Run.open(folder).recipe.data.normaliser)
    for part in ("overall", "open", "closed", "by"):
        assert again[part] == scores[part]
    assert (folder / "audit.json").is_file()
    assert len((folder / "explanations.test.jsonl").read_text().splitlines()) >= 1
    kept = kept_states.read(folder / "features.test.safetensors")
    assert kept.ids == [row.id for row in kept_states.chosen(rows)]
    assert kept.states.shape == (len(kept.ids), Run.open(folder).recipe.model.width)
    assert "not for diagnosis" in (folder / "README.md").read_text(encoding="utf-8")


def test_overall_is_the_weighted_mean_of_its_parts_or_the_report_is_refused(judged):
    _, scores = judged
    metrics.check_parts(scores, "run")
    n = scores["open"]["n"] + scores["closed"]["n"]
    mean = (scores["open"]["accuracy"] * scores["open"]["n"] + scores["closed"]["accuracy"] * scores["closed"]["n"]) / n
    assert scores["overall"]["accuracy"] == pytest.approx(mean)
    published = {  # the paper's row for VQA-RAD: separate maxima over epochs, no single set of predictions
        "overall": {"n": 451, "correct": 355, "accuracy": 355 / 451},
        "open": {"n": 179, "correct": 133, "accuracy": 133 / 179},
        "closed": {"n": 272, "correct": 233, "accuracy": 233 / 272},
    }
    with pytest.raises(DataError, match="its parts add up to 366 of 451"):
        metrics.check_parts(published, "paper")


def test_baselines_and_controls_answer_the_same_questions_and_are_kept(judged):
    folder, scores = judged
    assert set(scores["baselines"]) == set(Run.open(folder).recipe.run.baselines)
    assert set(scores["controls"]) == {"blank_image", "noise_image", "shuffled_image", "wrong_organ_image"}
    assert scores["controls_left_out"] == {}
    for row in (*scores["baselines"].values(), *scores["controls"].values()):
        assert row["overall"]["n"] == scores["overall"]["n"]
    path = folder / "baselines" / "majority.test.jsonl"
    kept = path.read_text()
    rows = [json.loads(line) | {"prediction": "nothing"} for line in kept.splitlines()]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    assert evaluate(folder)["baselines"]["majority"]["overall"]["correct"] == 0, "the kept file was read"
    (folder / "baselines" / "majority.test.learned").write_text("from other questions")
    assert evaluate(folder)["baselines"]["majority"] == scores["baselines"]["majority"], "it was learned anew"
    path.write_text("broken")
    assert evaluate(folder)["baselines"]["majority"] == scores["baselines"]["majority"]
    without = evaluate(folder, baselines=False)
    assert without["baselines"] == {}
    assert without["overall"] == scores["overall"]


def test_the_controls_are_kept_and_the_reliance_is_theirs(judged):
    folder, scores = judged
    normalise = scores["normaliser"]
    rows = predictions.read(folder / "predictions.test.jsonl")
    kept = {name: predictions.read(folder / "controls" / f"{name}.test.jsonl") for name in scores["controls"]}
    assert {row.image for row in kept["shuffled_image"]} == {row.image for row in rows}, "clustered by the right one"
    assert scores["reliance"] == reliance.reliance(rows, kept, normalise)
    for name, own in kept.items():
        assert metrics.score(own, normalise)["overall"] == scores["controls"][name]["overall"]
    for group in mirror.GROUPS:
        one = scores["mirror"][group]
        assert one["n"] == one["plain"]["n"] == one["mirrored"]["n"] > 0
        assert one["both"]["correct"] <= min(one["plain"]["correct"], one["mirrored"]["correct"])


def test_the_report_shows_what_the_controls_say(judged, tmp_path):
    folder, scores = judged
    page = write_report(folder, tmp_path)
    assert all(line[1:] in (tmp_path / "report.md").read_text() for line in ood.lines(scores["scope"]))
    for text in (page.read_text(), (tmp_path / "report.md").read_text()):
        assert "The right image adds" in text
        assert "Mirror test" in text
        assert "wrong_organ_image" in text


def test_answers_are_kept_whatever_fails_after_them_and_beside_no_scores_of_others(judged, tmp_path, monkeypatch):
    folder, _ = judged
    run = shutil.copytree(folder, tmp_path / "run")
    answers, scores = run / "predictions.test.jsonl", run / "scores.test.json"
    there = answers.read_bytes()

    def fails(*_):
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(module.measurements, "every", fails)
    with pytest.raises(RuntimeError):
        evaluate(run, baselines=False)
    assert answers.read_bytes() == there
    assert scores.is_file(), "the same answers were scored before"
    answers.write_bytes(there[: len(there) // 2])
    with pytest.raises(RuntimeError):
        evaluate(run, baselines=False)
    assert answers.read_bytes() == there
    assert not scores.exists()


def test_a_baseline_that_cannot_stand_beside_the_run_is_refused_before_anything_is_asked(judged, tmp_path, monkeypatch):
    run = shutil.copytree(judged[0], tmp_path / "run")
    config = json.loads((run / "config.json").read_text())
    config["run"]["baselines"] = ["majority", "retrieval"]
    (run / "config.json").write_text(json.dumps(config))
    asked = []
    monkeypatch.setattr(Predictor, "answering", lambda *given: asked.append(given))
    with pytest.raises(ConfigError, match="retrieval has an encoder of its own"):
        evaluate(run)
    assert asked == []


def test_the_data_set_may_have_moved(judged, tmp_path):
    folder, scores = judged
    root = Run.open(folder).root
    moved = shutil.copytree(root, tmp_path / "elsewhere")
    assert evaluate(folder, data=moved, baselines=False)["overall"] == scores["overall"]


def test_the_answer_table_holds_no_answer_that_only_test_has(tiny_run):
    run = Run.open(tiny_run)
    config = run.recipe.data
    root = run.root
    table = set(run.vocabulary.answers)
    normalised = Run.open(tiny_run).vocabulary.index
    train = [sample for sample in phantom.read(root, "train") if not sample.is_caption]
    assert all(normalised(sample.answer) >= 0 for sample in train)
    learned = {run.vocabulary.answers[normalised(sample.answer)] for sample in train}
    assert table == learned
    read = Samples(config, root).vocabulary()
    assert {sample.split for sample in read} == {"train"}


def test_only_test_has_what_a_foreign_answer_says_it_has(tiny_run, tmp_path):
    """A test answer that was never learned is not in the table, and coverage says so."""
    root = shutil.copytree(Run.open(tiny_run).root, tmp_path / "set")
    lines = [json.loads(line) for line in (root / "samples.jsonl").read_text().splitlines()]
    for line in lines:
        if line["split"] == "test" and line.get("question"):
            line["answer"] = "zebra"
    (root / "samples.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    run = Run.open(tiny_run)
    read = Samples(run.recipe.data, root).vocabulary()
    assert "zebra" not in {sample.answer for sample in read}
    folder = shutil.copytree(tiny_run, tmp_path / "run", ignore=shutil.ignore_patterns("*.test.*", "baselines"))
    scores = evaluate(folder, data=root, baselines=False)
    assert scores["vocabulary"]["coverage"] == 0
    assert scores["overall"]["correct"] == 0


def test_learning_never_sees_test_and_a_split_that_is_none_is_said(tiny_run):
    run = Run.open(tiny_run)
    config, root = run.recipe.data, run.root
    train, validation = Samples(config, root, 0).learning
    test = Samples(config, root).test("test")
    assert {sample.split for sample in [*train, *validation]} <= {"train", "validation"}
    assert not {sample.image for sample in test} & {sample.image for sample in [*train, *validation]}
    assert not {sample.image for sample in train} & {sample.image for sample in validation}
    with pytest.raises(ConfigError, match="'tset'"):
        Samples(config, root).test("tset")


def test_the_image_disjoint_protocol_shares_no_image_between_train_and_test(tiny_run):
    run = Run.open(tiny_run)
    seen = []
    for fold in range(3):
        config = run.recipe.data.model_copy(update={"protocol": "image_disjoint", "folds": 3, "fold": fold})
        train, validation = Samples(config, run.root, 0).learning
        test = Samples(config, run.root).test("test")
        assert not {s.image for s in test} & {s.image for s in [*train, *validation]}
        assert not {s.group for s in test if s.group} & {s.group for s in [*train, *validation] if s.group}
        table = {sample.id for sample in Samples(config, run.root).vocabulary()}
        assert not table & {sample.id for sample in test}
        seen += [sample.id for sample in test]
    assert len(seen) == len(set(seen)), "every question is tested once"
