"""docs/paper_map.md is true: every function it names can be imported, every test exists, no equation is missing."""

import ast
import importlib
import re
from functools import reduce
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
MAP = TESTS.parent / "docs" / "paper_map.md"
CELL = re.compile(r"^`(?P<first>[\w.]+):{1,2}(?P<second>[\w.]+)`$")


def table() -> list[list[str]]:
    """The rows of the page's tables: [equation or topic, what it says, function, test]."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in MAP.read_text(encoding="utf-8").splitlines()
        if line.startswith("|")
    ]
    return [row for row in rows if row[0] not in {"Eq.", "about", "---"}]


ROWS = table()


def test_every_equation_from_1_to_13_has_a_row_and_no_other_is_made_up():
    equations = {row[0] for row in ROWS if row[0].isdigit()}
    assert equations == {str(number) for number in range(1, 14)}
    assert all(len(row) == 4 for row in ROWS)


def test_every_module_of_cmi_mtl_and_every_defect_has_a_row():
    named = {row[0] for row in ROWS}
    assert {"FVTA", "CIFR", "FFAE", "answering"} <= named
    defects = {name for name in named if re.fullmatch(r"D\d+", name)}
    assert defects == {f"D{number}" for number in range(1, 15)} - {"D10"}
    assert "D10" in MAP.read_text(encoding="utf-8")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}-{row[2].strip('`')}")
def test_a_row_names_a_function_and_a_test_that_exist(row):
    function, test = CELL.match(row[2]), CELL.match(row[3])
    assert function, f"{row[2]}: expected `module:qualified.name`"
    assert test, f"{row[3]}: expected `test_file.py::test_name`"
    found = reduce(getattr, function["second"].split("."), importlib.import_module(function["first"]))
    assert callable(found)
    assert found.__doc__, f"{row[2]} says nothing about itself"
    tree = ast.parse((TESTS / test["first"]).read_text(encoding="utf-8"))
    assert test["second"] in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_functions_of_the_equations_cite_them():
    """Eq. N stands in the docstring of the function, or at the head of the module it is in."""
    silent = []
    for equation, _, function, _ in ROWS:
        if not equation.isdigit() or int(equation) in (1, 13):
            continue
        module, name = CELL.match(function).groups()
        loaded = importlib.import_module(module)
        said = " ".join([loaded.__doc__ or "", reduce(getattr, name.split("."), loaded).__doc__ or ""])
        numbers = {
            number
            for first, last in re.findall(r"Eq\.? (\d+)(?:\s?(?:-|to|and|,)\s?(\d+))?", said)
            for number in range(int(first), int(last or first) + 1)
        }
        if int(equation) not in numbers and "CMDPI" not in said:
            silent.append(f"{function} does not cite Eq. {equation}")
    assert not silent
