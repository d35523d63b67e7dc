"""`discern new model` writes files that work as they are, in a package of one's own and in a checkout."""

import os
import subprocess
import sys
import tomllib

import pytest

from discern_vqa import cli, scaffold
from discern_vqa.config import read_recipe


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return tmp_path


@pytest.mark.slow
def test_the_test_of_a_new_model_passes_at_once(folder, capsys):
    assert cli.main(["new", "model", "toy", "--out", "own models/mine"]) == 0
    commands = capsys.readouterr().out.split("next:\n")[1].splitlines()
    assert [line.strip() for line in commands] == [
        "python -m pytest 'own models/mine/tests'",
        f"export DISCERN_PARTS='{folder}/own models/mine'",
        "discern train toy --out runs/toy",
        "discern evaluate runs/toy",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "own models/mine/tests"],
        capture_output=True, text=True, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "9 passed" in done.stdout


def test_its_recipe_is_found_by_name_and_resolves(folder, monkeypatch):
    assert cli.main(["new", "model", "toy", "--out", "mine"]) == 0
    monkeypatch.setenv("DISCERN_PARTS", str(folder / "mine"))
    assert cli.main(["recipe", "show", "toy", "--all"]) == 0
    recipe = read_recipe(folder / "mine" / "recipes" / "toy.toml")
    assert (recipe.model.name, recipe.model.width, recipe.objective.name) == ("toy", 128, "classify")
    for name in [name for name in sys.modules if name.partition(".")[0] == "mine"]:
        del sys.modules[name]


def test_a_second_model_joins_the_package_and_changes_no_file(folder):
    assert cli.main(["new", "model", "first", "--out", "mine"]) == 0
    (folder / "mine" / "__init__.py").write_text('"""My own words."""\n')
    assert cli.main(["new", "model", "second", "--out", "mine"]) == 0
    assert (folder / "mine" / "__init__.py").read_text() == '"""My own words."""\n'
    models = {path.name for path in (folder / "mine" / "models").glob("*.py")}
    assert models == {"__init__.py", "first.py", "second.py"}


def test_in_a_checkout_the_files_go_where_the_others_are(folder, capsys):
    scaffold.CHECKOUT.mkdir(parents=True)
    assert cli.main(["new", "model", "toy"]) == 0
    files = {str(path.relative_to(folder)) for path in folder.rglob("*.*") if path.is_file()}
    assert files == {"src/discern_vqa/models/toy.py", "recipes/toy/phantom.toml", "tests/test_toy.py"}
    assert tomllib.loads((folder / "recipes/toy/phantom.toml").read_text())["model"]["name"] == "toy"
    assert "from discern_vqa.models.toy import Model" in (folder / "tests/test_toy.py").read_text()
    assert "discern train recipes/toy/phantom.toml --out runs/toy" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "said", "hint"),
    [
        ("toy", "no checkout of Discern", "discern new model toy --out my_models"),
        ("My-Model --out mine", "cannot be the name of a model", "discern new model my_model"),
        ("class --out mine", "cannot be the name of a model", "small letters"),
        ("cmdpi --out mine", "there is a model 'cmdpi' already", "discern new model my_cmdpi"),
        ("toy --out my-models", "'my-models' is no name of a Python package", "--out my_models"),
    ],
)
def test_what_cannot_be_written_is_refused(folder, capsys, line, said, hint):
    assert cli.main(["new", "model", *line.split()]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert hint in told
    assert not list(folder.iterdir())


def test_nothing_is_written_where_one_file_is_there(folder, capsys):
    (folder / "mine" / "tests").mkdir(parents=True)
    (folder / "mine" / "tests" / "test_toy.py").write_text("mine\n")
    assert cli.main(["new", "model", "toy", "--out", "mine"]) == 2
    assert "test_toy.py is there already" in capsys.readouterr().err
    assert [path.name for path in folder.rglob("*.*")] == ["test_toy.py"]
