"""Images that the tests of the audit, of splits and of sheets share: smooth random fields, and copies of them."""

import dataclasses
from pathlib import Path

import numpy as np
from PIL import Image

from discern_vqa.data.sample import Sample
from discern_vqa.datasets import jsonl


def picture(number: int, side: int = 96) -> Image.Image:
    """A smooth random field with grain; different for each number, the same for the same."""
    rng = np.random.default_rng(number)
    coarse = Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8))
    field = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC), np.float32)
    return Image.fromarray(np.clip(field + rng.normal(0, 5, (side, side)), 0, 255).astype(np.uint8))


def save(folder: Path, name: str, drawn: Image.Image, **options) -> Path:
    """Writes the image and returns its path."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn.save(path, **options)
    return path


def question(number: int, split: str, path: Path, **fields) -> Sample:
    """A question about the image file; its image is named by the file."""
    known = {"id": f"{split}-{number}", "question": f"Question {number}?", "answer": "yes", "source": f"s:{number}"}
    known |= {"answer_type": "closed", "question_type": ("PRES",)}
    return Sample(split=split, image=path.name, path=path, **known | fields)


def chain(folder: Path) -> list[Sample]:
    """Twelve images: 0 and 1 are one in two formats, 2 nearly so, 3 and 4 have one patient, 5 and 6 one study."""
    drawn = [picture(number) for number in range(12)]
    drawn[1], drawn[2] = drawn[0], drawn[0].resize((70, 70))
    names = ["a0.png", "a1.bmp", *(f"a{number}.png" for number in range(2, 12))]
    paths = [save(folder, name, one) for name, one in zip(names, drawn, strict=True)]
    rows = [question(number, "train", path) for number, path in enumerate(paths)]
    patients = {3: "p", 4: "p", 5: "q", 6: "q", 7: "q"}
    studies = {3: "s1", 4: "s2", 5: "s3", 6: "s3", 7: "s4"}
    return [
        dataclasses.replace(row, patient=patients.get(n, ""), study=studies.get(n, ""), group=patients.get(n, ""))
        for n, row in enumerate(rows)
    ]


def set_of_40(folder: Path) -> None:
    """Forty images in pairs of near copies, three questions each; template re-phrasings and captions too."""
    rows = []
    for number in range(40):
        drawn = picture(number // 2)
        path = save(folder, f"{number:02}.png", drawn if number % 2 else drawn.resize((70, 70)))
        organ = ("head", "chest")[number // 2 % 2]
        for asked in range(3):
            rows.append(
                question(
                    3 * number + asked,
                    ("train", "test")[asked % 2],
                    path,
                    question=f"What is {asked}?",
                    organ=organ,
                    answer_type=("open", "closed")[asked % 2],
                    phrase_type="frame" if asked == 2 else "freeform",
                )
            )
        rows.append(
            question(
                900 + number, "pretrain", path, question="", answer="", caption="A film.", answer_type="", organ=organ
            )
        )
    jsonl.write(rows, folder / jsonl.FILE)


def by_split(folder: Path) -> dict[str, list[Sample]]:
    """What there is of each split."""
    return {split: rows for split in jsonl.SPLITS if (rows := jsonl.read(folder, split))}


def sides(rows: dict) -> dict[str, set[str]]:
    """The images of each split."""
    return {part: {row.image for row in samples} for part, samples in rows.items()}
