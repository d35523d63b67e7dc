"""The README's quick start is answered: its image is in the demo's set, its question is one that the demo learns.

Where the checkout holds a demo run (`make demo`), that run is asked. Elsewhere the same recipe learns from a smaller
set for one epoch: its answer is worth nothing, but image and question are judged as they are there.
"""

import json
import re
import shlex
from pathlib import Path

import pytest

from discern_vqa import cli
from discern_vqa.config import read_recipe
from discern_vqa.datasets import phantom
from discern_vqa.paths import find_recipe

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
(BLOCK,) = re.findall(r"^```sh quickstart\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
MAKE, ASK = BLOCK.strip().splitlines()
IMAGE, QUESTION = shlex.split(ASK)[3:]
COUNTS = {"train": 80, "validation": 40, "test": 130}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with `demo/run` and `demo/phantom`."""
    if (ROOT / "demo" / "run" / "calibration.json").is_file():
        return ROOT
    folder = tmp_path_factory.mktemp("quick_start")
    recipe, run = find_recipe(Path("cmdpi/demo.toml")), folder / "demo" / "run"
    phantom.draw(folder / "demo" / "phantom", **(read_recipe(recipe).data.draw | {"counts": COUNTS}))
    short = [part for setting in ("run.after=", "run.epochs=1") for part in ("--set", setting)]
    data = ["--data", str(folder / "demo" / "phantom")]
    assert cli.main(["train", str(recipe), *data, "--out", str(run), *short]) == 0
    assert cli.main(["evaluate", str(run), "--no-baselines", "--split", "validation"]) == 0
    return folder


def test_the_commands_are_the_two_of_a_fresh_checkout():
    assert MAKE == "make demo"
    assert shlex.split(ASK)[:3] == [".venv/bin/discern", "ask", "demo/run"]


def test_the_question_is_one_of_the_demos_own_about_that_image(place):
    rows = [row for row in phantom.read(place / "demo" / "phantom", "test") if row.path == place / IMAGE]
    assert {row.question: row.answer for row in rows}[QUESTION] == "yes"


@pytest.mark.slow
def test_the_quick_starts_question_is_answered_and_a_foreign_one_is_not(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    assert cli.main(["ask", "demo/run", IMAGE, QUESTION]) == 0
    answer = capsys.readouterr().out
    assert "unlike what I was trained on" not in answer
    if place == ROOT:
        assert re.match(r"yes  0\.\d\d\n", answer)
    assert cli.main(["ask", "demo/run", IMAGE, "Which vertebra is fractured after the accident?"]) == 0
    assert "the question is unlike what I was trained on" in capsys.readouterr().out


def test_the_readme_shows_what_the_demo_printed():
    (shown,) = re.findall(r"^```\n\$ discern ask (.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
    command, first, *others = shown.splitlines()
    assert shlex.split(command) == ["demo/run", IMAGE, QUESTION]
    assert re.fullmatch(r"yes  0\.\d\d", first)
    assert others[-1] == "Research software: not for diagnosis."
    assert json.dumps(QUESTION) in ASK
