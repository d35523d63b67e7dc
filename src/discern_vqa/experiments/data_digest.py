"""Which data a training learns from and is judged on, as digests, so that a folder notices another `--data`."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from discern_vqa.config import DataConfig
from discern_vqa.data.sample import Sample
from discern_vqa.recipe_samples import Samples, find_root


def digest(choice: DataConfig, given: Path | None) -> str:
    """A digest of the samples that are learned from and chosen on; the place where they lie is no part of it.

    `given` is `--data`. The test split is not read. Raises what `find_root` and the reader raise.
    """
    train, validation = Samples(choice, find_root(choice, given), 0).learning
    return digest_of([*train, *validation])


def digest_asked(choice: DataConfig, given: Path | None, split: str) -> str:
    """As `digest`, of the samples of the split that is reported."""
    return digest_of(Samples(choice, find_root(choice, given)).test(split))


def digest_of(samples: Iterable[Sample]) -> str:
    """A digest of ids, images with the sizes of their files, questions, answers and captions, in the order given."""
    sizes: dict[Path, int] = {}
    made = hashlib.sha256()
    for line in _lines(samples, sizes):
        made.update(line.encode())
    return made.hexdigest()[:16]


def _lines(samples: Iterable[Sample], sizes: dict[Path, int]) -> Iterator[str]:
    for one in samples:
        if one.path not in sizes:
            sizes[one.path] = one.path.stat().st_size if one.path.is_file() else -1
        told = [one.id, one.image, sizes[one.path], one.question, one.answer, one.caption]
        yield json.dumps(told, default=str) + "\n"
