"""Somebody else's model as a run: what is planted into its answers is what the figures say, and every request that an
evaluation makes is planned, kept and accounted for."""

import json
import shutil
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from _outside import Spoken, served_by, speaking, write_tiny_model
from PIL import Image

from discern_vqa import cli
from discern_vqa.asking.images import Shown
from discern_vqa.config import read_recipe
from discern_vqa.data.laterality import mirrored
from discern_vqa.datasets import jsonl
from discern_vqa.errors import ConfigError, RunError
from discern_vqa.evaluation.calibrate import calibrate_run
from discern_vqa.evaluation.evaluate_outside import evaluate_outside, plan_outside
from discern_vqa.evaluation.opening import open_run
from discern_vqa.report.page import write_report
from discern_vqa.scoring import predictions
from discern_vqa.training.train import train

RECIPE = Path(__file__).resolve().parents[1] / "recipes" / "outside" / "endpoint.toml"
PROMPT = "{question}"
IMAGES, EACH = 20, 5
LOOKS, BLIND, SIDES = 50, 20, 12
"""Of the 100 test questions, so many are answered right only about their own image, and so many about any; of the 20
about a side, the answer to so many follows the mirrored image."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """100 test questions about 20 images, of two organs, and 60 training and 60 validation ones: no two are alike."""
    folder, rng = tmp_path_factory.mktemp("own"), np.random.default_rng(0)
    rows = []
    for number in range(IMAGES + 24):
        split = "test" if number < IMAGES else "train" if number % 2 else "validation"
        name = f"{split}_{number}.png"
        Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)).save(folder / name)
        for place in range(EACH):
            is_side = place == EACH - 1
            rows.append({
                "id": f"{number}-{place}", "split": split, "image": name,
                "organ": "head" if number % 4 < 2 else "chest",
                "question": f"Question {number} {place}: {'where is it' if is_side else 'what is it'}?",
                "answer": ("left" if number % 2 else "right") if is_side else f"finding {number} {place}",
                "answer_type": "open",
            })  # fmt: skip
    (folder / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def key(sample: Any) -> str:
    return sha256(Shown(sample.path, sample.image).png() + sample.question.encode()).hexdigest()


class Planted:
    """Answers that are known for every image that a control shows."""

    def __init__(self, data: Path) -> None:
        test = jsonl.read(data, "test")
        ordered = sorted(test, key=lambda sample: sample.id.endswith(f"-{EACH - 1}"))  # those about a side come last
        self.about_own = {key(sample): sample.answer for sample in ordered[:LOOKS]}
        self.about_any = {sample.question: sample.answer for sample in ordered[LOOKS : LOOKS + BLIND]}
        sides = [sample for sample in test if sample.answer in ("left", "right")]
        self.about_own |= {key(sample): sample.answer for sample in sides}
        turned = [copy for sample in sides[:SIDES] if (copy := mirrored(sample)) is not None]
        self.about_own |= {key(sample): sample.answer for sample in turned}
        self.right = LOOKS + BLIND + len(sides)

    def __call__(self, image: bytes, words: str) -> str:
        question = words.partition("\n")[0]
        return self.about_own.get(sha256(image + question.encode()).hexdigest()) or self.about_any.get(
            question, "wrong"
        )


def settings(url: str, *more: str) -> list[str]:
    return [f"model.endpoint={url}", "model.model=tiny", "data.dataset=jsonl", f"model.prompt={PROMPT}",
            'run.baselines=["majority"]', *more]  # fmt: skip


@pytest.fixture(scope="module")
def judged(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, Any], Spoken]]:
    """A run that was planned, interrupted twice by a server that went down, and finished."""
    run = tmp_path_factory.mktemp("runs") / "planted"
    with speaking(Planted(data)) as spoken:
        how: dict[str, Any] = {"overrides": settings(spoken.url, "model.tries=1"), "data": data, "repeats": 2}
        cost = plan_outside(run, RECIPE, **how)
        assert not spoken.digests, "a plan sends nothing"
        for limit in (40, 150):
            spoken.down_after = limit
            with pytest.raises(RunError, match="out of memory"):
                evaluate_outside(run, RECIPE, **how)
        spoken.down_after = 10**9
        scores = evaluate_outside(run, RECIPE, **how)
        assert cost.requests == cost.waiting == spoken.answered.total(), "what was planned is what was answered"
        assert len(predictions.read(run / "again" / "repeat_2.test.jsonl")) == 100
        yield run, scores, spoken


def test_controls_say_exactly_what_was_planted(judged: tuple[Path, dict[str, Any], Spoken], data: Path) -> None:
    _, scores, _ = judged
    right = Planted(data).right
    assert right == 90
    assert scores["overall"]["correct"] == right
    assert {name: one["overall"]["correct"] for name, one in scores["controls"].items()} == {
        "blank_image": BLIND, "noise_image": BLIND, "shuffled_image": BLIND, "wrong_organ_image": BLIND
    }  # fmt: skip
    assert scores["reliance"]["overall"]["points"] == pytest.approx((right - BLIND) / 100)
    assert scores["reliance"]["overall"]["share"] == pytest.approx((right - BLIND) / right)
    sides = scores["mirror"]["answer_names_side"]
    assert (sides["n"], sides["plain"]["correct"], sides["mirrored"]["correct"]) == (20, 20, SIDES)
    assert (sides["both"]["correct"], sides["in_table"]) == (SIDES, 20), "it can say what it wants"
    assert sides["followed"]["correct"] == SIDES


def test_a_run_has_all_that_a_trained_one_has(judged: tuple[Path, dict[str, Any], Spoken]) -> None:
    run, scores, _ = judged
    assert set(scores["baselines"]) == {"majority"}
    assert scores["paired"]["majority"]["verdict"] == "better"
    assert "vocabulary" not in scores
    assert scores["again"]["repeat"]["same"]["accuracy"] == 1.0
    assert scores["calibration"]["missing"] == "its answers have no score"
    assert scores["confidence"] is None
    page = write_report(run, run / "report").read_text()
    assert "The protocol decides" in page
    assert "what it had learned from before is not known here" in page
    assert "it may have learned" not in page, "the questions are one's own"
    assert "It was not trained here" in (run / "README.md").read_text()
    rows = predictions.read(run / "predictions.test.jsonl")
    with pytest.raises(RunError, match="answers without a score") as caught:
        calibrate_run(run)
    assert "model.confidence=verbal" in caught.value.hint
    assert {row.score for row in rows} == {None}
    assert {row.mode for row in rows} == {"generate"}


def test_every_request_is_answered_once_and_other_commands_ask_nothing_twice(
    judged: tuple[Path, dict[str, Any], Spoken], data: Path
) -> None:
    run, scores, spoken = judged
    lines = [json.loads(line) for line in (run / "outside" / "replies.jsonl").read_text().splitlines()]
    kept = [line["digest"] for line in lines if "text" in line]
    assert len(kept) == len(set(kept)) == spoken.answered.total()
    assert max(spoken.answered.values()) == 2, "only what is asked again was asked twice"
    before = len(spoken.digests)
    again = evaluate_outside(run, data=data, repeats=2, baselines=False)
    assert again["overall"] == scores["overall"]
    predictor = open_run(run)
    sample = jsonl.read(data, "test")[0]
    assert predictor.answer([sample])[0].text == sample.answer
    assert len(spoken.digests) == before


def test_a_run_of_another_model_or_prompt_is_refused_and_one_that_moved_goes_on(
    judged: tuple[Path, dict[str, Any], Spoken], data: Path, tmp_path: Path
) -> None:
    run, scores, spoken = judged
    for change, named in (("model.model=other", "model.model"), ("model.temperature=1", "model.temperature")):
        with pytest.raises(RunError, match=f"asks it otherwise: {named}$"):
            evaluate_outside(run, RECIPE, overrides=settings(spoken.url, change), data=data)
    moved = Path(shutil.copytree(run, tmp_path / "moved"))
    with speaking(Planted(data)) as elsewhere:
        changed = settings(elsewhere.url, "model.concurrency=2")
        found = evaluate_outside(moved, RECIPE, overrides=changed, data=data, baselines=False)
        assert found["overall"] == scores["overall"]
        assert not elsewhere.digests
        assert json.loads((moved / "config.json").read_text())["model"]["endpoint"] == elsewhere.url
    with pytest.raises(ConfigError, match="which is not trained") as caught:
        train(RECIPE, data=data, out=tmp_path / "trained", overrides=settings(spoken.url), quiet=True)
    assert caught.value.hint == f"discern evaluate {tmp_path / 'trained'} --model {RECIPE}"


def test_ones_own_images_go_to_no_other_machine(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["evaluate", str(tmp_path / "run"), "--model", str(RECIPE), "--data", str(data)]
    words += [word for one in settings("http://192.0.2.1/v1") for word in ("--set", one)]
    assert cli.main(words) == 2
    told = capsys.readouterr().err
    assert "WARNING: images and questions are sent to 192.0.2.1, which is not this machine" in told
    assert "error: images of your own (jsonl) would be sent to 192.0.2.1" in told
    with pytest.raises(ConfigError, match="your image would be sent to"):
        open_run(tmp_path / "run").ask(data / "test_0.png", "What is it?")
    assert not (tmp_path / "run" / "outside").exists()


def test_a_stated_confidence_is_calibrated_on_held_out_questions(data: Path, tmp_path: Path) -> None:
    planted = Planted(data)
    held = {sample.question: sample.answer for sample in jsonl.read(data, "validation")}

    def answer(image: bytes, words: str) -> str:
        question, _, asked = words.partition("\n")
        assert "number from 0 to 100" in asked
        if question in held:  # right where it says 90, wrong where it says 20
            return f"{held[question]}\nConfidence: 90" if "0:" in question else "wrong\nConfidence: 20"
        text = planted(image, words)
        return text if question.startswith("Question 0 ") else f"{text}\nConfidence: {20 if text == 'wrong' else 90}"

    with speaking(answer) as spoken:
        run = tmp_path / "run"
        scores = evaluate_outside(
            run, RECIPE, overrides=settings(spoken.url, "model.confidence=verbal"), data=data, baselines=False
        )
        rows = predictions.read(run / "predictions.test.jsonl")
        assert {row.score for row in rows} == {0.2, 0.5, 0.9}
        assert scores["outside"]["no_confidence"] == EACH
        assert scores["calibration"]["fitted_on"]["n"] == 60
        assert scores["calibration"]["abstention"]["coverage"] < 1
        judged = open_run(run).answer_judged([jsonl.read(data, "test")[EACH]])[0]
        assert judged.judged is not None
        assert judged.judged.confidence != 0.9
        before = len(spoken.digests)
        calibrate_run(run)
        assert len(spoken.digests) == before
        with pytest.raises(RunError, match="never trained") as refused:
            calibrate_run(run, folds=5)
        assert "--folds" not in refused.value.hint


def test_an_answer_of_several_is_the_commonest_and_the_others_are_its_alternatives(data: Path, tmp_path: Path) -> None:
    turns: dict[str, int] = {}

    def answer(image: bytes, words: str) -> str:
        turn = turns[words] = turns.get(words, 0) + 1
        return ["Left.", "left", "right", "LEFT", "up"][(turn - 1) % 5]

    with speaking(answer) as spoken:
        changes = settings(spoken.url, "model.confidence=samples", "model.temperature=0.7", "data.limit=2")
        scores = evaluate_outside(tmp_path / "run", RECIPE, overrides=changes, data=data, baselines=False)
        row = predictions.read(tmp_path / "run" / "predictions.test.jsonl")[0]
        assert (row.prediction.lower(), row.score, row.others) == ("left", 0.6, 0)
        assert [(text.lower(), score) for text, score in row.alternatives] == [
            ("left", 0.6),
            ("right", 0.2),
            ("up", 0.2),
        ]
        assert scores["outside"]["requests"] == 10


FUNCTION = """
def answer(batch):
    return [f"{image.width}x{image.height} {image.mode}" if "what" in question else "left" for image, question in batch]

def few(batch):
    return []

def broken(batch):
    return [1 / 0]
"""


def test_a_function_of_ones_own_is_asked(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "planted_answers.py").write_text(FUNCTION)
    monkeypatch.chdir(tmp_path)
    changes = ["data.dataset=jsonl", "data.limit=10"]

    def asked(name: str) -> dict[str, Any]:
        recipe = RECIPE.with_name("function.toml")
        changed = [*changes, f"model.function={name}"]
        return evaluate_outside(tmp_path / name, recipe, overrides=changed, data=data, baselines=False)

    scores = asked("planted_answers:answer")
    assert scores["overall"]["correct"] == 1, "one of two answers to where is left"
    rows = predictions.read(tmp_path / "planted_answers:answer" / "predictions.test.jsonl")
    assert rows[0].prediction == "16x12 RGB"
    for name, error in (
        ("planted_answers:few", "returned 0 answers to 8 questions"),
        ("planted_answers:broken", r"ZeroDivisionError: division by zero \(.*planted_answers.py:9\)"),
    ):
        with pytest.raises(RunError, match=error):
            asked(name)
    for name, error in (("planted_answers:none", "has no function 'none'"), ("planted_answers", "expected module:")):
        with pytest.raises(ConfigError, match=error):
            asked(name)


def test_a_folder_of_transformers_answers_as_the_server_of_it_does(
    tiny_run: Path, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    folder = write_tiny_model(tmp_path / "weights")
    changes = ["data.dataset=phantom", "data.limit=8", "model.max_tokens=4"]
    phantoms = tiny_run.parent / "phantoms"
    recipe = RECIPE.with_name("folder.toml")
    here = [*changes, f"model.folder={folder}"]
    evaluate_outside(tmp_path / "here", recipe, overrides=here, data=phantoms, baselines=False)
    with speaking(served_by(folder)) as spoken:
        there = [*changes, f"model.endpoint={spoken.url}", "model.model=tiny"]
        scores = evaluate_outside(tmp_path / "there", RECIPE, overrides=there, data=phantoms, baselines=False)
    for file in ("predictions.test.jsonl", "controls/noise_image.test.jsonl", "controls/blank_image.test.jsonl"):
        mine, theirs = (predictions.read(tmp_path / run / file) for run in ("here", "there"))
        assert [row.prediction for row in mine] == [row.prediction for row in theirs]
    answers = {row.prediction for row in predictions.read(tmp_path / "here" / "predictions.test.jsonl")}
    assert len(answers) > 1
    assert "the questions are public" not in str(scores), "phantoms are drawn"
    with pytest.raises(ConfigError, match="holds no config.json"):
        evaluate_outside(tmp_path / "none", recipe, overrides=[*changes, f"model.folder={tmp_path}"], data=phantoms)


def test_the_recipes_differ_in_what_answers_alone() -> None:
    names = {path.stem: read_recipe(path).model.name for path in RECIPE.parent.glob("*.toml")}
    assert names == {name: f"outside.{name}" for name in ("endpoint", "function", "folder")}
