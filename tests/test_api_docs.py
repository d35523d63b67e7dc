"""The examples of docs/api.md run as they stand, and so does the notebook, whose output names no folder."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "docs" / "notebook.ipynb"
RUN = """
import sys, nbformat, nbclient
notebook = nbformat.read(sys.argv[1], 4)
nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
nbformat.write(notebook, sys.argv[2])
"""


def test_the_examples_of_the_page_run(tiny_run: Path, tmp_path: Path) -> None:
    phantoms = tiny_run.parent / "phantoms"
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "demo").symlink_to(tiny_run)
    (tmp_path / "phantoms").symlink_to(phantoms)
    shutil.copy(next((phantoms / "images" / "test").glob("*.png")), tmp_path / "chest.png")
    blocks = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs" / "api.md").read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 6
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(blocks)], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "not measured for this run yet" in done.stdout
    assert "blank_image" in done.stdout


def outputs(path: Path) -> list[str]:
    """The texts that a notebook's cells print."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    printed = [output for cell in cells for output in cell.get("outputs", ()) if output["output_type"] == "stream"]
    return ["".join(output["text"]) for output in printed]


def test_the_notebook_runs_and_prints_what_stands_in_it(tmp_path: Path) -> None:
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RUN, str(NOTEBOOK), str(tmp_path / "run.ipynb")],
        env=os.environ | {"JUPYTER_CONFIG_DIR": str(tmp_path), "IPYTHONDIR": str(tmp_path)},
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    stored, printed = outputs(NOTEBOOK), outputs(tmp_path / "run.ipynb")
    assert len(stored) == len(printed) == 3
    assert printed[0] == stored[0], "the questions"
    assert printed[2] == stored[2], "the figures of a rule that learns nothing"
    assert "accuracy 0." in printed[2]
    content = NOTEBOOK.read_text(encoding="utf-8")
    assert not re.search(r"/tmp/|/home/|/work/|/root/", content)
