"""A package of one's own adds models, data sets and recipes by lying where Discern looks; its mistakes are told."""

import sys

import pytest

from discern_vqa import cli, own_packages, registry
from discern_vqa.config import check_recipe
from discern_vqa.errors import ConfigError
from discern_vqa.own_packages import VARIABLE
from discern_vqa.paths import find_recipe

BASELINE = '''"""Always the same answer."""
from discern_vqa.baselines.majority import Config, Model, answer
SEES, SEES_PIXELS, RANK = "nothing", False, 9
'''


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A folder that Discern is told of; whatever it makes Python know is forgotten afterwards."""
    folder = tmp_path / f"own_{tmp_path.name}".replace("-", "_")
    (folder / "baselines").mkdir(parents=True)
    (folder / "baselines" / "constant.py").write_text(BASELINE)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv(VARIABLE, str(folder))
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == folder.name]:
        del sys.modules[name]


def test_a_file_in_a_package_of_ones_own_is_found_by_its_name(package, monkeypatch):
    assert "constant" in registry.names("baselines")
    assert registry.load("baselines", "constant").__name__ == f"{package.name}.baselines.constant"
    assert registry.fitted_baseline("baselines.constant").Model is registry.load("baselines", "majority").Model
    monkeypatch.delenv(VARIABLE)
    assert "constant" not in registry.names("baselines")


def test_an_installed_package_is_found_by_its_entry_point(package, monkeypatch):
    monkeypatch.delenv(VARIABLE)
    monkeypatch.syspath_prepend(package.parent)
    facts = package.parent / "own-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: own\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(f"[{own_packages.GROUP}]\nown = {package.name}\n")
    own_packages._installed.cache_clear()
    assert "constant" in registry.names("baselines")
    monkeypatch.undo()
    own_packages._installed.cache_clear()
    assert "constant" not in registry.names("baselines")


def test_recipes_of_the_package_are_found_by_name(package, capsys):
    (package / "recipes").mkdir()
    (package / "recipes" / "mine.toml").write_text(
        '# Mine.\n[data]\ndataset = "phantom"\n[model]\nname = "baselines.constant"\n[run]\n'
    )
    assert find_recipe("mine") == package.resolve() / "recipes" / "mine.toml"
    assert cli.main(["recipe", "list"]) == 0
    assert "mine " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (
            "import no_such_module_anywhere\n",
            "toy.py:1: ModuleNotFoundError: No module named 'no_such_module_anywhere'",
        ),
        ("x = 1\ny = x / 0\n", "toy.py:2: ZeroDivisionError: division by zero"),
        ("def f(:\n", "toy.py:1: SyntaxError: invalid syntax"),
        ("class Config: ...\n", "toy.py has no Model; models have Config, Model"),
        ("class Config: ...\nclass Model: ...\n", "the Config of 'toy' is not derived from ModelConfig"),
    ],
)
def test_a_file_that_does_not_work_is_told_with_its_line(package, code, said):
    (package / "models").mkdir()
    (package / "models" / "toy.py").write_text(code)
    tables = {"data": {"dataset": "phantom"}, "model": {"name": "toy"}, "objective": {"name": "classify"}, "run": {}}
    with pytest.raises(ConfigError) as caught:
        check_recipe(tables, "mine.toml")
    assert said in str(caught.value)


def test_the_name_of_a_part_of_discern_is_taken(package):
    (package / "baselines" / "lookup.py").write_text(BASELINE)
    with pytest.raises(ConfigError, match=r"baselines.lookup has the name of discern_vqa.baselines.lookup") as caught:
        registry.names("baselines")
    assert "rename lookup.py" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "said", "hint"),
    [
        ("gone", "which is no folder", "or unset it"),
        ("my-own", "no name of a Python package", "my_own"),
        ("json", "Python knows another 'json'", "rename the folder"),
    ],
)
def test_a_folder_that_is_no_package_is_refused(tmp_path, monkeypatch, name, said, hint):
    monkeypatch.setattr(sys, "path", [*sys.path])
    if name != "gone":
        (tmp_path / name).mkdir()
    monkeypatch.setenv(VARIABLE, str(tmp_path / name))
    with pytest.raises(ConfigError, match=said) as caught:
        registry.names("models")
    assert hint in caught.value.hint


def test_an_unknown_name_says_where_ones_own_package_is_named():
    with pytest.raises(ConfigError) as caught:
        registry.load("models", "zzz")
    assert VARIABLE in caught.value.hint
