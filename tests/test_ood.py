"""What is unlike the training data is told: the distance, its threshold, what it is worth, and what a person hears."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from scipy import stats
from sklearn.metrics import roc_auc_score

from discern_vqa import cli
from discern_vqa.data.judged import Within, unlike
from discern_vqa.datasets import phantom
from discern_vqa.errors import DataError, RunError
from discern_vqa.evaluation.asked_run import trusted
from discern_vqa.evaluation.ood_fit import fit_and_measure, fit_run, measure_outside, measure_split
from discern_vqa.evaluation.opening import open_run
from discern_vqa.training.train import train
from discern_vqa.trust import ood
from discern_vqa.trust.ood import FIGURES, FILE, Detector, Known, auroc


def cloud(n: int, seed: int, middle: int = 0, width: int = 16) -> np.ndarray:
    """Vectors around one of the axes."""
    return np.eye(width)[middle] * 4 + np.random.default_rng(seed).standard_normal((n, width)) * 0.7


# -- the distance and its threshold ------------------------------------------------------------------------------------


def test_the_distance_is_one_minus_the_mean_cosine_with_the_nearest_five():
    learned, asked = cloud(40, 0), cloud(7, 1, 3)
    known = Known.fit(learned, [str(i) for i in range(40)])
    rows = [a / np.linalg.norm(a) for a in asked]
    others = [b / np.linalg.norm(b) for b in learned]
    expected = [1 - np.mean(sorted(float(a @ b) for b in others)[-5:]) for a in rows]
    assert known.distance(asked) == pytest.approx(expected, abs=2e-3)  # the vectors are kept in half precision


def test_of_what_is_like_the_training_data_five_in_a_hundred_are_refused():
    for held in (None, cloud(300, 1)):
        refused = []
        for seed in range(20):
            known = Known.fit(cloud(300, 2 + seed), [str(i) for i in range(300)], held)
            refused.append(np.mean(known.distance(cloud(400, 100 + seed)) > known.threshold))
        assert np.mean(refused) == pytest.approx(0.05, abs=0.015)
        assert known.how == (ood.HELD_OUT if held is not None else ood.LEFT_OUT)


def test_what_hangs_together_is_left_out_together():
    """Ten copies of each image: a copy is no proof that an image is usual."""
    learned = np.repeat(cloud(40, 0), 10, axis=0)
    copies = Known.fit(learned, [str(i // 10) for i in range(400)])
    careless = Known.fit(learned, [str(i) for i in range(400)])
    assert careless.threshold < 0.01 < copies.threshold


def test_typical_is_the_share_of_the_held_out_that_is_as_far():
    known = Known(np.eye(3, dtype=np.float16), np.arange(1, 100) / 100, ood.HELD_OUT)
    assert known.typical(np.array([0.0, 0.5, 0.99, 2.0])) == pytest.approx([1.0, 0.51, 0.02, 0.01])
    assert known.threshold == 0.95
    assert known.typical(np.array([known.threshold]))[0] > 0.05


def test_too_few_say_nothing():
    assert Known.fit(cloud(19, 0), [str(i) for i in range(19)]) is None
    assert Known.fit(cloud(100, 0), ["one patient"] * 100) is None
    few = Known.fit(cloud(100, 0), [str(i) for i in range(100)], cloud(5, 1))
    assert few.how == ood.LEFT_OUT


# -- what it is worth --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_the_auroc_is_sklearns_and_scipys(seed):
    rng = np.random.default_rng(seed)
    inside, outside = rng.normal(0, 1, 60).round(1), rng.normal(1, 1, 40).round(1)  # with ties
    area, (low, high) = auroc(inside, outside)
    truth = np.r_[np.zeros(60), np.ones(40)]
    assert area == pytest.approx(roc_auc_score(truth, np.r_[inside, outside]))
    assert area == pytest.approx(stats.mannwhitneyu(outside, inside).statistic / (60 * 40))
    assert low < area < high
    assert auroc(-inside, -outside)[0] == pytest.approx(1 - area)


def test_its_interval_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(1)
    truth = stats.norm.cdf(1.2 / np.sqrt(2))
    held = 0
    for _ in range(400):
        low, high = auroc(rng.normal(0, 1, 60), rng.normal(1.2, 1, 40))[1]
        held += low <= truth <= high
    assert 0.92 <= held / 400 <= 0.98


def test_a_perfect_separation_is_not_certain():
    area, (low, high) = auroc(np.zeros(300), np.ones(10))
    assert (area, high) == (1.0, pytest.approx(1.0))
    assert low == pytest.approx(0.722, abs=0.001), "Wilson's, of 10 of 10"


# -- the files ---------------------------------------------------------------------------------------------------------


def test_what_is_written_is_read_back_and_judges_alike(tmp_path):
    names = [str(i) for i in range(60)]
    made = Detector({"image": Known.fit(cloud(60, 0), names), "question": Known.fit(cloud(60, 1, 2, 8), names)}, "0123")
    made.write(tmp_path)
    again = Detector.read(tmp_path / FILE)
    images, questions = np.concatenate([cloud(3, 5), cloud(3, 6, 9)]), cloud(6, 7, 2, 8)
    assert again.judge(images, questions) == made.judge(images, questions)
    assert [one.outside for one in again.judge(images, questions)][3:] == [("image",)] * 3
    assert all(one.image < 0.05 for one in again.judge(images, questions)[3:])
    assert made.judge(None, questions)[0].image is None
    assert again.weights == "0123"


def test_a_broken_file_is_two_lines(tmp_path):
    (tmp_path / FILE).write_bytes(b"\x00" * 40)
    with pytest.raises(RunError, match="is broken") as caught:
        Detector.read(tmp_path / FILE)
    assert "discern calibrate" in caught.value.hint


# -- a run -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def placed(tiny_run, tmp_path_factory):
    """A small run that learned chests, its detector, and heads and coloured blots beside it."""
    folder = tmp_path_factory.mktemp("ood") / "run"
    root, photos = folder.parent / "chests", folder.parent / "photos"
    phantom.draw(root, counts={"train": 80, "validation": 8, "test": 8}, size=64, regions=["chest"], workers=1)
    phantom.draw(folder.parent / "heads", images=16, size=64, regions=["head"], workers=1)
    train(tiny_run.parent / "tiny.toml", data=root, out=folder, overrides=["run.epochs=3"], quiet=True)
    photos.mkdir()
    rng = np.random.default_rng(0)
    for number in range(12):
        coarse = Image.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8))
        coarse.resize((160, 120), Image.Resampling.BICUBIC).save(photos / f"{number}.png")
    (folder.parent / "off.txt").write_text("What is the capital of France?\nWho won the match?\n\nTell me a joke\n")
    outside = [photos, folder.parent / "heads" / "images", folder.parent / "off.txt"]
    return folder, fit_and_measure(folder, outside)


def learned_from(folder):
    return [sample for sample in phantom.read(folder.parent / "chests", "train") if not sample.is_caption]


def test_noise_and_heads_and_coloured_blots_and_foreign_questions_are_told(placed):
    folder, content = placed
    assert json.loads((folder / FIGURES).read_text()) == content
    assert (content["outside"]["photos"]["n"], content["outside"]["off.txt"]["n"]) == (12, 3)
    assert content["image"]["n"] > 50
    assert content["outside"]["noise"]["auroc"] > 0.95
    assert content["outside"]["images"]["auroc"] > 0.95, "heads"
    assert content["outside"]["photos"]["auroc"] > 0.9
    assert content["outside"]["off.txt"]["caught"]["accuracy"] == 1


def test_what_was_measured_stays_until_something_changes(placed, tmp_path):
    folder, content = placed
    assert fit_and_measure(folder) == content
    copy = shutil.copytree(folder, tmp_path / "copy")
    predictor = open_run(copy, calibrated=False)
    samples = learned_from(folder)
    assert fit_run(predictor, samples[: len(samples) // 2], []) is not None
    assert set(ood.read_figures(copy)["outside"]) == {"noise"}
    assert fit_run(predictor, samples[:3], []) is None, "three questions"


def test_a_split_is_measured_over_what_was_not_learned_from(placed):
    folder, _ = placed
    predictor = open_run(folder)
    samples = learned_from(folder)
    assert measure_split(predictor, samples, samples)["image"]["n"] == 0
    assert measure_split(predictor, samples[:10], samples)["image"]["n"] > 0


def test_ask_and_predict_say_it_and_other_weights_are_refused(placed, tmp_path, capsys):
    folder, _ = placed
    usual, question = learned_from(folder)[0].path, learned_from(folder)[0].question
    photo = folder.parent / "photos" / "0.png"
    for image, asked, outside in (
        (usual, question, []),
        (photo, question, ["image"]),
        (usual, "Who won the match?", ["question"]),
    ):
        assert cli.main(["ask", str(folder), str(image), asked, "--json"]) == 0
        answer = json.loads(capsys.readouterr().out)
        assert answer["outside"] == outside
        assert set(answer["typical"]) == {"image", "question"}
        assert cli.main(["ask", str(folder), str(image), asked]) == 0
        first = capsys.readouterr().out.splitlines()[0]
        assert first.startswith("I would rather not answer: the") == bool(outside)
        assert answer["answer"] in first
    (tmp_path / "q.csv").write_text(f"image,question\n{usual},{question}\n{photo},{question}\n")
    assert cli.main(["predict", str(folder), str(tmp_path / "q.csv"), str(tmp_path / "out.jsonl")]) == 0
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["outside"] for row in rows] == [[], ["image"]]
    copy = shutil.copytree(folder, tmp_path / "copy")
    with open(copy / "model.safetensors", "ab") as file:
        file.write(b" ")
    with pytest.raises(RunError, match="other weights"):
        ood.read_if_there(copy, copy / "model.safetensors")


def test_calibrate_outside_is_for_runs_and_says_what_is_wrong(placed, tmp_path, capsys):
    folder, _ = placed
    assert cli.main(["calibrate", str(folder), "--outside", str(folder.parent / "photos")]) == 0
    assert "AUROC" in capsys.readouterr().out
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.txt").write_text("\n")
    for wrong in (tmp_path / "empty", tmp_path / "empty.txt", tmp_path / "gone"):
        assert cli.main(["calibrate", str(folder), "--outside", str(wrong)]) == 2
        assert len(capsys.readouterr().err.splitlines()[-2:]) == 2
    assert cli.main(["calibrate", str(folder / "p.jsonl"), "--outside", str(tmp_path)]) == 2
    capsys.readouterr()
    photos, figure = str(folder.parent / "photos"), str(tmp_path / "f.png")
    assert cli.main(["calibrate", str(folder), "--outside", photos, "--figure", figure, "--accuracy", "0.9"]) == 2
    assert "--accuracy and --figure would be ignored" in capsys.readouterr().err
    predictor = open_run(folder)
    with pytest.raises(DataError, match="holds no image"):
        measure_outside(predictor, predictor.detector, tmp_path / "empty")


def test_a_person_is_told_in_words():
    assert unlike(None) == unlike(Within(0.5, 0.5, ())) == ""
    assert unlike(Within(0.001, 0.5, ("image",))).startswith("the image is unlike what I was trained on (less than")
    both = unlike(Within(0.03, 0.04, ("image", "question")))
    assert both.startswith("the image and the question are unlike")
    assert "only 3 %" in both


def test_what_is_not_known_is_not_said(tiny_run, tmp_path):
    plain = shutil.copytree(tiny_run, tmp_path / "run", ignore=shutil.ignore_patterns("ood.*", "calibration.json"))
    image = sorted((tiny_run.parent / "phantoms" / "images" / "test").glob("*.png"))[0]
    assert trusted(open_run(plain).ask(image, "Is there a mass?")) == {}
