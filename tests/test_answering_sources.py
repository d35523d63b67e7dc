"""What is asked about is decoded and encoded once, known by its content, and kept in bounded memory."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from discern_vqa.data import answering_sources
from discern_vqa.data.answering_sources import AnsweringPixels, AnsweringStates, AnsweringTexts
from discern_vqa.data.bounded import BoundedTensors, PerText
from discern_vqa.data.sources import PixelSource, StateSource
from discern_vqa.data.text import Tokens
from discern_vqa.errors import ImageError

SIZE = 16


def draw(path: Path, seed: int) -> tuple[str, Path]:
    array = (torch.rand(20, 24, generator=torch.Generator().manual_seed(seed)) * 255).to(torch.uint8).numpy()
    Image.fromarray(array).save(path)
    return path.name, path


class Encoder:
    """A stand-in for a frozen encoder, which counts: (U, 3, 16, 16) -> (U, 5, 3)."""

    def __init__(self) -> None:
        self.encoded = 0

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        self.encoded += len(pixels)
        cells = torch.nn.functional.avg_pool2d(pixels, 8).flatten(2).transpose(1, 2)
        return torch.cat([cells.mean(1, keepdim=True), cells], 1)


def source(encode: Encoder, views: int = 3, before: Path | None = None) -> AnsweringStates:
    return AnsweringStates(AnsweringPixels(SIZE, 8, True), encode, views, before=before)


def test_every_view_is_what_training_saw_and_only_those_asked_for_are_computed(tmp_path):
    files = [draw(tmp_path / f"{seed}.png", seed) for seed in range(5)]
    learning = StateSource(PixelSource(SIZE, 8, True, False), Encoder(), views=3)
    encode = Encoder()
    answering = source(encode)
    for view in (0, 2, 0):
        assert torch.equal(answering.get(files, view=view)[0], learning.get(files, view=view)[0])
    assert encode.encoded == 2 * len(files)
    both = answering.get([files[3], files[0]])[0]
    assert torch.equal(both, learning.get([files[3], files[0]])[0])
    assert torch.equal(AnsweringPixels(SIZE, 8, True).get(files)[0], PixelSource(SIZE, 8, True, False).get(files)[0])


def test_an_image_is_known_by_the_content_of_its_file(tmp_path):
    encode, one = Encoder(), draw(tmp_path / "one.png", 1)
    answering = source(encode)
    first = answering.get([one])[0]
    copy = tmp_path / "copy.png"
    copy.write_bytes(one[1].read_bytes())
    assert torch.equal(answering.get([("copy", copy)])[0], first)
    assert encode.encoded == 1
    draw(tmp_path / "one.png", 2)
    second = answering.get([one])[0]
    assert encode.encoded == 2
    assert not torch.equal(first, second), "the file was replaced while the program ran"


def test_states_that_training_left_are_taken_while_the_file_is_what_it_was(tmp_path):
    files = [draw(tmp_path / f"{seed}.png", seed) for seed in range(3)]
    learning = StateSource(PixelSource(SIZE, 8, True, False), Encoder(), views=2)
    learning.get(files)
    save_file(learning.dump(), tmp_path / "states.safetensors")
    draw(files[1][1], 9)
    encode = Encoder()
    answering = source(encode, views=2, before=lambda: tmp_path / "states.safetensors")
    states = answering.get([*files, draw(tmp_path / "new.png", 7)])[0]
    assert encode.encoded == 2, "the file that was replaced, and the one that is new"
    kept = learning.get(files)[0]
    assert torch.equal(states[[0, 2]], kept[[0, 2]])
    assert not torch.equal(states[1], kept[1])


def test_memory_stays_flat_however_many_images_are_asked_about(tmp_path, monkeypatch):
    files = [draw(tmp_path / f"{seed}.png", seed) for seed in range(12)]
    each = 5 * 3 * 2  # bytes of states
    monkeypatch.setattr(answering_sources, "MOST_BYTES", 4 * each)
    monkeypatch.setattr(answering_sources, "FEW_BYTES", 2 * each)
    encode = Encoder()
    answering = source(encode)
    states = answering.get(files)[0]
    assert states.shape == (12, 5, 3), "more than there is room for, in one batch"
    assert answering._kept.bytes <= 4 * each
    answering.get(files[-1:])
    assert encode.encoded == 12, "the last is still known"
    answering.forget()
    assert answering._kept.bytes <= 2 * each
    answering.get(files[:1])
    assert encode.encoded == 13, "the first is not"


def test_an_image_that_cannot_be_opened_is_named_and_leaves_the_others(tmp_path):
    files = [draw(tmp_path / f"{seed}.png", seed) for seed in range(6)]
    files[4][1].write_bytes(files[4][1].read_bytes()[:60])
    answering = source(Encoder())
    with pytest.raises(ImageError, match=r"4\.png"):
        answering.get(files)
    assert answering.get([*files[:4], files[5]])[0].shape == (5, 5, 3)


def test_a_bounded_dictionary_drops_what_was_used_longest_ago():
    kept = BoundedTensors(most=3 * 8)
    for name in "abc":
        kept.put(name, torch.zeros(2))
    kept.get("a")
    kept.put("c", torch.ones(2))
    kept.put("d", torch.zeros(2))
    assert [kept.get(name) is not None for name in "abcd"] == [True, False, True, True]
    assert (len(kept), kept.bytes) == (3, 24)


def test_texts_are_made_once_with_those_of_their_length_and_the_same_in_every_batch():
    calls: list[torch.Tensor] = []

    def states(length: int, ids: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
        assert int(keep.sum(1).max()) <= length < int(keep.sum(1).min()) + 4
        calls.append(ids)
        return torch.stack([ids.float() * 1.001, ids.float().sin() + length], dim=-1)

    lengths = torch.tensor([3, 5, 3, 4, 5, 3, 2])
    keep = torch.arange(6) < lengths[:, None]
    ids = torch.randint(1, 90, (7, 6), generator=torch.Generator().manual_seed(0)) * keep
    ids[5] = ids[0]
    tokens = Tokens(ids, keep, keep)
    wanted = states(4, ids[:1], keep[:1]).to(torch.bfloat16).float()
    calls.clear()
    together = AnsweringTexts(states)
    whole = together.get(tokens)
    assert sorted(map(len, calls)) == [2, 4], "by padded length, and the text that stands there twice once"
    assert torch.equal(whole[0], wanted[0])
    for size in (1, 3):
        alone = AnsweringTexts(states)
        parts = [
            alone.get(Tokens(ids[row : row + size], keep[row : row + size], keep[row : row + size]))
            for row in range(0, 7, size)
        ]
        assert torch.equal(torch.cat(parts), whole)
    calls.clear()
    assert torch.equal(together.get(tokens), whole)
    assert not calls


def test_what_was_made_of_texts_can_be_cleared():
    kept, ids = PerText(2**10), torch.tensor([[1, 2]])
    made = [kept(ids, ids > 0, lambda length, rows, number=number: torch.full((1, 2), number)) for number in (1.0, 2.0)]
    assert torch.equal(made[0], made[1])
    kept.clear()
    assert float(kept(ids, ids > 0, lambda length, rows: torch.full((1, 2), 3.0))[0, 0]) == 3.0


def test_to_open_a_run_imports_nothing_that_answering_does_not_use():
    program = "import discern_vqa.evaluation.opening, discern_vqa.evaluation.predict, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    heavy = ("scipy", "sklearn", "transformers", "onnxruntime", "pandas", "matplotlib", "discern_vqa.datasets")
    imported = done.stdout.split()
    assert "torch" in imported
    assert [name for name in heavy if name in imported] == []
