"""States of a frozen image encoder are kept between commands, and only for the very files and weights they came of."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import TINY_RECIPE
from PIL import Image, ImageOps
from safetensors.torch import load_file, save_file

from discern_vqa.data.answering_sources import AnsweringStates
from discern_vqa.data.sources import StateSource
from discern_vqa.datasets import phantom
from discern_vqa.evaluation.opening import open_run
from discern_vqa.recipe_samples import Samples
from discern_vqa.training.train import train

FROZEN = 'image = { kind = "lite", frozen = true, size = 64, weights = "WEIGHTS" }\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, real_weights: Callable[[str], Path]) -> Path:
    """A few phantoms, weights of one's own, a recipe, and a cache that nothing is in."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "weights").mkdir()
    for file in real_weights("mobilenet_v2_1.0_224").iterdir():
        shutil.copyfile(file, tmp_path / "weights" / file.name)
    phantom.draw(tmp_path / "phantoms", images=12, size=64, workers=1)
    lines = TINY_RECIPE.splitlines(keepends=True)
    frozen = FROZEN.replace("WEIGHTS", str(tmp_path / "weights"))
    recipe = "".join(frozen if line.startswith("image =") else line for line in lines)
    (tmp_path / "frozen.toml").write_text(recipe, encoding="utf-8")
    return tmp_path


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The images whose states were computed, in their order."""
    names: list[str] = []
    real = StateSource.add

    def add(source: StateSource, key: str, path: Path) -> None:
        names.append(key)
        real(source, key, path)

    answering = AnsweringStates._encoded

    def encoded(source: AnsweringStates, key: str, pixels: torch.Tensor, view: int) -> torch.Tensor:
        names.append(key)
        return answering(source, key, pixels, view)

    monkeypatch.setattr(StateSource, "add", add)
    monkeypatch.setattr(AnsweringStates, "_encoded", encoded)
    return names


def trained(folder: Path, name: str) -> Path:
    train(folder / "frozen.toml", data=folder / "phantoms", out=folder / name, quiet=True)
    return folder / name


def replace_in_place(path: Path) -> None:
    ImageOps.invert(Image.open(path).convert("L")).save(path)


def test_an_image_that_was_replaced_is_computed_anew_and_no_other(folder: Path, computed: list[str]) -> None:
    first = trained(folder, "first")
    assert len(computed) == len(set(computed)) > 2
    name = computed[0]
    computed.clear()
    trained(folder, "same")
    assert computed == [], "nothing has changed"
    replace_in_place(folder / "phantoms" / name)
    trained(folder, "replaced")
    assert computed == [name]
    computed.clear()
    trained(folder, "replaced_still")
    assert computed == []
    predictor = open_run(first)
    samples, _ = Samples(predictor.run.recipe.data, predictor.run.root, 0).learning
    shown = predictor.batcher.inputs([one for one in samples if one.image == name][:1]).image
    pixels = predictor.batcher.images.pixels.get([(name, folder / "phantoms" / name)])[0]
    with torch.inference_mode():
        torch.testing.assert_close(shown, predictor.model.image.states(pixels), atol=1e-2, rtol=1e-2)
    assert computed == []


def test_a_run_that_is_opened_takes_the_states_of_its_training_and_none_of_files_that_changed(
    folder: Path, computed: list[str]
) -> None:
    run = trained(folder, "run")
    names = list(computed)
    computed.clear()
    replace_in_place(folder / "phantoms" / names[-1])
    predictor = open_run(run)
    predictor.batcher.images.get([(name, folder / "phantoms" / name) for name in names])
    assert computed == names[-1:]


def test_other_weights_of_the_encoder_give_other_states(folder: Path, computed: list[str]) -> None:
    trained(folder, "first")
    names = list(computed)
    computed.clear()
    (file,) = (folder / "weights").glob("*.safetensors")
    tensors = load_file(file)
    save_file({key: one * 1.01 if one.is_floating_point() else one for key, one in tensors.items()}, file,
              metadata={"format": "pt"})  # fmt: skip
    trained(folder, "second")
    assert computed == names
    computed.clear()
    open_run(folder / "first").batcher.images.get([(names[0], folder / "phantoms" / names[0])])
    assert computed == [], "the run has its encoder with it, and the states that were made by it are still there"
