"""The field's own words: documentation and messages are searched for phrases that only this project would use.

Such a phrase sends its reader to a glossary. Searched are README, ARCHITECTURE,
CONTRIBUTING and the pages of docs/ without what stands in code font, the templates of the pages, and of every module
the texts: docstrings, messages, hints, help texts, and f-strings with their fields left out. Names of keys and files
keep what they are called, since files that exist already use them.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src" / "discern_vqa"

INSTEAD = {
    r"answer tables?": "vocabulary",
    r"slow twins?": "reference implementation",
    r"twins?": "image pair, or partner",
    r"carv(?:e|es|ed|ing|ings)": "hold out",
    r"judged splits?": "evaluation split",
    r"(?<!percentage )(?<!decimal )(?<!starting )(?<!floating )(?<!fixed )(?<!entry )points?(?! (?:to|at|out)\b)": (
        "pixel, or percentage point"
    ),
    r"pictures?": "image",
    r"stand-ins?": "ablated image",
    r"deal(?:t|s|ing|ings)?": "assign, stratified assignment",
    r"likeness(?:es)?": "thumbnail distance, or similarity",
    r"(?:sets?|questions|samples|learned|learned from) beside|beside its own": "auxiliary",
    r"out of scope|scopes?(?!\.\w|=)": "out-of-distribution detection",
    r"said with the command that gets it": "the error message gives the command",
    r"to be had": "available",
    r"mend(?:s|ed|ing)?": "correct, or repair",
}
"""Forbidden phrase, as a pattern over whole words in any case -> what the field says."""

EXCEPTIONS = {
    "Does the picture contain": "a question of SLAKE, quoted as published",
    "included in the picture?": "likewise",
    "organ in this picture?": "likewise",
    "control points": "of a Bezier curve",
    "offset points": "a unit of matplotlib",
    "largest organ in the picture?": "a question of SLAKE, quoted as published",
}
"""Phrase that holds a forbidden one and stays -> why. It is taken out of every text before the search."""

_FORBIDDEN = {re.compile(rf"(?<![\w-])(?:{phrase})(?![\w-])", re.IGNORECASE): word for phrase, word in INSTEAD.items()}
_CODE = re.compile(r"(`+)(?:(?!\1).)+\1|\"\w+\"", re.DOTALL)
_FENCED = re.compile(r"^```.*?^```|^ {4,}\S[^\n]*$", re.DOTALL | re.MULTILINE)
_PARAMETER = re.compile(r"^ +\w+(?:, \w+)*:(?= )", re.MULTILINE)
_LINK = re.compile(r"\]\([^)]*\)")


def _offences(text: str) -> Iterator[tuple[int, str]]:
    """(line within the text from 0, what is wrong) for each forbidden phrase outside code font."""
    for code in (_CODE, _LINK, _PARAMETER):
        text = code.sub(lambda found: "\n" * found[0].count("\n") + "_", text)
    for phrase in EXCEPTIONS:
        text = text.replace(phrase, "_" * len(phrase))
    for pattern, word in _FORBIDDEN.items():
        for found in pattern.finditer(text):
            yield text.count("\n", 0, found.start()), f"{found[0]!r}; the field says: {word}"


def _texts(source: str) -> Iterator[tuple[int, str]]:
    """(line, text) of each string in a module that holds a space; an f-string is one text, its fields are "_"."""
    tree = ast.parse(source)
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        text = ""
        if isinstance(node, ast.JoinedStr):
            fields = (part.value if isinstance(part, ast.Constant) else "_" for part in node.values)
            text = "".join(str(field) for field in fields)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            text = node.value
        if " " in text:
            assert isinstance(node, ast.expr)
            yield node.lineno, text


def offences(file: Path) -> list[str]:
    """ "file:line: what is wrong" of one page, template or module."""
    content = file.read_text(encoding="utf-8")
    if file.suffix == ".py":
        texts = list(_texts(content))
    else:
        texts = [(1, _FENCED.sub(lambda found: "\n" * found[0].count("\n"), content))]
    where = file.relative_to(ROOT).as_posix() if file.is_relative_to(ROOT) else file.name
    found = sorted((line + below, what) for line, text in texts for below, what in _offences(text))
    return [f"{where}:{line}: {what}" for line, what in found]


def _files() -> list[Path]:
    pages = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")]
    pages += [page for page in sorted((ROOT / "docs").glob("*.md")) if page.name != "LOG.md"]
    return [*pages, *sorted(SRC.rglob("*.j2")), *sorted(SRC.rglob("*.py"))]


def test_pages_and_messages_use_the_words_of_the_field() -> None:
    found = [offence for file in _files() for offence in offences(file)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("one answer table", ["answer table"]),
        ("the slow twin of it", ["slow twin", "twin"]),
        ("Carved out of train", ["Carved"]),
        ("40 x 48 points", ["points"]),
        ("+1.2 percentage points, a decimal point, a starting point, which points to it", []),
        ("the picture", ["picture"]),
        ("SLAKE's questions beside its own", ["questions beside"]),
        ("a table beside a folder", []),
        ("the key `twins`, the file scope.json", []),
        ("Args:\n    twin: the image pair", []),
        ("it stands in; a stand-in", ["stand-in"]),
        ("a dealer amends it", []),
    ],
)
def test_whole_words_outside_code_font_are_found(text: str, found: list[str]) -> None:
    assert sorted(what.split("'")[1] for _, what in _offences(text)) == sorted(found)


def test_every_part_of_a_module_that_speaks_is_searched(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(
        '"""A picture."""\nKEY = "picture"\n\n\ndef f(n: int) -> str:\n    """One\n\n    picture."""\n'
        '    print("wide " "picture")\n    return f"{n} points"\n'
    )
    assert [line.rsplit(": the", 1)[0].partition("; ")[0] for line in offences(module)] == [
        "module.py:1: 'picture'",
        "module.py:8: 'picture'",
        "module.py:9: 'picture'",
        "module.py:10: 'points'",
    ]
    page = tmp_path / "page.md"
    page.write_text("# A page\n\n```\na picture\n```\n\nSee [it](picture.md).\nA picture.\n")
    assert [line.partition(";")[0] for line in offences(page)] == ["page.md:8: 'picture'"]


@pytest.mark.parametrize("phrase", EXCEPTIONS)
def test_every_exception_is_still_needed(phrase: str) -> None:
    assert any(phrase in file.read_text(encoding="utf-8") for file in _files())
