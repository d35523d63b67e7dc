"""Which small faults in the source do the tests notice? A random sample of them, each tried by the tests that run it.

    pip install cosmic-ray pytest-cov
    python benchmarks/mutations.py map                 # one run of all tests: which test runs which line, and how long
    python benchmarks/mutations.py run --count 150     # draws the sample, tries it; goes on where it was stopped
    python benchmarks/mutations.py report

A place is an operator, a number, a keyword, a decorator or a loop that Cosmic Ray can change; places in annotations and
in texts are left out. Places are drawn evenly over the rooms' files, then one of the changes at each. A fault is caught
when a test fails (or does not end in time). It survives when all tests that run its line pass, or when none runs it.
Each is tried in a copy of the checkout, never in the checkout itself.
"""

import argparse
import ast
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent.parent
ROOMS = ("nn", "objectives", "models", "scoring", "trust", "training")
UNUSED = ("VariableReplacer", "VariableInserter", "ExceptionReplacer")
"""Operators of Cosmic Ray that need arguments, or that change what no value depends on."""
SECONDS = 240.0
"""The tests of one fault are chosen, the quickest first, until they take about so long in an undisturbed run."""


@dataclass(frozen=True)
class Fault:
    """A change of one place: what Cosmic Ray calls it, and where it is (line and column, counted from 1 and 0)."""

    file: str
    operator: str
    occurrence: int
    line: int
    column: int


def places(file: Path, root: Path) -> dict[tuple[int, int], list[Fault]]:
    """All faults of a file by their place."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.plugins import get_operator, operator_names

    source = file.read_text(encoding="utf-8")
    banned = _banned(ast.parse(source))
    nodes = list(ast_nodes(get_ast(source)))
    found: dict[tuple[int, int], list[Fault]] = {}
    for name in operator_names():
        if any(unused in name for unused in UNUSED) or name.endswith("no-op"):
            continue
        operator, occurrence = get_operator(name)(), 0
        for node in nodes:
            for start, _ in operator.mutation_positions(node):
                if start not in banned:
                    fault = Fault(file.relative_to(root).as_posix(), name, occurrence, *start)
                    found.setdefault(start, []).append(fault)
                occurrence += 1
    return found


def _banned(tree: ast.Module) -> set[tuple[int, int]]:
    """Positions inside annotations and docstrings."""
    parts: list[ast.AST] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign):
            parts.append(node.annotation)
        elif isinstance(node, ast.arg) and node.annotation:
            parts.append(node.annotation)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.returns:
            parts.append(node.returns)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            parts.append(node)
    banned: set[tuple[int, int]] = set()
    for part in parts:
        for line in range(part.lineno, part.end_lineno + 1):
            first = part.col_offset if line == part.lineno else 0
            last = part.end_col_offset if line == part.end_lineno else 200
            banned |= {(line, column) for column in range(first, last)}
    return banned


def draw(count: int, seed: int) -> list[Fault]:
    """The sample: places drawn evenly without replacement, then a change at each."""
    every: list[list[Fault]] = []
    for room in ROOMS:
        for file in sorted((HERE / "src/discern_vqa" / room).rglob("*.py")):
            every += [faults for _, faults in sorted(places(file, HERE).items())]
    rng = random.Random(seed)
    return [rng.choice(faults) for faults in rng.sample(every, min(count, len(every)))]


def map_tests(out: Path) -> None:
    """One run of the suite with the lines of each test, and each test's seconds."""
    environment = os.environ | {"COVERAGE_FILE": str(out / "coverage")}
    command = [
        sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadfile", f"--junitxml={out / 'tests.xml'}",
        "--cov=discern_vqa", "--cov-context=test", "--cov-report=", "-W", "ignore",
    ]  # fmt: skip
    subprocess.run(command, cwd=HERE, env=environment, check=False)


def seconds_of(out: Path) -> dict[str, float]:
    """Test id -> seconds."""
    cases = ElementTree.parse(out / "tests.xml").getroot().iter("testcase")
    return {
        f"{case.attrib['classname'].replace('.', '/')}.py::{case.attrib['name']}": float(case.attrib["time"])
        for case in cases
    }


class Coverage:
    """Which tests run a line."""

    def __init__(self, out: Path) -> None:
        from coverage import CoverageData

        self.data = CoverageData(basename=str(out / "coverage"))
        self.data.read()
        self.files = {
            Path(name).as_posix().partition("src/discern_vqa/")[2]: name for name in self.data.measured_files()
        }
        self.seconds = seconds_of(out)

    def tests(self, fault: Fault) -> list[str]:
        """The quickest tests that run the fault's line; those that run its file, for what runs at import alone."""
        name = self.files.get(fault.file.partition("src/discern_vqa/")[2])
        if name is None:
            return []
        by_line = self.data.contexts_by_lineno(name)
        ids = {context.partition("|")[0] for context in by_line.get(fault.line, [])} - {""}
        if not ids:
            ids = {context.partition("|")[0] for contexts in by_line.values() for context in contexts} - {""}
        chosen, total = [], 0.0
        for test in sorted(ids, key=lambda test: (self.seconds.get(test, 1.0), test)):
            total += self.seconds.get(test, 1.0)
            if chosen and total > SECONDS:
                break
            chosen.append(test)
        return chosen


def try_fault(fault: Fault, tests: list[str], copy: Path) -> dict[str, Any]:
    """What became of a fault in the copy of the checkout, which is as before afterwards."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    file = copy / fault.file
    source = file.read_text(encoding="utf-8")
    changed = mutate_code(source, get_operator(fault.operator)(), fault.occurrence)
    before, after = (text.splitlines()[fault.line - 1].strip() if text else "" for text in (source, changed))
    result: dict[str, Any] = asdict(fault) | {"before": before, "after": after, "tests": len(tests)}
    if not tests:
        return result | {"outcome": "survived", "why": "no test runs it"}
    started = time.monotonic()
    try:
        file.write_text(changed, encoding="utf-8")
        given = copy / "tests_of_a_fault.txt"
        given.write_text("\n".join(tests), encoding="utf-8")
        settings = {"PYTHONPATH": str(copy / "src"), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        options = ["-x", "-q", "-n", "0", "--no-header", "-p", "no:cacheprovider"]
        command = [sys.executable, "-m", "pytest", *options, f"@{given}"]
        ended = subprocess.run(
            command, cwd=copy, env=os.environ | settings, capture_output=True, text=True, timeout=SECONDS * 4
        )
        why = ended.stdout.strip().splitlines()[-1:] or [""]
        outcome = {0: "survived", 1: "caught", 2: "caught"}.get(ended.returncode, "unresolved")
    except subprocess.TimeoutExpired:
        why, outcome = ["it did not end in time"], "caught"
    finally:
        file.write_text(source, encoding="utf-8")
    return result | {"outcome": outcome, "why": why[0], "seconds": round(time.monotonic() - started, 1)}


def run(out: Path, count: int, seed: int) -> None:
    """Tries what of the sample has not been tried yet."""
    done_file = out / f"faults_{seed}.jsonl"
    lines = done_file.read_text(encoding="utf-8").splitlines() if done_file.is_file() else []
    done = {(line["file"], line["operator"], line["occurrence"]) for line in map(json.loads, lines)}
    coverage = Coverage(out)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "checkout"
        shutil.copytree(HERE, copy, ignore=shutil.ignore_patterns(".git", ".venv", "build", "*_cache"))
        if (HERE.parent / "shared").is_dir():
            (Path(folder) / "shared").symlink_to(HERE.parent / "shared")
        for number, fault in enumerate(draw(count, seed)):
            if (fault.file, fault.operator, fault.occurrence) in done:
                continue
            result = try_fault(fault, coverage.tests(fault), copy)
            with open(done_file, "a", encoding="utf-8") as file:
                file.write(json.dumps(result) + "\n")
            print(
                f"[{number + 1}/{count}] {result['outcome']}: {fault.file}:{fault.line}: {result['after']}", flush=True
            )


def report(out: Path, seed: int) -> None:
    """Counts and survivors. What could not be resolved counts as a survivor."""
    results = [json.loads(line) for line in (out / f"faults_{seed}.jsonl").read_text(encoding="utf-8").splitlines()]
    caught = sum(result["outcome"] == "caught" for result in results)
    print(f"{caught} of {len(results)} caught ({100 * caught / max(1, len(results)):.0f} %), seed {seed}")
    for result in results:
        if result["outcome"] != "caught":
            where = f"{result['file']}:{result['line']}"
            print(
                f"{result['outcome']}: {where} ({result['tests']} tests)\n  - {result['before']}\n  + {result['after']}"
            )


def main() -> None:
    """See the docstring of the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["map", "run", "report"])
    parser.add_argument("--out", type=Path, default=HERE / "build" / "mutations")
    parser.add_argument("--count", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if given.what == "map":
        map_tests(given.out)
    elif given.what == "run":
        run(given.out, given.count, given.seed)
    else:
        report(given.out, given.seed)


if __name__ == "__main__":
    main()
