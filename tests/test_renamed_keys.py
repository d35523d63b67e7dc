"""Old keys: a recipe that holds one is refused with the name of today, and a run that was trained with it opens."""

import json
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from discern_vqa import registry
from discern_vqa.config import DataConfig, RunConfig, check_recipe, read_recipe
from discern_vqa.errors import ConfigError, RunError
from discern_vqa.experiments.plan import meant
from discern_vqa.renamed_keys import GONE, MOVED, former, translated

OLD = Path(__file__).parent / "old_configs"
"""`config.json` of four runs that the program wrote before keys were renamed; `root` alone was changed."""
NAMES = ("cmdpi_pretrain", "cmdpi_finetune", "cmi_mtl", "question_only")
TABLES = ("data", "model", "prior", "objective", "optim", "run")


def old(name: str) -> dict[str, Any]:
    content = json.loads((OLD / f"{name}.json").read_text(encoding="utf-8"))
    return {table: content[table] for table in TABLES if table in content}


def class_of(scope: str) -> type[BaseModel]:
    table, _, name = scope.partition(" ")
    if table in ("data", "run"):
        return {"data": DataConfig, "run": RunConfig}[table]
    if table == "model":
        return registry.load_model(name or "cmdpi").Config
    return registry.load("objectives", name).Config


def has(cls: type[BaseModel], key: str) -> bool:
    """Whether a table has a key, by its dotted name."""
    first, _, rest = key.partition(".")
    field = cls.model_fields.get(first)
    if field is None or not rest:
        return field is not None
    inner = [kind for kind in (field.annotation, *get_args(field.annotation)) if hasattr(kind, "model_fields")]
    return any(has(kind, rest) for kind in inner)


MOVES = [(scope, key, new) for scope, moved in MOVED.items() for key, new in moved.items()]
LOSSES = [(scope, key, gone) for scope, keys in GONE.items() for key, gone in keys.items()]


@pytest.mark.parametrize(("scope", "key", "new"), MOVES)
def test_a_key_that_moved_is_where_the_table_says_and_nowhere_else(scope, key, new):
    cls = class_of(scope)
    assert has(cls, new)
    assert not has(cls, key)


@pytest.mark.parametrize(("scope", "key", "gone"), LOSSES)
def test_a_key_that_is_gone_is_not_in_its_table(scope, key, gone):
    assert not has(class_of(scope), key)
    assert gone.now


def test_the_keys_of_an_old_recipe_are_refused_with_those_of_today(tmp_path):
    recipe = tmp_path / "old.toml"
    recipe.write_text(
        '[data]\ndataset = "vqa_rad"\nbeside = "slake"\n'
        '[model]\nname = "cmdpi"\nanswer_slot = "eot"\nfusion = "linear"\n'
        '[objective]\nname = "cmdpi_finetune"\n[run]\n'
    )
    with pytest.raises(ConfigError) as caught:
        read_recipe(recipe, ["objective.rho_text=0.15", "model.image.dropout=0.1"])
    said = str(caught.value)
    assert said.startswith("5 mistakes in")
    assert "[data] beside: this key is now auxiliary" in said
    assert "[model] answer_slot: this key is now readings.answer_slot" in said
    assert "[model] fusion: there is no such key any more; the global features are always fused by" in said
    assert "[model] image.dropout: there is no such key any more" in said
    assert "[objective] rho_text: this key is now readings.rho_text" in said
    hints = caught.value.hint.split("; ")
    assert 'data.auxiliary = "slake"' in hints
    assert 'model.readings.answer_slot = "eot"' in hints
    assert "objective.readings.rho_text = 0.15" in hints
    assert "take fusion out of [model]" in hints


def test_the_same_word_stays_free_for_other_tables(tmp_path):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('[data]\ndataset = "phantom"\n[model]\nname = "cmi_mtl"\n[objective]\nname = "cmi_mtl"\n[run]\n')
    with pytest.raises(ConfigError, match=r"\[model\] fusion: unknown key"):
        read_recipe(recipe, ["model.fusion=ffn"])
    assert read_recipe(recipe, ["objective.answer_smoothing=0.2"]).objective.answer_smoothing == 0.2


@pytest.mark.parametrize("name", NAMES)
def test_the_settings_of_an_old_run_are_read(name):
    with pytest.raises(ConfigError):
        check_recipe(old(name), "a recipe")
    recipe = check_recipe(old(name), "config.json", kept=True)
    now = recipe.to_json()
    assert check_recipe(now, "config.json", kept=True) == recipe, "settings of today are left as they are"
    assert {"auxiliary", "auxiliary_share"} <= now["data"].keys()


def test_old_settings_mean_what_they_meant():
    fine = check_recipe(old("cmdpi_finetune"), "config.json", kept=True)
    assert (fine.model.image_target_size, fine.model.image_target_grey) == (48, True)
    readings = fine.objective.readings
    assert (readings.similar_percentile, readings.similar_in_batch, readings.partner_deviated) == (0.8, True, True)
    resolved = fine.objective.resolved().readings
    assert (resolved.eps_min, resolved.near_gradient, resolved.rho_text) == (0.8, False, 0.0)
    assert fine.model.resolved().readings.image_target == "pixel_patchnorm"
    before = check_recipe(old("cmdpi_pretrain"), "config.json", kept=True).objective.readings
    assert (before.rho_image, before.rho_text, before.rho_question, before.intra_view) == (0.1, 0.5, 0.0, "brightness")
    cmi = check_recipe(old("cmi_mtl"), "config.json", kept=True)
    assert (cmi.model.readings.mask_padding, cmi.model.resolved().readings.type_head) == (False, True)
    assert cmi.objective.readings.mask_false_negatives is False


@pytest.mark.parametrize(("scope", "key", "gone"), LOSSES)
def test_an_old_run_with_a_value_that_is_gone_is_refused_and_one_with_the_default_is_not(scope, key, gone):
    table, _, name = scope.partition(" ")
    content: Any = gone.value
    for part in reversed(key.split(".")):
        content = {part: content}
    kept = translated({table: {"name": name} | content}, "run/config.json")[table]
    assert not has_key(kept, key)
    other: Any = "something else"
    for part in reversed(key.split(".")):
        other = {part: other}
    with pytest.raises(RunError) as caught:
        translated({table: {"name": name} | other}, "run/config.json")
    assert f'[{table}] {key} = "something else" ({gone.now})' in str(caught.value)
    assert caught.value.hint


def has_key(content: dict[str, Any], key: str) -> bool:
    *parts, last = key.split(".")
    for part in parts:
        content = content[part]
    return last in content


@pytest.mark.parametrize("name", NAMES)
def test_former_names_come_back_for_digests(name):
    given = old(name)
    today = translated(given, "config.json")
    again = former(today, given["model"]["name"], given.get("objective", {}).get("name", ""))
    for scope, keys in GONE.items():
        table, _, owner = scope.partition(" ")
        for key in keys if given.get(table, {}).get("name") == owner or not owner else ():
            drop(given[table], key)
    assert again == given
    assert today != given


def drop(content: Any, key: str) -> None:
    *parts, last = key.split(".")
    for part in parts:
        content = content.get(part, {})
    content.pop(last, None)


def test_an_experiment_knows_a_training_by_the_former_names():
    told = meant(check_recipe(old("cmdpi_finetune"), "config.json", kept=True))
    assert told["model"]["picture_size"] == 48
    assert (told["model"]["image_target"], told["objective"]["similar_percentile"]) == ("pixel_patchnorm", 0.8)
    assert not {"readings", "image_target_size"} & (told["model"].keys() | told["objective"].keys())
