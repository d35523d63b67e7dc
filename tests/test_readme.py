"""The README is true: its cheap commands run, the others name verbs, options, recipes and files that exist."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from discern_vqa import cli
from discern_vqa.paths import find_recipe

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RESULTS = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
FENCES = re.findall(r"^```(\S+)( run| quickstart)?\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
COMMANDS = [
    line.split("  #")[0].strip().removeprefix(".venv/bin/")
    for language, _, body in FENCES
    if language == "sh"
    for line in body.splitlines()
    if "discern " in line
]


def test_what_is_marked_to_run_runs_in_order(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    ran = 0
    for language, marked, body in FENCES:
        if marked != " run":
            continue
        if language == "python":
            done = subprocess.run([sys.executable, "-W", "error", "-c", body], capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            ran += 1
            continue
        for line in body.splitlines():
            program, *arguments = shlex.split(line)
            assert program == "discern"
            assert cli.main(arguments) == 0, f"{line}: {capsys.readouterr().err}"
            ran += 1
    assert ran >= 6
    said = capsys.readouterr().out
    assert "66.7" in said or "0.667" in said  # two of the three answers of the README's own file are right


def test_the_readme_shows_commands():
    assert len(COMMANDS) >= 10


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_names_a_verb_and_options_that_exist(line):
    program, *words = shlex.split(line)
    assert program == "discern"
    command = typer.main.get_command(cli.app)
    while getattr(command, "commands", None):
        command = command.commands[words.pop(0)]
    known = {flag for one in command.params for flag in [*one.opts, *one.secondary_opts]}
    for word in words:
        if word.startswith("-"):
            assert word in known
        if word.endswith(".toml"):
            assert find_recipe(Path(word)).is_file()


def test_links_and_named_recipes_are_there():
    recipes = set(re.findall(r"`(recipes/\S+?\.toml)`", README + RESULTS))
    assert recipes
    missing = [name for name in recipes if not (ROOT / name).is_file()]
    assert not missing
    targets = set(re.findall(r"\]\(([^)#:]+)\)", README))
    assert {"docs/report.png", "docs/results.md", "ARCHITECTURE.md"} <= targets
    assert not [name for name in targets if not (ROOT / name).is_file()]
    assert (ROOT / "docs" / "report.png").stat().st_size < 200_000


DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_that_a_document_names_is_there(document):
    text = document.read_text(encoding="utf-8")
    named = re.findall(r"(?<![\w/<>*.~-])((?:tests|docs|recipes|src|benchmarks)/[\w./-]+\.(?:py|md|toml))", text)
    missing = sorted({name for name in named if not (ROOT / name).is_file()})
    assert not missing, f"{document.name} names files that are not there"


def test_the_python_of_the_readme_answers(tiny_run, tmp_path, monkeypatch, capsys):
    snippet = next(body for language, marked, body in FENCES if language == "python" and not marked)
    image = sorted((tiny_run.parent / "phantoms" / "images" / "test").glob("*.png"))[0]
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "run").symlink_to(tiny_run)
    (tmp_path / "chest.png").symlink_to(image)
    monkeypatch.chdir(tmp_path)
    exec(compile(snippet, "README.md", "exec"), {})
    assert re.match(r"^\S.* [01]\.\d+ \(\('", capsys.readouterr().out)


def test_it_says_what_it_is_not():
    assert "not for diagnosis" in README.lower()
    assert README.index("## Quick start") < README.index("## Results") < README.index("## What it does not do")
