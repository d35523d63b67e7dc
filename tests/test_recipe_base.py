"""A recipe with a `base` says only what it changes, and still leaves a run whose recipe reads alone."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discern_vqa.config import check_recipe, read_recipe
from discern_vqa.errors import ConfigError
from discern_vqa.toml import as_toml, read_tables, whole_recipe

RECIPES = Path(__file__).resolve().parents[1] / "recipes"
BASE = """# what is shared
[data]
dataset = "phantom"
text_length = 20
[model]
name = "cmdpi"
width = 64
image = { kind = "tiny", size = 64 }
[objective]
name = "cmdpi_pretrain"
readings = { rho_image = 0.1, queue = 8 }
[run]
epochs = 2
"""
OWN = """# what is changed
base = "first.toml"
[model]
image = { kind = "tiny", patch = 8 }
[objective]
name = "cmdpi_finetune"
[run]
after = "first.toml"
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    (tmp_path / "first.toml").write_text(BASE)
    (tmp_path / "second.toml").write_text(OWN)
    return tmp_path / "second.toml"


def test_a_table_is_taken_over_key_by_key_and_an_inner_table_whole(own: Path) -> None:
    read = read_recipe(own)
    assert (read.data.text_length, read.model.width, read.run.epochs, read.run.after) == (20, 64, 2, "first.toml")
    assert (read.model.image.patch, read_tables(own)["model"]["image"]) == (8, {"kind": "tiny", "patch": 8})


def test_of_an_objective_of_another_name_nothing_is_taken_over(own: Path) -> None:
    assert read_tables(own)["objective"] == {"name": "cmdpi_finetune"}
    own.write_text(OWN.replace("cmdpi_finetune", "cmdpi_pretrain"))
    assert read_recipe(own).objective.readings.rho_image == 0.1


def test_readings_are_taken_over_key_by_key(own: Path) -> None:
    own.write_text(OWN.replace('"cmdpi_finetune"', '"cmdpi_pretrain"\nreadings = { queue = 16, rho_text = 0.2 }'))
    readings = read_recipe(own).objective.readings
    assert (readings.rho_image, readings.queue, readings.rho_text) == (0.1, 16, 0.2)


def test_overrides_come_after_the_base_and_unknown_keys_are_still_refused(own: Path) -> None:
    assert read_recipe(own, ["run.epochs=7"]).run.epochs == 7
    own.write_text(OWN.replace("after", "aftre"))
    with pytest.raises(ConfigError, match="aftre: unknown key"):
        read_recipe(own)


def test_bases_may_have_bases_but_not_themselves(own: Path) -> None:
    third = own.with_name("third.toml")
    third.write_text('base = "second.toml"\n[run]\nepochs = 9\n')
    assert (read_recipe(third).run.epochs, read_recipe(third).run.after) == (9, "first.toml")
    own.with_name("first.toml").write_text('base = "third.toml"\n' + BASE)
    with pytest.raises(ConfigError, match="has itself as a base"):
        read_recipe(third)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('base = "none.toml"', "there is no recipe .*none.toml"),
        ("base = 3", "expected a recipe's path"),
        ('base = "."', "cannot be read: Is a directory"),
        ('base = "first.toml/deep.toml"', "cannot be read: Not a directory"),
    ],
)
def test_a_base_that_is_none_is_said(own: Path, line: str, said: str) -> None:
    own.write_text(OWN.replace('base = "first.toml"', line))
    with pytest.raises(ConfigError, match=said):
        read_recipe(own)


def test_the_whole_recipe_reads_alone_and_keeps_its_own_comment(own: Path, tmp_path: Path) -> None:
    whole = whole_recipe(own)
    assert whole.startswith("# what is changed\n[data]\n")
    assert check_recipe(tomllib.loads(whole), "whole") == read_recipe(own)
    assert whole_recipe(own.with_name("first.toml")) == BASE, "a recipe without a base stays as it is"


@pytest.mark.parametrize("path", sorted(RECIPES.rglob("*.toml")), ids=lambda path: str(path.relative_to(RECIPES)))
def test_every_shipped_recipe_is_the_same_read_alone(path: Path) -> None:
    assert check_recipe(tomllib.loads(whole_recipe(path)), str(path)) == read_recipe(path)


def test_a_byte_order_mark_is_no_part_of_a_recipe(own: Path) -> None:
    told = read_recipe(own)
    for name in ("first.toml", "second.toml"):
        path = own.with_name(name)
        path.write_text(path.read_text(encoding="utf-8"), encoding="utf-8-sig")
    assert read_recipe(own) == told
    assert whole_recipe(own.with_name("first.toml")) == BASE


def differences(first: str, second: str) -> set[str]:
    a, b = (read_recipe(RECIPES / "cmdpi" / name).to_json() for name in (first, second))
    return {f"{table}.{key}" for table in a for key in a[table].keys() | b[table].keys()
            if a[table].get(key) != b[table].get(key)}  # fmt: skip


def test_the_demo_differs_from_the_full_recipe_in_what_its_comment_says_and_in_nothing_else() -> None:
    assert differences("demo.toml", "phantom.toml") == {
        "data.draw", "optim.ema", "run.after", "run.epochs", "run.baselines"
    }  # fmt: skip
    assert differences("demo_pretrain.toml", "phantom_pretrain.toml") == {"data.draw", "run.epochs"}
    fine = read_recipe(RECIPES / "cmdpi" / "phantom.toml")
    assert (fine.data.split, fine.data.vocabulary_from, fine.data.validation_ratio) == ("train", [], 0.1)
    assert (fine.objective.name, fine.objective.smoothing) == ("cmdpi_finetune", 0.0)
    assert (fine.optim.lr, fine.optim.ema, fine.run.select, fine.run.threads) == (1e-3, 0.998, "last", 1)


scalars = st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False) | st.text(max_size=8)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)


@given(st.dictionaries(st.text(max_size=6), st.dictionaries(st.text(max_size=6), values, max_size=3), max_size=3))
def test_what_is_written_as_toml_is_read_again(tables: dict[str, Any]) -> None:
    assert tomllib.loads(as_toml(tables)) == tables
