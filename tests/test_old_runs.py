"""Runs that version 0.1.0 left behind still open, answer as they did then, and are reported.

`runs_of_0_1_0/` holds three trainings on 160 phantoms by that version (CMDPI with a prior, CMI-MTL, the baseline
lookup), and what they answered to questions about two images that the test computes.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from discern_vqa.evaluation.opening import open_run
from discern_vqa.report.page import write_report

FOLDER = Path(__file__).with_name("runs_of_0_1_0")
EXPECTED = json.loads((FOLDER / "expected.json").read_text(encoding="utf-8"))
SIDE = 48


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> dict[str, Path]:
    """Two grey images that follow from integers alone, so that they are the same on every machine."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    made = {
        "ramp": (SIDE * rows + columns) * 7 % 256,
        "rings": ((rows - 24) ** 2 + (columns - 20) ** 2) // 3 % 256,
    }
    folder = tmp_path_factory.mktemp("images")
    for name, values in made.items():
        Image.fromarray(values.astype(np.uint8)).save(folder / f"{name}.png")
    return {name: folder / f"{name}.png" for name in made}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_run_of_the_first_version_answers_as_it_did(name, images):
    predictor = open_run(FOLDER / name)
    assert list(predictor.modes) == EXPECTED[name]["modes"]
    for image, question, text, score, confidence, outside in EXPECTED[name]["answers"]:
        answer = predictor.ask(images[image], question)
        assert answer.text == text
        assert answer.score == pytest.approx(score, abs=2e-4)
        assert (answer.judged and answer.judged.confidence) == pytest.approx(confidence, abs=2e-4)
        assert (list(answer.within.outside) if answer.within else None) == outside


def test_an_evaluation_of_the_first_version_is_reported(tmp_path):
    run = shutil.copytree(FOLDER / "cmdpi", tmp_path / "run")
    page = write_report(run, tmp_path / "report").read_text(encoding="utf-8")
    scores = json.loads((run / "scores.test.json").read_text(encoding="utf-8"))
    assert f"{100 * scores['overall']['accuracy']:.1f}" in page
    assert "question_only" in page
