"""Every module that is found by its name has what its contract asks: mypy holds it against the Protocol."""

import subprocess
import sys
from pathlib import Path

import pytest

from discern_vqa import audit, registry
from discern_vqa.contracts import BaselineRow, FittedBaseline

ROOT = Path(__file__).resolve().parents[1]
KINDS = {
    "datasets": "Reader",
    "models": "Model",
    "objectives": "Objective",
    "explanations": "ExplanationMethod",
    "measurements": "Measurement",
}


def declarations() -> list[str]:
    """A line for each module: its import, and its assignment to its contract."""
    found = [(f"discern_vqa.{kind}", name, contract) for kind, contract in KINDS.items()
             for name in registry.names(kind)]  # fmt: skip
    found += [("discern_vqa.audit", name, "AuditCheck") for name in audit.CHECKS]
    for name in registry.names("baselines"):
        module = registry.load("baselines", name)
        kinds = {"BaselineRow": BaselineRow, "FittedBaseline": FittedBaseline}
        assert any(isinstance(module, kind) for kind in kinds.values()), f"baselines/{name}.py answers nothing"
        found += [("discern_vqa.baselines", name, kind) for kind in kinds if isinstance(module, kinds[kind])]
    lines = []
    for number, (package, name, contract) in enumerate(found):
        lines += [
            f"from {package} import {name} as module_{number}",
            f"is_{number}: contracts.{contract} = module_{number}",
        ]
    return lines


def checked(path: Path, lines: list[str]) -> str:
    """What mypy says of a file of these lines."""
    path.write_text("\n".join(["from discern_vqa import contracts", *lines, ""]), encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", "--no-error-summary", str(path)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def said(tmp_path_factory) -> str:
    """Of all modules, and of one of each kind held against the wrong contract."""
    wrong = ["from discern_vqa.datasets import jsonl", "from discern_vqa.models import cmdpi",
             "wrong_reader: contracts.Reader = cmdpi", "wrong_model: contracts.Model = jsonl",
             "wrong_objective: contracts.Objective = cmdpi"]  # fmt: skip
    return checked(tmp_path_factory.mktemp("contracts") / "held.py", [*declarations(), *wrong])


def test_every_module_keeps_its_contract(said):
    errors = [line for line in said.splitlines() if ": error:" in line]
    assert len(declarations()) > 2 * 40
    assert len(errors) == 3, said


@pytest.mark.parametrize("contract", ["Reader", "Model", "Objective"])
def test_a_module_that_breaks_its_contract_is_noticed(said, contract):
    assert (
        f'expected "{contract}"' in said
        or f'has type "{contract}"' in said
        or f'variable has type "{contract}"' in said
    )
