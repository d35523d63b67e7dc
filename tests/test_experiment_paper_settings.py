"""Which settings of an experiment are not the paper's: computed from the recipes, with what a profile chooses."""

import pytest
from _experiment import recipes, rows

from discern_vqa.experiments import paper_settings
from discern_vqa.experiments.runner import prepare

PAPER = """
title = "Tiny"
source = "nowhere"
family = "cmdpi"

[rows.full]
both = { "optim.optimizer" = "muon" }
set = { "objective.readings.eps_min" = 0.25 }
"""


def settings(name, on=""):
    found = paper_settings.deviations(prepare([name], on, [0])[0])
    return {one.key: (one.here, one.paper) for one in found}


def test_the_phantom_recipes_deviate_where_they_say_something_else_or_their_profile_does():
    found = settings("fig8")
    assert found["objective.lam"] == ("beta", "uniform")
    assert found["objective.readings.eps_min"] == (0.8, 0.0)
    assert found["objective.readings.partner_deviated"] == (True, False)
    assert found["objective.readings.near_gradient"] == (False, True), "neither recipe states it: the profiles choose"
    assert found["optim.optimizer"] == ("muon", "adamw")
    assert found["before: objective.weights.inter"] == (0.25, 0.5)
    assert found["before: objective.weights.intra"] == (0.05, 1.0)
    assert not found.keys() & {
        "objective.weights.mix",
        "objective.mixup",
        "optim.clip",
        "before: objective.weights.ans",
    }
    assert not [key for key in found if "dataset" in key or "seed" in key], "which data are read is no method"


def test_the_papers_recipe_deviates_nowhere_and_says_so():
    assert settings("fig7", "base") == {}
    told = paper_settings.as_lines({"deviations": [], "reference": "full", "recipe": "cmdpi/base"})
    assert told[0] == "## Where full is not the paper's"
    assert told[2] == "Nowhere: its method has the settings of `recipes/cmdpi/base.toml`."


def test_a_recipe_without_pretraining_says_that_it_has_none():
    found = settings("fig8", "vqa_rad_lite")
    assert found["before"] == ("no pre-training", "cmdpi_pretrain")
    assert not [key for key in found if key.startswith("before: ")]


def test_what_a_row_changes_counts(tmp_path):
    main = str(recipes(tmp_path))
    found, plain = settings(rows(tmp_path, PAPER), main), settings(rows(tmp_path), main)
    assert {key: found[key] for key in found.keys() - plain.keys()} == {
        "optim.optimizer": ("muon", "adamw"),
        "before: optim.optimizer": ("muon", "adamw"),
        "objective.readings.eps_min": (0.25, 0.0),
    }


def test_the_other_family_is_compared_with_its_own_recipe():
    found = settings("cmi_modules")
    assert found["objective.loss"] == ("ce", "bce")
    assert found["optim.betas"] == ([0.9, 0.999], [0.9, 0.98])
    assert "before" not in found


@pytest.mark.parametrize("same", [True, False])
def test_a_table_of_the_pretraining_that_deviates_alike_is_told_once(same):
    found = [("model.width", 16, 512), ("before: model.width", 16 if same else 32, 512), ("before: optim.lr", 0.1, 0.2)]
    lines = paper_settings.as_lines({"deviations": found, "reference": "full", "recipe": "cmdpi/tiny"})
    second = "as in fine-tuning" if same else "`width` 32 (512)"
    assert lines[4:] == [
        "- [model]: `width` 16 (512).",
        f"- [model] of the pre-training: {second}.",
        "- [optim] of the pre-training: `lr` 0.1 (0.2).",
    ]
