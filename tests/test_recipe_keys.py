"""`discern recipe`: the recipes by name, one put together, and the reference of keys, which is the program's own."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field

from discern_vqa import cli
from discern_vqa.bases import ModelConfig
from discern_vqa.config import read_recipe
from discern_vqa.errors import ConfigError
from discern_vqa.paths import find_recipe
from discern_vqa.recipe_keys import FOLLOWS, _keys, all_keys, matching
from discern_vqa.recipe_list import documented_time, listed, shipped
from discern_vqa.recipe_table import Table

ROOT = Path(__file__).resolve().parents[1]


def of(name: str, taker: str = ""):
    """The one key of this full name (of a model or objective)."""
    (key,) = [key for key in all_keys() if key.full == name and (not taker or taker in key.takers)]
    return key


class Inner(Table):
    """[model.inner]."""

    deep: bool | None = None
    """Is deep."""


class Toy(ModelConfig):
    """[model]."""

    name: Literal["toy"] = "toy"
    profile: Literal["plain", "fancy"] = "plain"
    """How it looks."""
    inner: Inner = Inner()
    shares: dict[str, float] = {}
    """Its
    shares."""
    most: int | None = Field(None, ge=1, lt=10)
    """The most."""

    def chosen(self):
        return {"inner": {"deep": self.profile == "fancy"}}


def test_a_key_is_told_with_type_bounds_default_and_meaning():
    keys = {key.name: key for key in _keys("model", Toy)}
    assert list(keys)[-4:] == ["profile", "inner.deep", "shares", "most"]
    assert keys["name"].meaning == "Which model it is."  # from the class that it is derived from
    assert (keys["inner.deep"].kind, keys["inner.deep"].default) == ("true or false", "false (plain); true (fancy)")
    assert (keys["shares"].kind, keys["shares"].default) == ("table of: number", "{}")
    assert keys["shares"].meaning == "Its shares."
    assert (keys["most"].kind, keys["most"].default) == ("whole number, at least 1, below 10", "none")
    assert "inner" not in keys


def test_keys_of_models_say_who_has_them():
    assert of("model.image.kind").takers == ("cmdpi", "cmi_mtl", "baselines.kernel_ridge", "baselines.retrieval")
    assert of("model.width", "cmdpi").default == "512"
    assert of("model.width", "cmi_mtl").default == "768"
    assert of("objective.readings.eps_min").default == "0.0 (paper); 0.5 (robust)"
    assert of("optim.betas").kind == "list of 2: number, at least 0, below 1 each"
    assert of("data.dataset").default == "required"
    assert not of("optim.lr").takers
    assert all(key.meaning for key in all_keys())


def test_every_default_is_what_a_recipe_gets():
    """The reference cannot say another default than the one that a recipe without the key has."""
    recipe = read_recipe(find_recipe(Path("cmi_mtl/phantom")))
    stated = tomllib.loads(find_recipe(Path("cmi_mtl/phantom")).read_text())
    checked = 0
    for key in all_keys():
        if (
            key.table in ("data", "optim", "run")
            and key.name not in stated[key.table]
            and key.default not in ("none", FOLLOWS)
        ):
            value = getattr(getattr(recipe, key.table), key.name)
            told = tomllib.loads(f"value = {key.default}")["value"]
            assert told == (list(value) if isinstance(value, tuple) else value), key.full
            checked += 1
    assert checked > 40


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ("optim.lr", ["optim.lr"]),
        ("LAYER_DECAY", ["optim.layer_decay"]),
        ("muon's", ["optim.optimizer"]),  # in no name: a word of the meaning
        ("cifr.states", ["model.cifr.states"]),
    ],
)
def test_keys_are_found_by_name_or_else_by_meaning(wanted, names):
    assert [key.full for key in matching(wanted)] == names


@pytest.mark.parametrize(
    ("wanted", "near"), [("optim.lrr", "optim.lr"), ("eps_mni", "objective.readings.eps_min"), ("xyzzy", "")]
)
def test_a_key_that_is_none_is_refused_with_the_nearest(wanted, near):
    with pytest.raises(ConfigError, match=wanted) as caught:
        matching(wanted)
    assert caught.value.hint == f"discern recipe keys {near}".rstrip()


def test_the_page_of_keys_is_what_the_program_prints(capsys):
    assert cli.main(["recipe", "keys", "--format", "markdown"]) == 0
    printed = capsys.readouterr().out
    page = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    told = "discern recipe keys --format markdown prints other tables than docs/recipes.md holds"
    assert page[page.index("## [data]") :] == printed, told
    assert len(re.findall(r"^\| `", printed, re.MULTILINE)) == len(all_keys())


def test_the_list_says_what_each_recipe_is(capsys):
    assert cli.main(["recipe", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(list((ROOT / "recipes").rglob("*.toml")))
    assert lines[0].split()[:2] == ["baselines/image_identity", "vqa_rad"]  # the data set is its base's
    (line,) = [line for line in lines if line.startswith("cmdpi/phantom ")]
    assert line.split(maxsplit=2)[1:] == ["phantom", "CMDPI on phantoms in full (under 40 minutes on 2 cores)"]
    assert all(recipe.what and recipe.model for recipe in shipped())


def test_listing_and_showing_load_no_model():
    code = (
        "import sys; from discern_vqa.cli import main\n"
        "assert main(['recipe', 'list']) == main(['recipe', 'show', 'cmdpi/phantom']) == 0\n"
        "assert main(['recipe', 'keys', 'optim']) == 0\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


@pytest.mark.parametrize(
    ("comment", "time"),
    [
        ("Sees no image. Half a minute, most of it for encoding.", "half a minute"),
        ("Seconds.", "seconds"),
        ("It takes about 12 minutes on 2 cores; then evaluate.", "about 12 minutes on 2 cores"),
        ("The minutes of the meeting. An hour of the day.", "an hour"),
        ("No time is told.", ""),
    ],
)
def test_the_time_is_read_from_the_comment(comment, time):
    assert documented_time(comment) == time


def test_a_recipe_is_shown_with_its_base_and_its_comment(tmp_path, capsys):
    path = tmp_path / "mine.toml"
    base = find_recipe(Path("cmi_mtl/phantom"))
    path.write_text(f'# Mine, as in Fig. 3. And more.\nbase = "{base}"\n[run]\nepochs = 3\n', encoding="utf-8")
    assert cli.main(["recipe", "show", str(path)]) == 0
    text = capsys.readouterr().out
    assert text.startswith("# Mine, as in Fig. 3. And more.\n")
    expected = tomllib.loads(base.read_text())
    expected["run"]["epochs"] = 3
    assert tomllib.loads(text) == expected
    assert listed(path, "mine").what == "Mine, as in Fig. 3"


@pytest.mark.parametrize("name", ["cmdpi/vqa_rad_lite", "cmi_mtl/phantom", "baselines/kernel_ridge"])
def test_what_is_shown_whole_is_a_recipe_that_resolves_to_the_same(name, tmp_path, capsys):
    assert cli.main(["recipe", "show", name, "--all"]) == 0
    path = tmp_path / "whole.toml"
    path.write_text(capsys.readouterr().out, encoding="utf-8")
    shown, before = read_recipe(path), read_recipe(find_recipe(Path(name)))
    assert shown.resolved_tables() == before.resolved_tables()
    assert path.read_text().startswith("# ")
    assert "imitate = []" in path.read_text()  # a default that the recipe does not state


def test_showing_a_recipe_whole_reports_all_its_mistakes(tmp_path, capsys):
    path = tmp_path / "wrong.toml"
    path.write_text('[data]\ndataset = "phantom"\n[model]\nname = "cmdpi"\nfvta = {}\n[objective]\nname = "classify"\n'
                    '[optim]\nlrr = 1\nbatch = "many"\n[run]\n')  # fmt: skip
    assert cli.main(["recipe", "show", str(path), "--all"]) == 2
    told = capsys.readouterr().err
    assert "3 mistakes" in told
    assert "[model] fvta: unknown key" in told
    assert "did you mean 'lr'?" in told
    assert '[optim] batch = "many"' in told
