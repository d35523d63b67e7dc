"""File names can hold names of patients: what a run keeps holds an image's identity, never the place of its file."""

import json
import re
from pathlib import Path

import numpy as np
from _medical import dicom, written
from conftest import TINY_RECIPE
from PIL import Image

from discern_vqa.datasets import jsonl, phantom
from discern_vqa.evaluation.evaluate import evaluate
from discern_vqa.report.page import write_report
from discern_vqa.training.train import train

NAME = "DOE^JANE_19700101"


def studies(folder: Path) -> Path:
    """Phantoms as DICOM files in a folder named after a patient, under identities that say nothing."""
    phantom.draw(folder / "drawn", images=24, size=64, workers=1)
    lines, names = [], {}
    for split in ("train", "validation", "test"):
        for sample in phantom.read(folder / "drawn", split):
            if sample.is_caption:
                continue
            if sample.image not in names:
                names[sample.image] = f"image/{len(names):04}"
                path = folder / "archive" / NAME / f"{NAME}_{len(names)}.dcm"
                path.parent.mkdir(parents=True, exist_ok=True)
                with Image.open(sample.path) as picture:
                    written(path, dicom(np.asarray(picture.convert("L")), PatientName="Doe^Jane"))
            number = int(names[sample.image].rpartition("/")[2]) + 1
            lines.append(
                {
                    "id": str(len(lines)),
                    "split": split,
                    "image": names[sample.image],
                    "path": f"archive/{NAME}/{NAME}_{number}.dcm",
                    "question": sample.question,
                    "answer": sample.answer,
                    "answer_type": sample.answer_type or "closed",
                }
            )
    (folder / jsonl.FILE).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return folder


def test_nothing_that_a_run_keeps_holds_the_name_of_a_file(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = studies(tmp_path / "studies")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(TINY_RECIPE.replace('"phantom"', '"jsonl"'), encoding="utf-8")
    train(recipe, data=root, out=tmp_path / "run", quiet=True)
    evaluate(tmp_path / "run")
    write_report(tmp_path / "run", tmp_path / "run" / "report")
    kept = [path for place in ("run", "cache") for path in (tmp_path / place).rglob("*") if path.is_file()]
    assert {"predictions.test.jsonl", "scores.test.json", "metrics.jsonl", "index.html"} <= {path.name for path in kept}
    for path in kept:
        content = re.sub(rb"base64,[^\"']+", b"", path.read_bytes()).lower()  # pixels may spell anything
        assert b"doe" not in content.replace(b"does", b""), path
        assert b"19700101" not in content, path
    assert "image/" in (tmp_path / "run" / "predictions.test.jsonl").read_text(encoding="utf-8")
