"""The house: imports go downstairs only, what must be light is light, and every file can be read at one sitting."""

import ast
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from discern_vqa import registry

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "discern_vqa"
LONGEST = 350

# From the cellar to the roof. A room imports from the floors below it, never from its own floor or from above.
FLOORS = [
    {"errors", "version", "contracts", "durations", "timers"},
    {"files", "fonts", "pages", "toml", "own_packages"},
    {"registry", "lock", "renamed_keys", "recipe_table", "run_folder"},
    {"paths", "recipe_check"},
    {"config", "division", "imaging"},
    {"data", "nn"},
    {"bases"},
    {"lab"},
    {"dicomweb", "reading", "models", "parts", "answering", "fitting", "attribution", "asking"},
    {"datasets", "scoring", "objectives", "run", "baselines", "outside", "explanations"},
    {"recipe_samples", "recipe_keys", "recipe_list", "trust", "audit", "card", "data_file"},
    {"auxiliary_sets", "shared_folder"},
    {"measurements", "hub"},
    {"dicom_out", "report"},
    {"training"},
    {"evaluation", "model_checks"},
    {"bench", "experiments", "serve", "other_tools", "onnx_export"},
    {"start"},
    {"doctor", "scaffold"},
    {"commands"},
    {"cli"},
    {"__main__"},
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}

# Below the floor, and still not theirs to enter.
CLOSED = {
    ("datasets", "nn"): "a reader knows samples, not layers",
    ("reading", "nn"): "a reader knows samples, not layers",
    ("run", "datasets"): "a run folder knows no data set",
    ("run", "reading"): "a run folder knows no data set",
}

# Rooms and files that start at once and run where torch is not.
LIGHT_ROOMS = (
    "asking",
    "audit",
    "datasets",
    "dicom_out",
    "dicomweb",
    "imaging",
    "measurements",
    "outside",
    "reading",
    "report",
    "scoring",
    "trust",
)
LIGHT_FILES = (
    "__init__",
    "card",
    "cli",
    "contracts",
    "doctor",
    "errors",
    "files",
    "paths",
    "registry",
    "toml",
    "version",
)
LIGHT_DATA = ("answers", "sample", "splits")


def module_of(file: Path) -> str:
    """A file's dotted name."""
    return ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


LIGHT = {room: [module_of(file) for file in sorted((PACKAGE / room).rglob("*.py"))] for room in LIGHT_ROOMS}
LIGHT["files of the package"] = [module_of(PACKAGE / f"{name}.py") for name in LIGHT_FILES]
LIGHT["what asks an export to ONNX"] = [
    f"discern_vqa.{name}"
    for name in (
        "answering.classified",
        "data.kept",
        "data.prior.wording",
        "data.token_rows",
        "evaluation.asked_run",
        "evaluation.onnx_graphs",
        "evaluation.opening",
        "evaluation.predict_file",
        "evaluation.predict_onnx",
    )
]
LIGHT["data"] = [module_of(PACKAGE / "data" / f"{name}.py") for name in LIGHT_DATA]

FILES = sorted(PACKAGE.rglob("*.py"))


def room_of(file: Path) -> str:
    """The room a file stands in: its folder in the package, or its own name for a file at the top."""
    inside = file.relative_to(PACKAGE)
    return inside.parts[0] if len(inside.parts) > 1 else inside.stem


def rooms_imported(source: str, file: Path) -> list[tuple[str, int]]:
    """Every room that a file imports from, anywhere in it (also inside functions), with the line."""
    found: list[tuple[str, int]] = []
    tree = ast.parse(source, str(file))
    if file.name == "contracts.py":  # it names types of every room, and imports none of them when the program runs
        tree.body = [node for node in tree.body if not is_for_types(node)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            package = file.relative_to(PACKAGE.parent).parts[: -node.level]
            base = ".".join([*package, *([node.module] if node.module else [])])
            names = [f"{base}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "discern_vqa" and len(parts) > 1 and not parts[1].startswith("__version"):
                found.append((parts[1], node.lineno))
    return found


def is_for_types(node: ast.stmt) -> bool:
    """`if TYPE_CHECKING:`"""
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def wrong_turns(room: str, source: str, file: Path) -> list[str]:
    """What is wrong with a file's imports, a line each."""
    wrong = []
    for other, line in rooms_imported(source, file):
        if other == room:
            continue
        if other not in FLOOR:
            wrong.append(f"{file}:{line}: {other} has no floor; give it one in {Path(__file__).name}")
        elif FLOOR[other] >= FLOOR[room]:
            wrong.append(f"{file}:{line}: {room} imports {other}, which is not below it")
        elif other == "lab":
            wrong.append(f"{file}:{line}: {room} imports lab, which is for experiments: what is there is found by name")
        elif (room, other) in CLOSED:
            wrong.append(f"{file}:{line}: {room} imports {other}: {CLOSED[room, other]}")
    return wrong


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(PACKAGE).as_posix())
def test_imports_go_downstairs_only(file):
    room = room_of(file)
    if room == "__init__":  # the public door: it opens what it needs inside its functions
        return
    assert room in FLOOR, f"{file} has no floor; give it one in {Path(__file__).name}"
    assert not wrong_turns(room, file.read_text(encoding="utf-8"), file)


@pytest.mark.parametrize(
    ("room", "statement"),
    [
        ("data", "from discern_vqa.nn import transformer"),
        ("nn", "import discern_vqa.data.sample"),
        ("models", "from discern_vqa import datasets"),
        ("scoring", "def later():\n    from discern_vqa.evaluation import evaluate"),
        ("training", "from discern_vqa.evaluation.predict import Predictor"),
        ("datasets", "from discern_vqa.nn.losses import contrast"),
        ("errors", "from . import files"),
        ("models", "from discern_vqa.lab import mixers"),
    ],
)
def test_a_wrong_turn_is_noticed(room, statement):
    file = PACKAGE / "errors.py" if room == "errors" else PACKAGE / room / "imaginary.py"
    assert len(wrong_turns(room, statement, file)) == 1


def test_a_right_turn_is_allowed():
    statement = "from discern_vqa import __version__\nfrom discern_vqa.data.sample import Sample\nimport torch"
    assert wrong_turns("models", statement, PACKAGE / "models" / "imaginary.py") == []


@pytest.mark.parametrize("room", sorted(LIGHT))
def test_importing_is_silent_and_does_not_wake_torch(room):
    code = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
        "    if 'torch' in sys.modules: sys.exit(name)\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code, *LIGHT[room]], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("", ""), f"of {room}, this module imports torch, or prints: {done.stderr}"
    assert done.returncode == 0


def test_every_reader_is_among_the_light_modules():
    assert {f"discern_vqa.datasets.{name}" for name in registry.names("datasets")} <= set(LIGHT["datasets"])


@pytest.mark.parametrize("folder", ["src", "tests"])
def test_every_file_can_be_read_at_one_sitting(folder):
    lengths = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in (ROOT / folder).rglob("*.py")}
    assert lengths
    long = [f"{file.relative_to(ROOT)}: {lines} lines" for file, lines in lengths.items() if lines > LONGEST]
    assert not long, f"a file over {LONGEST} lines is two ideas; split {', '.join(long)}"


def test_no_modules_import_each_other_in_a_circle(tmp_path):
    structure = runpy.run_path(str(ROOT / "benchmarks" / "structure.py"))
    assert structure["circles"](structure["import_graph"](PACKAGE)) == []
    package = tmp_path / "round"
    package.mkdir()
    for name, text in {"__init__": "", "a": "from round import b", "b": "def f():\n    from round.c import x",
                       "c": "from round.a import y", "d": "from round import a"}.items():  # fmt: skip
        (package / f"{name}.py").write_text(text)
    assert structure["circles"](structure["import_graph"](package)) == [["round.a", "round.b", "round.c"]]
