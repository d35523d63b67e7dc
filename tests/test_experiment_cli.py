"""`discern experiment` as it is typed."""

from pathlib import Path

import pytest
from _experiment import FAILING, ROWS, here, recipes, rows

from discern_vqa import cli
from discern_vqa.commands.experiments import _typed
from discern_vqa.datasets import phantom
from discern_vqa.experiments import catalogue, runner


def test_the_list_names_every_experiment(capsys):
    assert cli.main(["experiment", "--list"]) == 0
    said = capsys.readouterr().out
    *listed, last = said.splitlines()
    assert [line.split()[0] for line in listed] == [*catalogue.names(), *catalogue.collections()]
    assert last.startswith("next: discern experiment ")
    assert "CMDPI Fig. 8: Mechanisms of fine-tuning (5 rows of cmdpi/ablation)" in said
    assert cli.main(["experiment"]) == 0
    assert capsys.readouterr().out == said


def test_a_plan_says_what_would_be_trained(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["experiment", "fig8", "fig11", "--plan", "--seeds", "0,1"]) == 0
    *trainings, last = capsys.readouterr().out.splitlines()
    assert (len(trainings), last) == (14, "14 trainings")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("typed", "error", "hint"),
    [
        ("experiment fig88", "there is no experiment 'fig88'", "fig8"),
        ("experiment fig8 --seeds 0,one", "--seeds '0,one'", "--seeds 0,1,2"),
        ("experiment fig8 --seeds 0,0", "each once", "--seeds 0,1,2"),
        ("experiment fig7 --on vqa_rad_lite", "vqa_rad_lite has none", "run.after"),
        ("experiment search --recipe cmdpi/demo.toml --space no.toml", "there is no space no.toml", "search.py"),
    ],
)
def test_a_mistake_is_two_lines(typed, error, hint, capsys):
    assert cli.main(typed.split()) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert error in first
    assert hint in second


@pytest.mark.parametrize(
    ("given", "typed"),
    [
        (("fig8", "", "0,1,2", None, ""), "fig8 --seeds 0,1,2"),
        (("fig8", "", "0,1,2", None, "test"), "fig8 --seeds 0,1,2 --split test"),
        (("fig8", "vqa_rad_lite", "0", None, "validation"), "fig8 --on vqa_rad_lite --seeds 0 --split validation"),
        (("own/a b.toml", "/home/me/r.toml", "0", Path("../me/ph"), ""),
         "'own/a b.toml' --on r.toml --data ph --seeds 0"),
    ],
)  # fmt: skip
def test_a_report_says_how_it_is_repeated_and_no_place_of_this_machine(given, typed):
    assert _typed(*given) == f"discern experiment {typed}"


def test_two_experiments_of_one_name_are_refused(tmp_path, capsys):
    (tmp_path / "more").mkdir()
    recipe = str(recipes(tmp_path))
    assert cli.main(["experiment", rows(tmp_path), rows(tmp_path / "more"), "--on", recipe]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert "two experiments are named 'tiny'" in first
    assert "rename one" in second


def test_an_experiment_is_reported_and_a_failed_row_ends_in_a_mistake(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(runner, "work", here)
    phantom.draw(tmp_path / "ph", size=32, counts={"pretrain": 8, "train": 8, "validation": 2, "test": 8}, workers=1)
    given = ["--on", str(recipes(tmp_path)), "--data", str(tmp_path / "ph"), "--out", str(tmp_path / "out")]
    assert cli.main(["experiment", rows(tmp_path), *given, "--seeds", "0"]) == 0
    page = (tmp_path / "out" / "reports" / "tiny.main" / "report.md").read_text(encoding="utf-8")
    assert "discern experiment tiny.toml --on main.toml --data ph --seeds 0\n" in page
    assert "## Baselines and controls" in page
    assert "majority" in page
    assert str(tmp_path) not in page
    assert cli.main(["experiment", rows(tmp_path), *given, "--seeds", "0", "--split", "validation"]) == 0
    other = (tmp_path / "out" / "reports" / "tiny.main.validation" / "report.md").read_text(encoding="utf-8")
    assert "--data ph --seeds 0 --split validation\n" in other
    assert (tmp_path / "out" / "reports" / "tiny.main" / "report.md").read_text(encoding="utf-8") == page
    capsys.readouterr()
    assert cli.main(["experiment", rows(tmp_path, ROWS + FAILING), *given, "--seeds", "0"]) == 2
    said = capsys.readouterr()
    assert "1 of 6 trainings have failed: tiny / broken, seed 0: [data] options" in said.err
    assert "report: " in said.out
