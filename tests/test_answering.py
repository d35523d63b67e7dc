"""A run answers the same however it is asked: at once or one by one, with and without onnxruntime, known or new."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import TINY_RECIPE

from discern_vqa.answering.decisions import decide_all
from discern_vqa.data.sample import Sample
from discern_vqa.datasets import phantom
from discern_vqa.evaluation.opening import open_run, samples_of
from discern_vqa.evaluation.predict import Predictor
from discern_vqa.nn.encoders import engines
from discern_vqa.recipe_samples import Samples
from discern_vqa.run import Run
from discern_vqa.training.train import train

CLOSE = 1e-4
FROZEN = 'image = { kind = "lite", frozen = true, size = 64, pool = 2, weights = "WEIGHTS" }\n'


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, real_weights: Callable[[str], Path]) -> Path:
    """A run with a frozen MobileNetV2, three cached views of each image and two of them at test."""
    folder = tmp_path_factory.mktemp("frozen")
    phantom.draw(folder / "phantoms", images=16, size=64, workers=1)
    lines = TINY_RECIPE.replace("text_length = 16", "text_length = 16\nviews = 3").splitlines(keepends=True)
    frozen = FROZEN.replace("WEIGHTS", str(real_weights("mobilenet_v2_1.0_224")))
    recipe = "".join(frozen if line.startswith("image =") else line for line in lines) + "views_at_test = 2\n"
    (folder / "frozen.toml").write_text(recipe, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        train(folder / "frozen.toml", data=folder / "phantoms", out=folder / "run", quiet=True)
    return folder / "run"


@pytest.fixture(scope="module")
def asked(run: Path) -> list[Sample]:
    """70 questions about images that the run has not learned from."""
    phantom.draw(run.parent / "others", images=40, size=64, workers=1, seed=5)
    samples = Samples(Run.open(run).recipe.data, run.parent / "others", 0).learning[0]
    return samples[:70]


def probabilities(predictor: Predictor, samples: list[Sample], views: int) -> torch.Tensor:
    return decide_all(predictor.model, predictor.batcher, samples, views=views).probabilities


def as_training_sees(predictor: Predictor, samples: list[Sample], views: int) -> torch.Tensor:
    """By the encoder itself, all views of every image at once, each text by itself: nothing is kept."""
    predictor.model.text.once = None
    return decide_all(predictor.model, predictor.run.batcher(predictor.model), samples, views=views).probabilities


@pytest.mark.parametrize("onnx", [True, False])
@pytest.mark.parametrize("views", [1, 2])
def test_answers_are_those_of_the_model_as_it_was_trained(run, asked, views, onnx, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if not onnx:
        monkeypatch.setattr(engines, "is_installed", lambda: False)
    predictor = open_run(run)
    ours = probabilities(predictor, asked, views)
    assert torch.equal(probabilities(predictor, asked, views), ours), "known images and questions"
    theirs = as_training_sees(open_run(run), asked, views)
    assert float((ours - theirs).abs().max()) < CLOSE
    assert torch.equal(ours.argmax(1), theirs.argmax(1))
    if views == 2:
        assert float((probabilities(open_run(run), asked, 1) - ours).abs().max()) > CLOSE, "the second view counts"


def test_an_answer_does_not_depend_on_what_else_is_asked(run, asked):
    whole = open_run(run).answer_judged(asked)
    assert len({answer.text for answer in whole}) > 1
    for size in (1, 7, 64):
        predictor, parts = open_run(run), []
        for start in range(0, len(asked), size):
            parts += predictor.answer_judged(asked[start : start + size])
            predictor.forget(asked[start : start + size])
        for alone, together in zip(parts, whole, strict=True):
            assert alone.text == together.text
            assert abs(alone.score - together.score) < 1e-5


def test_the_recipe_says_how_many_views_an_answer_is_averaged_over(run, asked):
    answers = open_run(run).answer(asked)
    wanted = probabilities(open_run(run), asked, 2).max(1).values.tolist()
    assert [answer.score for answer in answers] == pytest.approx(wanted, abs=1e-5)


def test_baselines_on_the_features_of_a_run_learn_from_every_view(run):
    from discern_vqa.evaluation.baseline_rows import _learning_batcher

    predictor = open_run(run)
    batcher = _learning_batcher(predictor.run, predictor.model)
    sample = samples_of(predictor.run).learning[0][:1]
    seen = {float(batcher.batch(sample, torch.Generator().manual_seed(seed)).inputs.image.sum()) for seed in range(20)}
    assert len(seen) == 3
