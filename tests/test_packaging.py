"""What is built and what is kept: the wheel carries what it needs, and the repository nothing it should not."""

import ast
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from discern_vqa import __version__
from discern_vqa.doctor import EXTRAS

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONSTRAINTS = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()

LARGEST_KIB = 1024
UNSAFE = {".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".bin", ".safetensors", ".onnx", ".npy", ".npz", ".dcm", ".nii"}


def canonical(name: str) -> str:
    """A distribution's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def tracked() -> list[Path]:
    """The files that git keeps, or every file of the source tree where there is no git (a source archive)."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode == 0:
        names = [name for name in listed.stdout.split("\0") if name]
        return [ROOT / name for name in names if (ROOT / name).is_file()]
    return [path for part in ("src", "tests", "docs", "recipes") for path in (ROOT / part).rglob("*") if path.is_file()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel of this tree, unpacked."""
    out = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(out)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (built,) = out.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        archive.extractall(out / "unpacked")
    return out / "unpacked"


def test_the_wheel_carries_every_module_template_and_recipe(wheel):
    sources = {path.relative_to(ROOT / "src").as_posix() for path in tracked() if ROOT / "src" in path.parents}
    carried = {path.relative_to(wheel).as_posix() for path in wheel.rglob("*") if path.is_file()}
    assert "discern_vqa/py.typed" in sources
    assert sources <= carried
    recipes = {f"discern_vqa/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / "recipes").rglob("*.toml")}
    assert recipes
    assert recipes <= carried


def test_an_installed_package_finds_its_recipes_from_any_folder(wheel, tmp_path):
    code = (
        f"import sys; sys.path.insert(0, {str(wheel)!r})\n"
        "from pathlib import Path; from discern_vqa.paths import find_recipe\n"
        "print(find_recipe(Path('recipes/cmdpi/phantom.toml')))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.strip() == str(wheel / "discern_vqa" / "recipes" / "cmdpi" / "phantom.toml"), done.stderr


def test_the_wheel_says_its_version_licence_and_command(wheel):
    (about,) = wheel.glob("*.dist-info")
    metadata = (about / "METADATA").read_text(encoding="utf-8")
    assert f"Name: discern-vqa\nVersion: {__version__}\n" in metadata
    assert "License-Expression: Apache-2.0" in metadata
    assert "discern = discern_vqa.cli:main" in (about / "entry_points.txt").read_text(encoding="utf-8")
    assert "Apache License" in (about / "licenses" / "LICENSE").read_text(encoding="utf-8")


def test_every_core_dependency_is_pinned_for_development_and_torch_comes_first():
    pinned = [canonical(line.split("==")[0]) for line in CONSTRAINTS if "==" in line]
    assert pinned[0] == "torch"
    core = {canonical(re.split(r"[\[>=<]", requirement)[0]) for requirement in PROJECT["project"]["dependencies"]}
    assert core <= set(pinned)


def test_every_dependency_has_a_lower_bound():
    groups = PROJECT["project"]["optional-dependencies"]
    every = [*PROJECT["project"]["dependencies"], *(one for group in groups.values() for one in group)]
    assert all(">=" in requirement for requirement in every)


def test_doctor_knows_every_extra():
    assert EXTRAS.keys() == PROJECT["project"]["optional-dependencies"].keys() - {"dev"}


def test_everything_imported_is_declared():
    modules = {"PIL": "pillow", "sklearn": "scikit-learn", "yaml": "pyyaml"}
    groups = PROJECT["project"]["optional-dependencies"]
    declared = [*PROJECT["project"]["dependencies"], *(one for group in groups.values() for one in group)]
    names = {canonical(re.split(r"[\[>=<]", requirement)[0]) for requirement in declared} | {"pydantic-core"}
    imported = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                imported.add(str(node.module).split(".")[0])
    foreign = imported - set(sys.stdlib_module_names) - {"discern_vqa"}
    assert {"torch", "numpy", "PIL"} <= foreign
    undeclared = {module for module in foreign if canonical(modules.get(module, module)) not in names}
    assert not undeclared


def test_the_repository_holds_no_weights_pickles_or_large_files():
    runs = ROOT / "tests" / "runs_of_0_1_0"  # random weights of some thousand numbers, trained on phantoms
    assert sum(path.stat().st_size for path in runs.rglob("*") if path.is_file()) <= LARGEST_KIB * 1024
    for path in tracked():
        if runs in path.parents:
            assert path.suffix in {".json", ".jsonl", ".toml", ".safetensors"}
            continue
        assert path.suffix not in UNSAFE, f"{path} does not belong in the repository"
        assert path.stat().st_size <= LARGEST_KIB * 1024, f"{path} is over {LARGEST_KIB} KiB"


def test_the_sources_call_nothing_that_can_run_a_strangers_code():
    calls = r"pickle\.load|torch\.load\(|trust_remote_code=True|yaml\.load\(|shell=True"
    guilty = [str(path) for path in (ROOT / "src").rglob("*.py") if re.search(calls, path.read_text(encoding="utf-8"))]
    assert not guilty


def test_an_exported_run_answers_the_same_from_the_wheel_alone(wheel, tiny_run, tmp_path):
    """What whoever gets an export has: the wheel, the folder and an image. The source tree is not there."""
    import shutil

    import discern_vqa
    from discern_vqa.evaluation.calibrate import calibrate_run
    from discern_vqa.scoring.predictions import Prediction, write
    from discern_vqa.shared_folder import share

    run, phantoms = tmp_path / "exporting" / "run", tiny_run.parent / "phantoms"
    shutil.copytree(tiny_run, run, ignore=shutil.ignore_patterns("ood.*", "calibration.json"))
    held_out = [
        Prediction(
            id=f"held out {number}",
            image=f"image {number}",
            gold="yes" if number % 3 else "no",
            answer_type="closed",
            prediction="yes",
            score=0.5 + number / 200,
            alternatives=(("yes", 0.5 + number / 200), ("no", 0.4 - number / 200)),
            others=2,
        )
        for number in range(60)
    ]
    write(tmp_path / "held_out.jsonl", held_out)
    calibrate_run(run, on=tmp_path / "held_out.jsonl")
    share(run, tmp_path / "given" / "run", "mit")
    images = sorted((phantoms / "images" / "test").iterdir())[:3]
    for number, image in enumerate(images):
        shutil.copy(image, tmp_path / "given" / f"{number}{image.suffix}")
    code = (
        "import json, pathlib, discern_vqa\n"
        "model = discern_vqa.load('run')\n"
        "asked = [(path, text) for path in sorted(pathlib.Path('.').glob('[0-9].*'))\n"
        "         for text in ('Is there a mass?', 'Which organ is shown?')]\n"
        "answers = [(answer.score, model.line_of(answer)) for answer in (model.ask(*pair) for pair in asked)]\n"
        "print(json.dumps([str(pathlib.Path(discern_vqa.__file__).parent), answers]))"
    )
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(wheel), "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    python = [sys.executable, "-P", "-c", code]
    done = subprocess.run(python, cwd=tmp_path / "given", env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    place, there = json.loads(done.stdout)
    assert place == str(wheel / "discern_vqa")
    model, questions = discern_vqa.load(run), ("Is there a mass?", "Which organ is shown?")
    here = [model.ask(image, text) for image in images for text in questions]
    assert [line["prediction"] for _, line in there] == [answer.text for answer in here]
    assert [score for score, _ in there] == pytest.approx([answer.score for answer in here], abs=1e-6)
    lines = [model.line_of(answer) for answer in here]
    for key in ("confidence", "answer_set", "set_coverage", "abstains"):
        assert [line[key] for _, line in there] == [line[key] for line in lines]
    exported = json.loads((tmp_path / "given" / "run" / "calibration.json").read_text())
    assert exported == json.loads((run / "calibration.json").read_text()) | {"fitted_on": exported["fitted_on"]}
    given = b"".join(path.read_bytes() for path in (tmp_path / "given" / "run").rglob("*") if path.is_file())
    for place in (tmp_path, tiny_run.parent, ROOT, Path.home()):
        assert str(place).encode() not in given
