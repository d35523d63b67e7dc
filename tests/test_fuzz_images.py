"""Broken files of every kind: only our own error, in time, in little memory; `benchmarks/fuzz_images.py` tries more."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from _broken import SEEDS

COUNT = 50


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What became of `COUNT` broken files of each kind, opened in a process of its own."""
    script, folder = Path(__file__).with_name("_broken.py"), tmp_path_factory.mktemp("broken")
    command = [sys.executable, str(script), ",".join(SEEDS), str(COUNT), "0", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=1200)
    assert done.returncode == 0, done.stderr[-2000:]
    return {row["kind"]: row for row in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("kind", sorted(SEEDS))
def test_a_broken_file_is_an_image_or_an_image_error_and_nothing_else(kind, found):
    assert found[kind]["wrong"] == []
    assert found[kind]["outcomes"].keys() == {"opened", "refused"}


@pytest.mark.parametrize("kind", sorted(SEEDS))
def test_no_broken_file_takes_long_or_much_memory(kind, found):
    assert found[kind]["most_gib"] < 1
    assert found[kind]["slowest_s"] < 10
