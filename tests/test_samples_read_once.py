"""A split is read from disk once, by a training and by an evaluation."""

from collections import Counter
from pathlib import Path

import pytest

from discern_vqa.config import read_recipe
from discern_vqa.datasets import phantom
from discern_vqa.evaluation.evaluate import evaluate
from discern_vqa.training.processes import processes
from discern_vqa.training.setup import set_up
from discern_vqa.training.train import train

RECIPE = Path(__file__).resolve().parents[1] / "recipes" / "baselines" / "majority.toml"
NETWORK = Path(__file__).resolve().parents[1] / "recipes" / "cmdpi" / "phantom.toml"


@pytest.fixture
def root(tmp_path) -> Path:
    phantom.write_tiny(tmp_path / "phantoms")
    return tmp_path / "phantoms"


@pytest.fixture
def reads(monkeypatch) -> Counter[str]:
    """How often each split was read since the fixture was made."""
    counted: Counter[str] = Counter()
    read = phantom.read

    def counting(root: Path, split: str, **options: object):
        counted[split] += 1
        return read(root, split, **options)

    monkeypatch.setattr(phantom, "read", counting)
    return counted


def test_a_training_of_a_network_reads_each_split_once(root, reads, tmp_path):
    set_up(read_recipe(NETWORK), NETWORK, root, tmp_path / "run", among=processes(), say=lambda text: None)
    assert reads["train"] == 1
    assert set(reads.values()) == {1}


def test_a_baseline_and_its_evaluation_read_each_split_once(root, reads, tmp_path):
    train(RECIPE, data=root, overrides=['data.dataset="phantom"'], out=tmp_path / "run", quiet=True)
    assert reads["train"] == 1
    assert set(reads.values()) == {1}
    reads.clear()
    evaluate(tmp_path / "run", baselines=False)
    assert reads["train"] == reads["test"] == 1
    assert set(reads.values()) == {1}
