"""A network that is trained for one evaluation and kept nowhere: the baselines that learn from a run's features."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from discern_vqa.bases import ModelBase
from discern_vqa.config import OptimConfig, RunConfig
from discern_vqa.data.batch import Batcher
from discern_vqa.data.sample import Sample
from discern_vqa.data.sampling import epoch_batches
from discern_vqa.objectives import classify
from discern_vqa.training.loop import Display, Work, fit


def train_at_once(
    model: ModelBase, optim: OptimConfig, run: RunConfig, samples: Sequence[Sample], batcher: Batcher
) -> None:
    """Trains `model` by the training loop, by the cross-entropy of the samples' answers, for all of `run.epochs`."""
    work = Work(
        model=model,
        objective=classify.Objective(classify.Config(), model),
        batches=lambda epoch: epoch_batches(samples, optim.batch, run.seed, epoch),
        batch=lambda rows, rng: batcher.batch([samples[row] for row in rows], rng),
        validate=None,
    )
    with TemporaryDirectory() as folder:
        fit(work, optim, run, Path(folder), resume=False, show=Display())
