"""Out-of-fold predictions: a run that learned from everything is calibrated on what it did not learn, fold by fold."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY_RECIPE

from discern_vqa import cli
from discern_vqa.config import DataConfig, check_recipe
from discern_vqa.data.folds import without_fold
from discern_vqa.data.sample import Sample
from discern_vqa.datasets import phantom
from discern_vqa.errors import ConfigError, DataError, RunError
from discern_vqa.evaluation.calibrate import calibrate_run
from discern_vqa.evaluation.opening import open_run, samples_of
from discern_vqa.evaluation.out_of_fold import FILE, FOLDER, predict_out_of_fold, trained_folds
from discern_vqa.recipe_samples import Samples
from discern_vqa.run import CONFIG, Run
from discern_vqa.scoring import predictions
from discern_vqa.training.train import train
from discern_vqa.trust import ood, promises

COUNTS = {"pretrain": 2, "train": 32, "validation": 6, "test": 8}
LOOKUP = '[data]\ndataset = "phantom"\nrefit = "train+validation"\n[model]\nname = "baselines.lookup"\n[run]\n'


def sample(number: int, image: str, **more) -> Sample:
    return Sample(
        id=f"q{number:03}", split="train", image=image, path=Path(image), question=f"{number}?", answer="yes", **more
    )


# -- the folds ---------------------------------------------------------------------------------------------------------


def test_the_folds_are_a_partition_by_image_and_patient():
    samples = [sample(number, f"{number // 3}.png", patient=f"p{number // 6}") for number in range(60)]
    asked = []
    for fold in range(4):
        rest, left_out = without_fold(samples, 4, fold)
        assert not {one.image for one in rest} & {one.image for one in left_out}
        assert not {one.patient for one in rest} & {one.patient for one in left_out}
        assert len(rest) + len(left_out) == 60
        assert 12 <= len(left_out) <= 18
        assert without_fold(samples[::-1], 4, fold)[0] == rest[::-1]
        asked += left_out
    assert sorted(one.id for one in asked) == [one.id for one in samples]
    assert {one.split for one in asked} == {"validation"}


def test_captions_and_rephrasings_of_what_is_left_out_are_neither_learned_nor_asked():
    samples = [sample(number, f"{number // 2}.png") for number in range(8)]
    samples += [
        sample(8, "0.png", phrase_type="frame"),
        Sample(id="c", split="train", image="0.png", path=Path("0"), caption="x"),
    ]
    (fold,) = [fold for fold in range(2) if any(one.image == "0.png" for one in without_fold(samples, 2, fold)[1])]
    rest, left_out = without_fold(samples, 2, fold)
    assert {"q008", "c"}.isdisjoint({one.id for one in [*rest, *left_out]})


def test_by_question_a_paraphrase_goes_with_its_question_and_the_image_stays():
    samples = [
        sample(number, "a.png", phrase_type="freeform", extra={"linked": f"l{number // 2}"}) for number in range(8)
    ]
    rest, left_out = without_fold(samples, 4, 1, by="question")
    assert len(left_out) == 2
    assert len({one.extra["linked"] for one in left_out}) == 1
    assert len(rest) == 6


def test_more_folds_than_images_are_refused():
    samples = [sample(number, f"{number}.png", patient=f"p{number // 2}") for number in range(6)]
    with pytest.raises(DataError, match="3 independent images") as caught:
        without_fold(samples, 4, 0)
    assert "3 folds" in caught.value.hint


@pytest.mark.parametrize("wrong", [[5, 5], [-1, 5], [0, 1]])
def test_a_fold_that_is_none_is_a_mistake_of_the_recipe(wrong):
    data = {"dataset": "phantom", "out_of_fold": wrong}
    with pytest.raises(ConfigError, match=r"out_of_fold = .*expected \[i, k\]"):
        check_recipe({"data": data, "model": {"name": "baselines.majority"}, "run": {}}, "mine.toml")


# -- a run -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("folds")
    phantom.draw(folder / "phantoms", counts=COUNTS, size=64, workers=1, regions=["chest"])
    return folder / "phantoms"


@pytest.fixture(scope="module")
def lookup(drawn) -> Path:
    """A baseline that has learned from train and validation, and is calibrated out of fold."""
    recipe, run = drawn.parent / "lookup.toml", drawn.parent / "lookup"
    recipe.write_text(LOOKUP, encoding="utf-8")
    train(recipe, data=drawn, out=run, quiet=True)
    calibrate_run(run, folds=3)
    return run


def test_every_question_that_was_learned_is_answered_by_a_training_that_did_not_see_it(lookup, drawn):
    whole = samples_of(Run.open(lookup)).learning[0]
    rows = predictions.read(lookup / FILE)
    assert sorted(row.id for row in rows) == sorted(one.id for one in whole)
    assert {one.id for one in phantom.read(drawn, "validation")} <= {row.id for row in rows}
    answers = {row.id: row.prediction for row in rows}
    for folder in trained_folds(Run.open(lookup)):
        reading = samples_of(Run.open(folder))
        learned, asked = reading.learning[0], reading.fold()
        assert not {one.image for one in learned} & {one.image for one in asked}
        assert len(learned) + len(asked) == len(whole)
        assert [answer.text for answer in open_run(folder).answer(asked)] == [answers[one.id] for one in asked]


def test_the_calibration_says_what_it_was_fitted_on(lookup, capsys):
    fitted = json.loads((lookup / "calibration.json").read_text())["fitted_on"]
    assert (fitted["what"], fitted["folds"], fitted["file"]) == ("out-of-fold", 3, FILE)
    assert cli.main(["calibrate", str(lookup), "--folds", "3"]) == 0
    told = capsys.readouterr().out
    assert f"calibrated on {fitted['n']} out-of-fold questions" in told
    assert "each was left out of one of 3 trainings" in told


def test_what_was_trained_is_not_trained_again(lookup, monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("trained again")

    monkeypatch.setattr("discern_vqa.evaluation.out_of_fold.train", refuse)
    before = (lookup / FILE).read_text()
    calibrate_run(lookup, folds=3)
    assert (lookup / FILE).read_text() == before
    with pytest.raises(AssertionError, match="trained again"):
        calibrate_run(lookup, folds=2)


def test_answers_of_the_run_itself_would_be_surer(lookup):
    """The point of it: the run knows its training questions, and the trainings without them do not."""
    run = open_run(lookup)
    whole = samples_of(run.run).learning[0]
    learned = np.mean([answer.text == one.answer for answer, one in zip(run.answer(whole), whole, strict=True)])
    unseen = json.loads((lookup / "calibration.json").read_text())["fitted_on"]["accuracy"]
    assert learned > unseen + 0.1


@pytest.mark.slow
def test_the_report_says_how_the_confidence_was_fitted(lookup, drawn):
    assert cli.main(["evaluate", str(lookup), "--no-baselines"]) == 0
    assert cli.main(["report", str(lookup)]) == 0
    page = (lookup / "report" / "report.md").read_text()
    assert "out-of-fold questions, each left out of one of 3 trainings" in page
    assert "in 9 of 10 such calibrations" in page


@pytest.fixture(scope="module")
def network(drawn) -> Path:
    recipe, run = drawn.parent / "tiny.toml", drawn.parent / "network"
    text = TINY_RECIPE.replace("epochs = 1", 'epochs = 1\nselect = "last"')
    recipe.write_text(text.replace('"phantom"', '"phantom"\nrefit = "train+validation"'), encoding="utf-8")
    train(recipe, data=drawn, out=run, quiet=True)
    return run


@pytest.mark.slow
def test_a_network_that_held_nothing_out_is_not_calibrated_and_knows_no_limits(network, capsys, tmp_path):
    run = shutil.copytree(network, tmp_path / "run")
    assert cli.main(["calibrate", str(run)]) == 2
    told = capsys.readouterr().err
    assert "a refit" in told
    assert f"discern calibrate {run} --folds 5" in told
    assert cli.main(["evaluate", str(run), "--no-baselines"]) == 0
    scores = json.loads((run / "scores.test.json").read_text())
    assert "held none out" in scores["calibration"]["missing"]
    assert "its encoders have learned every image" in scores["scope"]["missing"]
    image = next((Run.open(run).root / "images" / "test").glob("*.png"))
    capsys.readouterr()
    assert cli.main(["ask", str(run), str(image), "Is there a mass?"]) == 0
    told = capsys.readouterr().err
    assert (
        f"since the run learned from all of its data, and is no probability: discern calibrate {run} --folds 5" in told
    )
    assert not (run / "calibration.json").exists()
    assert not (run / ood.FIGURES).exists()
    assert cli.main(["report", str(run)]) == 0
    assert "held none out" in (run / "report" / "report.md").read_text()


@pytest.mark.slow
def test_a_network_is_calibrated_fold_by_fold_and_so_are_its_limits(network, capsys, tmp_path):
    run = shutil.copytree(network, tmp_path / "run")
    assert cli.main(["calibrate", str(run), "--folds", "2"]) == 0
    assert "fold 2 of 2" in capsys.readouterr().err
    figures = ood.read_figures(run)
    assert {figures[kind]["how"] for kind in ("image", "question") if kind in figures} == {ood.OUT_OF_FOLD}
    learned = samples_of(Run.open(run)).learning[0]
    assert figures["image"]["held_out"] == len({one.image for one in learned})
    image = sorted((Run.open(run).root / "images" / "test").glob("*.png"))[0]
    capsys.readouterr()
    assert cli.main(["ask", str(run), str(image), "Is there a mass?", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert {"confidence", "abstains"} <= answer.keys()


def test_a_run_that_held_questions_out_needs_no_fold(tmp_path, drawn):
    recipe = tmp_path / "own.toml"
    recipe.write_text(LOOKUP.replace('refit = "train+validation"', "validation_ratio = 0.4\nvalidation_from = 'train'"))
    run = train(recipe, data=drawn, out=tmp_path / "run", quiet=True)
    with pytest.raises(RunError, match="questions out: no fold needs to be trained"):
        predict_out_of_fold(run, 3)


def test_a_run_whose_beginning_has_seen_the_questions_is_refused(network, drawn, tmp_path):
    """It began with weights that learned from all of them, so that no training without a fold is without them."""
    later = tmp_path / "later"
    train(network / "recipe.toml", data=drawn, from_run=network, out=later, quiet=True)
    assert Run.open(later).began_from() == network.resolve()
    with pytest.raises(RunError, match="has learned from the training questions of phantom"):
        predict_out_of_fold(Run.open(later), 2)
    assert not (later / FOLDER).exists()


def test_a_run_that_does_not_say_what_it_began_with_began_with_what_lies_in_it(network, tmp_path):
    run = shutil.copytree(network, tmp_path / "run")
    config = json.loads((run / CONFIG).read_text())
    assert config.pop("from") == ""
    (run / CONFIG).write_text(json.dumps(config))
    assert Run.open(run).began_from() is None
    shutil.copytree(network, run / "before")
    assert Run.open(run).began_from() == run / "before"


def test_a_fold_has_no_validation_part_to_choose_on(drawn):
    choice = DataConfig(dataset="phantom", out_of_fold=(0, 3), validation_ratio=0.0)
    reading = Samples(choice, drawn)
    learned, validation = reading.learning
    assert validation == []
    assert not {one.id for one in learned} & {one.id for one in reading.fold()}
    assert Samples(DataConfig(dataset="phantom"), drawn).fold() == []


@pytest.mark.parametrize("line", ["--folds 1", "--folds 3 --on x.jsonl"])
def test_folds_that_make_no_sense_are_refused(lookup, capsys, line):
    assert cli.main(["calibrate", str(lookup), *line.split()]) == 2
    assert "discern calibrate RUN --folds 5" in capsys.readouterr().err


# -- what a promise takes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("coverage", "n"), [(0.5, 1), (0.8, 4), (0.9, 9), (0.95, 19), (0.99, 99)])
def test_the_least_number_of_questions_is_where_a_threshold_begins_to_exist(coverage, n):
    from discern_vqa.trust.conformal import threshold

    assert promises.questions_for(coverage) == n
    assert threshold(np.linspace(0, 1, n), coverage) is not None
    assert threshold(np.linspace(0, 1, n - 1), coverage) is None
    assert promises.realised(n - 1, coverage) is None


def test_the_range_of_the_coverage_is_that_of_simulated_calibrations():
    rng, n = np.random.default_rng(0), 60
    scores = np.sort(rng.random((20_000, n)), axis=1)
    realised = 1 - scores[:, int((n + 1) * 0.1 + 1e-9) - 1]  # of uniform scores, those above the threshold
    low, high = promises.realised(n, 0.9)
    assert np.quantile(realised, [0.05, 0.95]) == pytest.approx([low, high], abs=0.005)
