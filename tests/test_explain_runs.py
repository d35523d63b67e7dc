"""Explaining a run: heat maps are scored, the best is chosen and drawn, and what it is worth is said beside it."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib.font_manager import FontProperties, findfont, get_font
from PIL import Image

from discern_vqa import cli
from discern_vqa.attribution import methods
from discern_vqa.datasets import phantom
from discern_vqa.errors import ConfigError, RunError
from discern_vqa.evaluation import explain_view
from discern_vqa.evaluation.explain import Explainer, explain, read_scores
from discern_vqa.evaluation.explain_scores import score
from discern_vqa.evaluation.explain_view import as_table, measured
from discern_vqa.evaluation.opening import open_run
from discern_vqa.fonts import fonts_for


@pytest.fixture(scope="module")
def scored(tiny_run, tmp_path_factory):
    run = shutil.copytree(tiny_run, tmp_path_factory.mktemp("explained") / "run")
    return run, score(run, names=["rollout", "integrated_gradients"], limit=12, curves=4)


def test_scores_stand_in_the_run_with_n_interval_chance_and_random_weights(scored):
    run, made = scored
    assert json.loads((run / "explanation_scores.test.json").read_text()) == made
    assert set(made["methods"]) == {"rollout", "integrated_gradients", *methods.BASELINES}
    assert made["best"] in ("rollout", "integrated_gradients")
    assert made["n"] == 12
    assert 0 < made["cover"] < made["chance"] < 1
    for name, one in made["methods"].items():
        for figure in (one["pointing"], one["energy"], one["insertion"], one["deletion"]):
            low, high = figure["ci95"]
            assert 0 <= low <= figure["mean"] + 1e-9 <= high + 2e-9 <= 1 + 3e-9
        assert ("random_weights" in one) == (name not in methods.BASELINES)
    assert (
        sum(one["n"] for key, one in made["methods"]["rollout"]["pointing"]["by"].items() if key in ("right", "wrong"))
        == 12
    )
    table = as_table(made)
    assert all(name in table for name in made["methods"])
    assert f"{100 * made['chance']:.1f} %" in table


def test_the_best_measured_method_is_chosen_for_these_weights_only(scored):
    run, made = scored
    predictor = open_run(run, calibrated=False)
    explainer = Explainer(predictor.run, predictor.model, predictor.batcher)
    assert explainer.choose() == made["best"]
    assert read_scores(predictor.run) == made
    assert explainer.choose("occlusion") == "occlusion"
    with pytest.raises(ConfigError, match="no method 'saliency'"):
        explainer.choose("saliency")
    file = run / "explanation_scores.test.json"
    kept = file.read_text()
    file.write_text(json.dumps(made | {"weights": "those of another training"}))
    assert read_scores(predictor.run) is None
    assert explainer.choose() == methods.DEFAULT
    for damage in ("{", "[" * 9999, "[]"):
        file.write_text(damage)
        with pytest.raises(RunError, match="explanation_scores.test.json is broken"):
            read_scores(predictor.run)
    file.write_text(kept)
    assert measured(None, "rollout") == measured(made, "occlusion") == ""


def test_what_a_map_is_worth_is_said_beside_maps_that_see_no_model():
    rates = {"rollout": 0.2, "path_gradient": 0.5, "centre": 0.26, "contrast": 0.1}
    scores = {
        "split": "test",
        "chance": 0.075,
        "methods": {name: {"pointing": {"mean": rate, "n": 1000}} for name, rate in rates.items()},
    }
    good, bad = measured(scores, "path_gradient"), measured(scores, "rollout")
    for said in (good, bad):
        assert "of 1,000 test questions" in said
        assert "a random pixel does in 8 %, the middle of the image in 26 %, its sharpest contrast in 10 %" in said
    assert "worth no more" in bad
    assert "worth no more" not in good


def test_random_weights_are_those_of_the_seed_and_leave_torchs_generator_alone(scored):
    run = open_run(scored[0], calibrated=False).run
    torch.manual_seed(7)
    before = torch.get_rng_state()
    first, again, other = (Explainer.with_random_weights(run, seed).model.pos for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_figure_is_drawn_of_one_answer_and_says_what_the_map_is_worth(scored, tmp_path, capsys):
    run, made = scored
    sample = next(one for one in phantom.read(run_root(run), "test") if one.mask)
    out = tmp_path / "map.png"
    assert cli.main(["explain", str(run), str(sample.path), sample.question, "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert made["best"] in said
    assert f"of {made['n']} test questions" in said
    assert "not for diagnosis" in said
    drawn = np.asarray(Image.open(out).convert("RGB"))
    assert drawn.shape[1] > 1000
    assert len(np.unique(drawn.reshape(-1, 3), axis=0)) > 200
    again = explain(open_run(run), sample.path, sample.question, "centre")
    assert again.explained == again.answer.text
    assert np.unravel_index(again.grid.argmax(), again.grid.shape)[0] in (11, 12)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_letters_that_no_font_has_are_said_in_one_line_and_others_are_drawn(tmp_path, ending):
    question = "\u8fd9\u5f20\u56fe\u50cf $x \\frac{ is it 5$?\t\U0010fffd"
    said = {"question": question, "answer": "yes", "method": "centre", "measured": ""}
    lines = []
    explain_view.figure(Image.new("L", (40, 30)), np.eye(4), said, tmp_path / f"map.{ending}", lines.append)
    (line,) = lines
    assert f"map.{ending} cannot show" in line
    assert (tmp_path / f"map.{ending}").stat().st_size > 1000


def test_long_words_of_a_figure_stay_within_it(tmp_path):
    """A question behind a long history, a verdict that gives its reason, and Chinese: nothing is cut at the edge."""
    history = "Known for years with cough, fever and pain, and sent for a second opinion. " * 9 + "Is there a mass?"
    verdict = (
        "I would rather not answer: the image is unlike what I was trained on (only 2 % of that is so far from the "
    )
    verdict += "rest). My best guess: yes"
    for number, question in enumerate((history, "\u8fd9\u5f20\u56fe\u50cf" * 40)):
        said = {"question": question, "answer": verdict, "method": "centre " * 40, "measured": verdict}
        out = tmp_path / f"{number}.png"
        explain_view.figure(Image.new("L", (40, 30)), np.eye(4), said, out, lambda line: None)
        drawn = np.asarray(Image.open(out).convert("L"))
        edges = [drawn[:150, -8:], drawn[-150:, -8:], drawn[:3]]  # above and below the two panels
        assert all((edge == 255).all() for edge in edges)
    lines = explain_view.in_lines((history, "yes"), 10, 13).splitlines()
    assert len(lines) == explain_view.MOST_LINES + 1
    assert lines[-2].startswith("... ")
    assert lines[-2].endswith("Is there a mass?")


def test_a_font_that_has_the_letters_is_found_among_the_installed_ones():
    own, none = fonts_for("Is there a mass?\n")
    assert (len(own), none) == (1, set())
    here, other = (get_font(findfont(FontProperties(family=name))) for name in (own[0], "STIXGeneral"))
    rare = chr(max(other.get_charmap().keys() - here.get_charmap().keys()))
    families, left = fonts_for(f"a {rare}\U0010fffd")
    assert len(families) == 2
    assert left == {"\U0010fffd"}


def test_a_baselines_run_has_no_network_to_look_into(scored):
    run = open_run(scored[0], calibrated=False).run
    with pytest.raises(ConfigError, match="a baseline's run"):
        Explainer(replace(run, recipe=SimpleNamespace(is_baseline=True, is_network=False)), None, None)


def run_root(run):
    return open_run(run, calibrated=False).run.root


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ([], "takes an image, a question and --out"),
        (["a.png", "Is it?"], "takes an image, a question and --out"),
        (["a.png", "Is it?", "--out", "map.gif"], "expected a name in .png"),
        (["a.png", "--score"], "no image is given"),
        (["a.png", "Is it?", "--out", "map.png", "--split", "validation"], "--split: only for --score"),
        (["a.png", "Is it?", "--out", "map.png", "--limit", "400"], "--limit: only for --score"),
        (["a.png", "Is it?", "--out", "map.png", "--methods", "a", "--data", "b"], "--methods, --data: only for"),
        (["--score", "--out", "map.png", "--method", "auto"], "--out, --method: only for drawing one answer"),
        (["--score", "--methods", "saliency"], "no method 'saliency'"),
        (["--score", "--limit", "-1"], "expected a number of questions"),
    ],
)
def test_a_mistake_is_two_lines(scored, capsys, more, told):
    assert cli.main(["explain", str(scored[0]), *more]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 2
    assert told in lines[0]
    assert lines[1].startswith("try: ")
