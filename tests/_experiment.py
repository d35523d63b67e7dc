"""A tiny experiment: recipes, phantoms without much in them, and a pool that works in this process."""

from collections.abc import Callable, Sequence
from pathlib import Path

from discern_vqa.experiments import worker
from discern_vqa.experiments.process_pool import Outcome, Task

MAIN = """
# A model that learns next to nothing.
[data]
dataset = "phantom"
text_length = 16
normaliser = "lower"

[model]
name = "cmdpi"
width = 16
layers = 1
heads = 2
ffn = 32
image = { kind = "tiny", size = 32, patch = 8, channels = 4, layers = 1, heads = 2 }
text = { kind = "tiny", layers = 1, heads = 2 }

[objective]
name = "cmdpi_finetune"
weights = { mix = 1.0, diff_img = 0.5, diff_txt = 0.25 }

[optim]
lr = 1e-3
batch = 16
per_image = 4

[run]
after = "before.toml"
epochs = 2
threads = 1
select = "last"
baselines = ["majority"]
"""
BEFORE = (
    MAIN.replace('"phantom"', '"phantom"\nsplit = "pretrain"\nvalidation_ratio = 0.0')
    .replace("cmdpi_finetune", "cmdpi_pretrain")
    .replace("mix = 1.0, diff_img = 0.5, diff_txt = 0.25", "img = 0.1, txt = 0.4, ans = 1.0, inter = 0.25, intra = 0.1")
    .replace('after = "before.toml"\nepochs = 2', "epochs = 1")
)
ROWS = """
title = "Tiny"
source = "nowhere"
family = "cmdpi"

[rows.full]
printed = { open = 50.0, closed = 70.0, overall = 60.0 }

[rows."without mixup"]
set = { "objective.mixup" = false }
printed = { open = 40.5, closed = 70.0, overall = 55.0 }

[rows."half the words"]
scale_before = { "objective.weights.txt" = 0.5 }
"""
FAILING = """
[rows.broken]
set = { "data.options" = { colour = "blue" } }
"""


def recipes(folder: Path) -> Path:
    """The two recipes; returns the main one's path."""
    (folder / "before.toml").write_text(BEFORE, encoding="utf-8")
    (folder / "main.toml").write_text(MAIN, encoding="utf-8")
    return folder / "main.toml"


def rows(folder: Path, text: str = ROWS) -> str:
    """The experiment's file, as it is named on the command line."""
    (folder / "tiny.toml").write_text(text, encoding="utf-8")
    return str(folder / "tiny.toml")


def here(
    tasks: Sequence[Task], workers: int, log: Path, told: Callable[[Outcome, int, int], None]
) -> dict[str, Outcome]:
    """`process_pool.work` without processes: one task after the other, in the order given."""
    outcomes: dict[str, Outcome] = {}
    for task in tasks:
        failed = [need for need in task.needs if outcomes[need].error]
        answer = {} if failed else worker.answered(task.request)
        error = "not started" if failed else str(answer.pop("error", ""))
        outcomes[task.id] = Outcome(task, answer, error, 1.0)
        told(outcomes[task.id], len(outcomes), len(tasks))
    return outcomes
