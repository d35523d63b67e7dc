"""Runs with a prior: what they keep, how they answer, and that they go on as they were."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from _tiny import question
from conftest import TINY_RECIPE
from safetensors.torch import load_file

from discern_vqa.data.prior.source import PriorSource
from discern_vqa.datasets import phantom
from discern_vqa.evaluation.evaluate import evaluate
from discern_vqa.evaluation.opening import open_run
from discern_vqa.nn.encoders import EncoderConfig, text_encoder
from discern_vqa.paths import find_local_weights
from discern_vqa.recipe_samples import Samples
from discern_vqa.run import PRIOR, Run
from discern_vqa.scoring.predictions import read
from discern_vqa.training.train import train

LITE = """image = { kind = "lite", frozen = true, size = 64, weights = "IMAGE" }
text = { kind = "lite", frozen = true, train_last = 1, weights = "TEXT" }
"""


def minilm(real_weights) -> Path:
    """The folder of the text encoder's package, where it is installed, or of the weights."""
    return find_local_weights("all-minilm-l6-v2") or real_weights("all-minilm-l6-v2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A few phantoms."""
    made = tmp_path_factory.mktemp("prior")
    phantom.draw(made / "phantoms", images=24, size=64, workers=1)
    return made


@pytest.fixture(scope="module")
def run(folder: Path, real_weights) -> Path:
    """A model on frozen encoders with wording and cases."""
    image, text = real_weights("mobilenet_v2_1.0_224"), minilm(real_weights)
    lines = TINY_RECIPE.splitlines(keepends=True)
    recipe = "".join(line for line in lines if not line.startswith(("image =", "text =")))
    recipe = recipe.replace(
        "[objective]",
        LITE.replace("IMAGE", str(image)).replace("TEXT", str(text))
        + "\n[prior]\nwording = true\ncases = true\nshare = 0.5\n\n[objective]",
    )
    (folder / "cases.toml").write_text(recipe, encoding="utf-8")
    train(folder / "cases.toml", data=folder / "phantoms", out=folder / "run", quiet=True)
    return folder / "run"


def test_a_run_keeps_its_prior_and_neither_texts_nor_pictures_in_it(run: Path) -> None:
    kept = load_file(run / PRIOR)
    assert {"clues", "reach", "cases.question", "cases.answer"} <= kept.keys()
    assert any(name.startswith("sentence.") for name in kept), "the last layers of the text encoder, as they came"
    assert kept["cases.question"].shape[0] == len(kept["cases.answer"])
    assert all(tensor.is_floating_point() or name in ("cases.which", "cases.answer") for name, tensor in kept.items())


def test_an_opened_run_knows_beforehand_what_the_training_knew(run: Path) -> None:
    predictor = open_run(run)
    samples, _ = Samples(predictor.run.recipe.data, predictor.run.root, 0).learning
    asked = [sample for sample in samples if not sample.is_caption][:6]
    inputs = predictor.batcher.inputs(asked)
    assert inputs.prior is not None
    # Asked as anybody's question a training question is its own nearest case; learned from, it is answered without.
    predictor.run.learn_prior(predictor.batcher, samples)
    own = predictor.batcher.batch(asked, torch.Generator().manual_seed(0)).inputs.prior
    assert own is not None
    gold = torch.tensor([predictor.run.vocabulary.index(sample.answer) for sample in asked])[:, None]
    assert (inputs.prior.log_p.gather(1, gold) > own.log_p.gather(1, gold)).float().mean() > 0.5
    alone = predictor.batcher.inputs(asked[:1]).prior
    assert alone is not None
    torch.testing.assert_close(alone.log_p, inputs.prior.log_p[:1], rtol=1e-3, atol=1e-3)


def test_of_several_processes_one_fits_the_prior_and_the_others_read_it(run: Path, tmp_path, monkeypatch) -> None:
    opened = Run.open(run)
    model = opened.build_model()
    waiting = replace(opened, folder=tmp_path)
    batcher = waiting.batcher(model)  # made before the first process has written
    assert batcher.prior is not None
    assert batcher.prior.prior is None
    shutil.copy(run / PRIOR, tmp_path / PRIOR)
    monkeypatch.setattr("discern_vqa.data.prior.source.fit_prior", lambda *_: pytest.fail("fitted again"))
    samples, _ = Samples(opened.recipe.data, opened.root, 0).learning
    waiting.learn_prior(batcher, samples)
    assert batcher.prior.training_scores(samples[:4]).abs().sum() > 0


def test_nothing_gold_is_known_beforehand(run: Path) -> None:
    predictor = open_run(run)
    samples, _ = Samples(predictor.run.recipe.data, predictor.run.root, 0).learning
    asked = [sample for sample in samples if not sample.is_caption][:6]
    lied = [replace(sample, answer="something else", answer_type="open", organ="elsewhere") for sample in asked]
    assert torch.equal(predictor.batcher.inputs(asked).prior.log_p, predictor.batcher.inputs(lied).prior.log_p)


def test_answers_are_the_mixture_of_prior_and_network(run: Path) -> None:
    predictor = open_run(run)
    samples, _ = Samples(predictor.run.recipe.data, predictor.run.root, 0).learning
    inputs = predictor.batcher.inputs(samples[:4])
    with torch.inference_mode():
        decided = predictor.model.decide(inputs).scores.softmax(-1)
        scores = predictor.model.output_answer(predictor.model(inputs).h_ans)
    expected = 0.5 * (scores + inputs.prior.log_p).softmax(-1) + 0.5 * inputs.prior.log_p.exp()
    torch.testing.assert_close(decided, expected, rtol=1e-4, atol=1e-5)


def test_the_prior_alone_stands_beside_the_model(run: Path) -> None:
    scores = evaluate(run, split="test", baselines=False)
    beside = scores["baselines"]["prior_alone"]
    assert beside["overall"]["n"] == scores["overall"]["n"]
    assert json.loads((run / "scores.test.json").read_text())["baselines"].keys() == {"prior_alone"}
    assert len(read(run / "baselines" / "prior_alone.test.jsonl")) == scores["n"]
    card = (run / "README.md").read_text(encoding="utf-8")
    assert "- prior: wording and cases, share 0.5" in card
    assert "holds vectors of all training questions" in card


def test_wording_needs_no_frozen_encoder(folder: Path) -> None:
    text = TINY_RECIPE.replace("[objective]", "[prior]\nwording = true\n\n[objective]")
    (folder / "wording.toml").write_text(text, encoding="utf-8")
    made = train(folder / "wording.toml", data=folder / "phantoms", out=folder / "wording", quiet=True)
    assert not any(name.startswith(("cases.", "sentence.")) for name in load_file(made.folder / PRIOR))
    assert open_run(made.folder).batcher.prior is not None


def test_wording_that_is_off_is_not_heard() -> None:
    heard, deaf = PriorSource(["yes", "no", "left"]), PriorSource(["yes", "no", "left"], wording=False)
    samples = [question(n, f"i{n}", "is there a mass", ("yes", "no")[n % 2]) for n in range(20)]
    samples += [question(20 + n, f"j{n}", "where is it", "left", answer_type="open") for n in range(20)]
    answers = torch.tensor([("yes", "no", "left").index(sample.answer) for sample in samples])
    for source in (heard, deaf):
        source.learn(samples, answers, "image", lambda some: None)
    asked = ["is there an effusion", "where is the effusion"]
    one, two = heard.scores_for(asked, None), deaf.scores_for(asked, None)
    assert one[0, 2] < one[1, 2]
    assert torch.equal(two[0], two[1]), "how often an answer was given is all that is left"


def test_training_the_last_layers_does_not_move_the_cases(real_weights) -> None:
    folder = minilm(real_weights)
    encoder = text_encoder(EncoderConfig(kind="lite", frozen=True, train_last=2), 16, 30_522, 12, folder).eval()
    source = PriorSource(["yes", "no"])
    source.use_encoders(encoder, lambda pixels: pixels)
    states, keep = torch.randn(2, 12, 384), torch.ones(2, 12, dtype=torch.bool)
    before = encoder.sentence(states, keep, source._layers)
    with torch.no_grad():
        for parameter in encoder.upper.parameters():
            parameter.add_(0.1)
    assert torch.equal(encoder.sentence(states, keep, source._layers), before)
    assert not torch.allclose(encoder.sentence(states, keep, encoder.upper), before)
