"""Which data a training learns from and is judged on, as digests, so that a folder notices another `--data`."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from discern_vqa.data.sample import Sample


def digest_of(samples: Iterable[Sample]) -> str:
    """A digest of ids, images with the sizes of their files, questions, answers and captions, in the order given. The
    place where the files lie is no part of it."""
    sizes: dict[Path, int] = {}
    digest = hashlib.sha256()
    for sample in samples:
        if sample.path not in sizes:
            sizes[sample.path] = sample.path.stat().st_size if sample.path.is_file() else -1
        content = [sample.id, sample.image, sizes[sample.path], sample.question, sample.answer, sample.caption]
        digest.update(f"{json.dumps(content, default=str)}\n".encode())
    return digest.hexdigest()[:16]
