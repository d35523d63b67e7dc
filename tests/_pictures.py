"""Pictures that the tests of the audit, of splits and of sheets share: smooth random fields, and copies of them."""

from pathlib import Path

import numpy as np
from PIL import Image

from discern_vqa.data.sample import Sample


def picture(number: int, side: int = 96) -> Image.Image:
    """A smooth random field with grain; different for each number, the same for the same."""
    rng = np.random.default_rng(number)
    coarse = Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8))
    field = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC), np.float32)
    return Image.fromarray(np.clip(field + rng.normal(0, 5, (side, side)), 0, 255).astype(np.uint8))


def save(folder: Path, name: str, drawn: Image.Image, **options) -> Path:
    """Writes the picture and returns its path."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn.save(path, **options)
    return path


def question(number: int, split: str, path: Path, **fields) -> Sample:
    """A question about the image file; its image is named by the file."""
    known = {"id": f"{split}-{number}", "question": f"Question {number}?", "answer": "yes", "source": f"s:{number}"}
    known |= {"answer_type": "closed", "question_type": ("PRES",)}
    return Sample(split=split, image=path.name, path=path, **known | fields)
