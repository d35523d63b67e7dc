"""Every command that a message tells the user to type is one that the program takes: its verbs, options and arguments.

Found by reading the source: all texts but docstrings and `help=` texts, whose mentions in `backticks` are no commands.
"""

import ast
import re
import shlex
import tomllib
from pathlib import Path

import pytest
import typer

from discern_vqa import cli

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "discern_vqa"
FORMATS = {"discern predict 1", "discern split 1"}
"""Names of file formats, which begin as commands do."""
ENDS = re.compile(r"[,;)]$|^[(]|^(makes|or|and|then|wrote|writes|first|again)$")
UsageError: type[Exception] = typer.BadParameter.__mro__[1]


def texts(tree: ast.AST) -> list[tuple[int, str]]:
    """(line, text) of each text of a program that may be printed; what an f-string fills in is 1."""
    left_out: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            left_out.add(id(node.value))
        if isinstance(node, ast.keyword) and node.arg == "help":
            left_out |= {id(part) for part in ast.walk(node.value)}
        if isinstance(node, ast.JoinedStr):
            left_out |= {id(part) for part in node.values}
    found = []
    for node in ast.walk(tree):
        if id(node) in left_out:
            continue
        if isinstance(node, ast.JoinedStr):
            filled = [str(part.value) if isinstance(part, ast.Constant) else "1" for part in node.values]
            found.append((node.lineno, "".join(filled)))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append((node.lineno, node.value))
    return found


def commands(text: str) -> list[list[str]]:
    """The words of each command in a text; a command ends with the sentence, and before another one."""
    found = []
    plain = re.sub(r"`[^`]*`", "", text)
    for match in re.finditer(r"(?<![\w-])(discern(?= [a-z])|pip install)\b[^\n]*", plain):
        rest = re.split(r"(?<=.)(?=\bdiscern [a-z])", match[0])[0]
        try:
            words = shlex.split(rest)
        except ValueError:  # an apostrophe of the sentence behind it
            words = rest.split()
        command: list[str] = []
        for word in words:
            if ENDS.search(word) and command:
                command += [word.rstrip(",;)")] if not re.match(r"[(]|\w+$", word) or word[-1] in ",;)" else []
                break
            command.append(word)
        found.append([word for word in command if word])
    return found


ALL = [
    pytest.param(words, id=f"{file.relative_to(SOURCE)}:{line}: {shlex.join(words)[:80]}")
    for file in sorted(SOURCE.rglob("*.py"))
    for line, text in texts(ast.parse(file.read_text(encoding="utf-8")))
    if text not in FORMATS
    for words in commands(text)
]


def parse(words: list[str]) -> None:
    """Raises UsageError where the program does not take these words. Nothing is run."""
    command = typer.main.get_command(cli.app)
    names, rest = ["discern"], list(words[1:])
    while hasattr(command, "commands"):
        if names[-1] == "experiment" and (not rest or rest[0] not in command.commands):
            rest.insert(0, "run")  # as `discern experiment fig8`
        if rest[0] in ("--help", "--version"):
            return
        if rest[0] not in command.commands:
            raise typer.BadParameter(f"{' '.join(names)} has no command {rest[0]!r}")
        names.append(rest.pop(0))
        command = command.commands[names[-1]]
    if rest != ["--help"]:
        command.make_context(" ".join(names), rest)


@pytest.mark.parametrize("words", ALL)
def test_a_command_in_a_message_is_one_that_can_be_typed(words):
    if words[0] == "discern":
        try:
            parse(words)
        except UsageError as error:
            pytest.fail(f"{shlex.join(words)}: {error}")
        return
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    asked = [extra for word in words[2:] for extra in re.findall(r"^discern-vqa\[(.+)\]$", word)]
    assert [extra for extra in asked if extra != "1" and extra not in extras] == []
    known = re.compile(r"--(no-deps|upgrade)$|discern-vqa(\[[\w,-]+\])?$|[a-z0-9-]+$|1$")
    assert [word for word in words[2:] if not known.match(word)] == []
    assert len(words) > 2


def test_many_commands_are_found_and_wrong_ones_are_noticed():
    assert len(ALL) >= 60
    assert commands("first: discern data get slake (it is x), or add --data DIR") == [
        ["discern", "data", "get", "slake"]
    ]
    assert commands("see `discern data audit`") == []
    for wrong in ("discern audit csv x", "discern data audit", "discern train r.toml --option a=b --out x"):
        ((words,),) = [commands(f"try: {wrong}")]
        with pytest.raises(UsageError):
            parse(words)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("audit", "data audit"),
        ("split", "data split"),
        ("eval", "evaluate"),
        ("infer", "predict"),
        ("show", "data look"),
    ],
)
def test_a_command_by_another_name_is_answered_with_the_one_that_is_meant(typed, meant, capsys):
    assert cli.main([typed, "x"]) == 2
    assert capsys.readouterr().err.splitlines()[1] == f"try: discern {meant} --help"
    parse(["discern", *meant.split(), "--help"])


def test_every_other_word_leads_to_a_command_that_there_is():
    for meant in cli.OTHER_WORDS.values():
        parse(["discern", *meant.split(), "--help"])


@pytest.mark.parametrize("command", ["data list", "experiment --list"])
def test_a_list_ends_with_the_command_that_comes_next(command, capsys):
    assert cli.main(command.split()) == 0
    *_, last = capsys.readouterr().out.splitlines()
    assert last.startswith("next: discern ")
    parse(shlex.split(last.removeprefix("next: ")))
