"""What a Python program gets from `import discern_vqa`: the same answers, vectors, maps and figures as the commands."""

import json
import shutil
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import discern_vqa
from discern_vqa import cli
from discern_vqa.data import answering_sources
from discern_vqa.datasets import phantom
from discern_vqa.errors import ConfigError, DataError, DiscernError, ImageError, RunError
from discern_vqa.evaluation import many_images
from discern_vqa.evaluation.explain_scores import score
from discern_vqa.imaging.images import load_image
from discern_vqa.training.train import train

ROOT = Path(__file__).parents[1]
QUESTIONS = ("Is there a mass?", "Which organ is shown?", "Is the heart enlarged?")
PLANTED = """
import hashlib, json, pathlib

KNOWN = json.loads(pathlib.Path(__file__).with_suffix(".json").read_text())
BATCHES = []

def answer(pairs):
    BATCHES.append(len(pairs))
    assert {image.mode for image, _ in pairs} == {"RGB"}
    keys = [hashlib.sha256(image.tobytes() + question.encode()).hexdigest() for image, question in pairs]
    return [KNOWN.get(key, "wrong") for key in keys]

def sure(pairs):
    return [(text, 0.0 if text == "wrong" else 1.0) for text in answer(pairs)]
"""


@pytest.fixture(scope="module")
def images(tiny_run: Path) -> list[Path]:
    return sorted((tiny_run.parent / "phantoms").rglob("*.png"))[:9]


@pytest.fixture(scope="module")
def model(tiny_run: Path) -> discern_vqa.OpenRun:
    return discern_vqa.load(tiny_run)


def test_many_questions_are_answered_as_one_by_one_and_each_image_is_decoded_once(model, images, monkeypatch):
    given: list[Any] = [*images[:6], images[6].read_bytes(), np.asarray(Image.open(images[7])), Image.open(images[8])]
    pairs = [(image, question) for question in QUESTIONS for image in given]
    expected = [model.ask(image, question) for image, question in pairs]
    fresh = discern_vqa.load(model.run.folder)
    opened = []

    def counted(path: Path, size: int) -> Any:
        opened.append(path)
        return decoded(path, size)

    decoded = answering_sources.decoded
    monkeypatch.setattr(answering_sources, "decoded", counted)
    monkeypatch.setattr(answering_sources, "FEW_BYTES", 0)  # nothing is kept of one batch for the next
    monkeypatch.setattr(many_images, "BATCH", 6)
    answers = fresh.ask_many(iter(pairs))
    assert len(opened) == len(given)
    assert [answer.text for answer in answers] == [answer.text for answer in expected]
    assert [answer.score for answer in answers] == pytest.approx([answer.score for answer in expected], abs=1e-5)
    assert len({round(answer.score, 6) for answer in expected}) > len(images), "answers differ, so that an order shows"
    assert model.ask_many([]) == []


def test_a_generator_may_draw_each_image_into_the_same_memory(model, images):
    arrays = [np.asarray(Image.open(path)) for path in images[:3]]
    expected = [model.ask(array, QUESTIONS[0]).score for array in arrays]
    assert len(set(expected)) == 3

    def drawn(memory: Any) -> Iterator[Any]:
        for array in arrays:
            if isinstance(memory, np.ndarray):
                memory[:] = array
            else:
                memory.paste(Image.fromarray(array))
            yield memory

    for memory in (np.zeros_like(arrays[0]), Image.new("L", arrays[0].shape[::-1])):
        scores = [answer.score for answer in model.ask_many((image, QUESTIONS[0]) for image in drawn(memory))]
        assert scores == pytest.approx(expected, abs=1e-5)
        np.testing.assert_allclose(model.embed(drawn(memory)), model.embed(arrays), atol=1e-5)


def test_a_wrong_image_among_many_is_named_and_a_run_that_is_no_path_is_refused(model, images):
    for wrong in ("gone.png", b"no image", 3):
        with pytest.raises(ImageError, match="image 2: the image"):
            model.embed([images[0], wrong])
    with pytest.raises(RunError, match="the run is given as int"):
        discern_vqa.load(3)  # type: ignore[arg-type]


def test_a_vector_of_an_image_is_the_encoders_own_whatever_the_image_is_given_as(model, images, monkeypatch):
    monkeypatch.setattr(many_images, "BATCH", 3)
    with torch.inference_mode():
        pixels = torch.stack([torch.from_numpy(load_image(path, 64).copy()).permute(2, 0, 1) for path in images[:3]])
        expected = model.model.image(pixels.float() / 255).h.numpy()
    given = [images[2], Image.open(images[0]), images[1].read_bytes(), images[0], np.asarray(Image.open(images[2]))]
    vectors = model.embed(given)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, expected[[2, 0, 1, 0, 2]], atol=1e-4)
    assert model.embed([]).shape[0] == 0


def test_an_explanation_is_a_map_with_what_such_maps_were_measured_to_be_worth(model, images):
    made = model.explain(images[0].read_bytes(), QUESTIONS[0], "grad_cam")
    same = model.explain(images[0], QUESTIONS[0], "grad_cam")
    np.testing.assert_allclose(made.grid, same.grid, atol=1e-6)
    assert made.answer.text == model.ask(images[0], QUESTIONS[0]).text
    assert made.over((80, 64)).shape == (64, 80)
    assert (made.over((64, 64)).min(), made.over((64, 64)).max()) == (0, 1)


def test_the_measured_figures_are_those_of_the_command(tiny_run, images, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    for file in run.glob("explanation_scores.*.json"):
        file.unlink()
    assert discern_vqa.load(run).explain(images[0], QUESTIONS[0], "centre").figures is None
    scores = score(run, names=["centre"], limit=12, curves=2)
    figures = discern_vqa.load(run).explain(images[0], QUESTIONS[0], "centre").figures
    assert figures == {**json.loads(json.dumps(scores["methods"]["centre"])), "chance": scores["chance"]}
    assert figures["pointing"]["n"] > 0


@pytest.mark.parametrize(
    ("pairs", "kind", "told"),
    [
        ([("a.png", "x?"), ("gone.png", "y?")], ImageError, r"pair 1: .*a\.png"),
        ([(b"no image", "x?")], ImageError, r"pair 1: the image \(8 bytes\) is no image"),
        ([(np.zeros((8, 8), np.uint8), "x?"), (np.zeros((8, 8), np.uint8), "")], DataError, "pair 2: the question is"),
        ([(np.zeros((8, 8)), "x?")], ImageError, "pair 1: the image is an array of float64"),
        (["a.png"], DataError, r"pair 1 is str 'a\.png'; expected \(image, question\)"),
        ("a.png", DataError, "str is given; expected a list"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_pair_is_said_with_its_number(model, pairs, kind, told):
    with pytest.raises(kind, match=told) as caught:
        model.ask_many(pairs)
    assert caught.value.hint or kind is ImageError
    assert "/proc/" not in str(caught.value) + caught.value.hint


def test_a_model_without_an_encoder_of_its_own_has_no_vectors(tiny_run, model, images, tmp_path):
    recipe = ROOT / "recipes" / "baselines" / "question_only.toml"
    train(recipe, data=tiny_run.parent / "phantoms", overrides=["data.dataset=phantom"], out=tmp_path / "b", quiet=True)
    baseline = discern_vqa.load(tmp_path / "b")
    assert len(baseline.ask_many([(images[0], question) for question in QUESTIONS])) == len(QUESTIONS)
    with pytest.raises(ConfigError, match="no image encoder") as caught:
        baseline.embed(images)
    assert "cmdpi" in caught.value.hint
    with pytest.raises(DataError, match="expected a list of images"):
        model.embed(images[0])


@pytest.fixture(scope="module")
def planted(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A module whose functions know every test question about its own image, and nothing about another one."""
    folder = tmp_path_factory.mktemp("planted")
    known = {}
    for sample in phantom.read(tiny_run.parent / "phantoms", "test"):
        with Image.open(sample.path) as image:
            pixels = image.convert("RGB").tobytes()
        known[sha256(pixels + sample.question.encode()).hexdigest()] = sample.answer
    (folder / "planted_model.py").write_text(PLANTED)
    (folder / "planted_model.json").write_text(json.dumps(known))
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))
    sys.modules.pop("planted_model", None)


def test_a_callable_is_judged_as_the_command_judges_it(tiny_run, planted, tmp_path, capsys):
    import planted_model  # type: ignore[import-not-found]

    phantoms, run = tiny_run.parent / "phantoms", tmp_path / "run"
    judged = discern_vqa.evaluate(
        planted_model.answer, "phantom", phantoms, out=run, baselines=False, batch=5, settings=["data.limit=40"]
    )
    assert judged.accuracy == 1
    blind = {name: control["overall"]["accuracy"] for name, control in judged.scores["controls"].items()}
    assert (blind["blank_image"], blind["noise_image"]) == (0, 0)
    assert judged.scores["reliance"]["overall"]["points"] == pytest.approx(1 - max(blind.values()))
    assert {row.prediction == row.gold for row in judged.answers} == {True}
    assert len(judged.answers) == judged.scores["overall"]["n"] == 40
    assert max(planted_model.BATCHES) == 5
    assert "blank_image" in str(judged)
    assert judged.report().is_file()

    said = tmp_path / "command"
    command = f"evaluate {said} --model outside/function --set model.function=planted_model:answer --data {phantoms}"
    options = "--set data.dataset=phantom --set model.batch=5 --set data.limit=40 --no-baselines"
    assert cli.main([*command.split(), *options.split()]) == 0, capsys.readouterr().err
    ours, theirs = (json.loads((folder / "scores.test.json").read_text()) for folder in (run, said))
    seconds = [scores["outside"].pop("seconds", None) for scores in (ours, theirs)]
    assert (ours, len(seconds)) == (theirs, 2)

    asked = len(planted_model.BATCHES)
    with pytest.raises(ConfigError, match="already holds a run") as caught:
        discern_vqa.evaluate(planted_model.answer, "phantom", phantoms, out=said)
    assert "resume=True" in caught.value.hint
    again = discern_vqa.evaluate(
        planted_model.answer, "phantom", phantoms, out=said, resume=True, baselines=False, batch=5,
        settings=["data.limit=40"],
    )  # fmt: skip
    assert (again.accuracy, len(planted_model.BATCHES)) == (1, asked), "what was answered is not asked again"


def test_confidences_are_taken_and_a_failing_callable_is_named(tiny_run, planted):
    import planted_model

    phantoms = tiny_run.parent / "phantoms"
    few = ["data.limit=12"]
    judged = discern_vqa.evaluate(
        planted_model.sure, "phantom", phantoms, confidence=True, baselines=False, settings=few
    )
    assert {row.score for row in judged.answers} == {1.0}
    numbers = discern_vqa.evaluate(
        lambda pairs: [("yes", np.float32(0.25))] * len(pairs), "phantom", phantoms, confidence=True, baselines=False,
        settings=few,
    )  # fmt: skip
    assert {row.score for row in numbers.answers} == {0.25}
    assert judged.folder is None
    with pytest.raises(ConfigError, match="needs the run folder"):
        judged.report()

    class Broken:
        def __call__(self, pairs: list[Any]) -> list[str]:
            raise ZeroDivisionError("nothing to divide by")

    with pytest.raises(RunError, match=r"Broken failed on .*ZeroDivisionError: nothing to divide by .*test_python_api"):
        discern_vqa.evaluate(Broken(), "phantom", phantoms, settings=few)
    with pytest.raises(RunError, match="returned 1 answers to"):
        discern_vqa.evaluate(lambda pairs: ["yes"], "phantom", phantoms, settings=few)
    with pytest.raises(ConfigError, match="cannot be called") as caught:
        discern_vqa.evaluate(discern_vqa.load(tiny_run), "phantom", phantoms)  # type: ignore[arg-type]
    assert "ask_many" in caught.value.hint
    with pytest.raises(ConfigError, match="no 'phantm' among the datasets"):
        discern_vqa.evaluate(planted_model.answer, "phantm", phantoms)
    with pytest.raises(ConfigError, match="settings is given as str; expected a list of texts"):
        discern_vqa.evaluate(planted_model.answer, "phantom", phantoms, settings="data.limit=12")
    with pytest.raises(ConfigError, match="data is given as int"):
        discern_vqa.evaluate(planted_model.answer, 3)  # type: ignore[arg-type]
    with pytest.raises(DiscernError, match="is given too"):
        discern_vqa.evaluate(planted_model.answer, "data.toml", phantoms)
