"""The stages that are timed: opening of images, encoders, answers, and a step of pre-training and of fine-tuning.

Models and batches are those of shipped phantom recipes, with random weights, on images that are drawn for it.
"""

import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from discern_vqa.bench.ceilings import Ceilings, dicom_file, has_pydicom, jpeg_image, rounds_of
from discern_vqa.config import read_recipe
from discern_vqa.datasets import phantom
from discern_vqa.evaluation.predict import Predictor, answering_batcher
from discern_vqa.imaging.images import load_image
from discern_vqa.nn.losses import total
from discern_vqa.paths import find_recipe
from discern_vqa.training.loop import rng_for
from discern_vqa.training.optim import make_optimizer
from discern_vqa.training.processes import processes
from discern_vqa.training.setup import Start, set_up

FINETUNING, PRETRAINING, OTHER_MODEL = "cmdpi/demo", "cmdpi/demo_pretrain", "cmi_mtl/phantom"
COUNTS = {"pretrain": 24, "train": 24, "validation": 2, "test": 8}
"""Images that are drawn: enough for a batch of each recipe."""
ASKED = 64
"""Questions that are answered in one go."""
OPENED = 10
"""Images that are opened in one go."""


@dataclass(frozen=True)
class Stage:
    """One part of the program: what a run of it took, and what it had to do at least, in what its ceiling counts."""

    name: str
    seconds: float  # the median of the rounds
    necessary: float
    ceiling: str

    def share(self, ceilings: Ceilings) -> float:
        """How near to its ceiling it came: 1 is at the ceiling."""
        return self.necessary / self.seconds / ceilings.named(self.ceiling)

    def as_json(self, ceilings: Ceilings) -> dict[str, Any]:
        """All of it, rounded."""
        rounded = {"seconds": round(self.seconds, 6), "necessary": self.necessary}
        return {"name": self.name, **rounded, "ceiling": self.ceiling, "share": round(self.share(ceilings), 4)}


def measured_stages(ceilings: Ceilings, say: Callable[[str], None]) -> list[Stage]:
    """All stages, each for some seconds."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        say("opening images")
        stages = opening(folder, ceilings)
        draw = {**read_recipe(find_recipe(Path(FINETUNING))).data.draw, "counts": COUNTS}
        phantom.draw(folder / "phantoms", **draw, workers=1)
        say("a step of fine-tuning")
        finetuning = started(FINETUNING, folder, "tune")
        tuned = step(finetuning, "a fine-tuning step of CMDPI")
        say("encoders and answers")
        stages += answering(finetuning)
        say("a step of pre-training")
        stages.append(step(started(PRETRAINING, folder, "pretrain"), "a pre-training step of CMDPI"))
        say("a step of the other model")
        other = step(started(OTHER_MODEL, folder, "other"), "a step of CMI-MTL")
        return [*stages, tuned, other]


def opening(folder: Path, ceilings: Ceilings) -> list[Stage]:
    """A JPEG image and a DICOM file, opened as questions about them are."""
    contents = {"JPEG images": jpeg_image()}
    if has_pydicom() and ceilings.dicom is not None:
        contents["DICOM files"] = dicom_file()
    stages = []
    for ceiling, content in contents.items():
        files = [folder / f"{number}.{ceiling[:4].strip().lower()}" for number in range(OPENED)]
        for file in files:
            file.write_bytes(content)
        taken = rounds_of(lambda files=files: [load_image(file, 224, "rgb") for file in files])  # type: ignore[misc]
        stages.append(Stage(f"open {OPENED} {ceiling}", statistics.median(taken), OPENED, ceiling))
    return stages


def started(recipe: str, folder: Path, name: str) -> Start:
    """All that a training of the recipe starts from, on the drawn images; what comes before it is left out."""
    file = find_recipe(Path(recipe))
    settings = read_recipe(file, ["run.after=", 'run.precision="fp32"'])
    return set_up(settings, file, folder / "phantoms", folder / name, among=processes(), say=lambda text: None)


def step(start: Start, name: str) -> Stage:
    """A step of the first batch, from making it to the optimiser's step."""
    optim = start.run.recipe.optim
    optimizer, objective = make_optimizer(start.model, optim), start.objective.train()
    device, rows = next(start.model.parameters()).device, start.batches(0)[0]

    def learn() -> None:
        loss = total(objective(start.batch(rows, rng_for(0, 0)).to(device), rng_for(1, 0)), objective.config.weights)
        loss.backward()

    def whole() -> None:
        learn()
        torch.nn.utils.clip_grad_norm_(objective.parameters(), optim.clip)
        optimizer.step()
        optimizer.zero_grad()
        objective.after_step()

    necessary = operations(learn)
    optimizer.zero_grad()
    seconds = statistics.median(rounds_of(whole, 6.0))
    return Stage(f"{name}, {len(rows)} texts", seconds, necessary, "fp32 products")


@torch.inference_mode()
def answering(start: Start) -> list[Stage]:
    """An image, a question, and answers to questions about images that were not asked about before."""
    run, model = start.run, start.model.eval()
    samples = [sample for sample in phantom.read(run.root, "test") if not sample.is_caption][:ASKED]
    inputs = run.batcher(model).inputs(samples).to(next(model.parameters()).device)
    images, texts = inputs.image, (inputs.tokens, inputs.keep, None, inputs.text_states)
    first = images[:1]

    def answer() -> None:
        Predictor(run, model, answering_batcher(run, model)).answer(samples, mode="classify")

    rows = [
        ("encode one image", lambda: model.image(first), operations(lambda: model.image(first))),
        (f"encode {len(samples)} questions", lambda: model.text(*texts), operations(lambda: model.text(*texts))),
        (
            f"answer {len(samples)} questions about {len(images)} images",
            answer,
            operations(lambda: model.decide(replace(inputs))),
        ),
    ]
    return [
        Stage(name, statistics.median(rounds_of(run_it)), necessary, "fp32 products")
        for name, run_it, necessary in rows
    ]


def operations(run: Callable[[], object]) -> float:
    """The multiplications and additions of the products, convolutions and attention that `run` computes."""
    aten = torch.ops.aten
    also = {
        aten._scaled_dot_product_flash_attention_for_cpu: _attention,
        aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
    }
    with FlopCounterMode(display=False, custom_mapping=also) as counter:
        run()
    return float(counter.get_total_flops())


def _attention(query: Any, key: Any, value: Any, *_: Any, out_shape: Any = None, **__: Any) -> int:
    return int(sdpa_flop_count(query, key, value))


def _attention_backward(grad: Any, query: Any, key: Any, value: Any, *_: Any, out_shape: Any = None, **__: Any) -> int:
    return int(sdpa_backward_flop_count(grad, query, key, value))
