"""A made-up run folder with everything that a report shows. Everything follows from the numbers below."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from discern_vqa.scoring import kept_states, metrics, predictions
from discern_vqa.scoring.predictions import Prediction

N = 40


def rows_of(right: set[int]) -> list[Prediction]:
    """40 questions about 20 image pairs; the images are not square."""
    return [
        Prediction(
            id=f"q{i}",
            image=f"img/{i}.png",
            question=f"Is there a <nodule> in lung {i}?",
            gold="yes" if i % 2 else "no",
            answer_type="open" if i < 10 else "closed",
            question_type="PRES" if i % 3 else "POS",
            organ="chest",
            prediction=("yes" if i % 2 else "no") if i in right else "maybe",
            score=0.5 + i / 100,
            alternatives=(("maybe", 0.5), ("yes", 0.3), ("no", 0.2)),
            twin=f"t{i // 2}",
            mask=f"mask/{i}.png" if i % 2 else "",
        )
        for i in range(N)
    ]


def write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def write_lines(path: Path, lines: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def made_run(folder: Path, right: range = range(30)) -> Path:
    """A finished and evaluated run whose data lie beside it, under `secret-place`; one image is missing."""
    root = folder.parent / "secret-place" / "data"
    for i in range(1, N):
        for kind in ("img", "mask"):
            picture = Image.new("L", (60, 40))
            picture.paste(200, (10, 10, 30, 30))
            (root / kind).mkdir(parents=True, exist_ok=True)
            picture.save(root / kind / f"{i}.png")
    rows, weak = rows_of(set(right)), rows_of(set(range(0, 30, 3)))
    scores = {"split": "test"} | metrics.score(rows)
    scores["baselines"] = {"image_identity": metrics.score(weak), "ours_too": metrics.score(weak)}
    scores["controls"] = {"blank_image": metrics.score(weak)}
    scores["vocabulary"] = {"size": 3, "coverage": 1.0}
    write_json(folder / "scores.test.json", scores)
    predictions.write(folder / "predictions.test.jsonl", rows)
    predictions.write(folder / "baselines" / "image_identity.test.jsonl", weak)
    config = {
        "name": "lung <run>",
        "root": str(root),
        "data": {"dataset": "phantom", "root": str(root)},
        "model": {"name": "cmdpi", "image": {"weights": f"{root}/weights", "frozen": True}},
        "environment": {"versions": {"torch": "2.13"}},
    }
    write_json(folder / "config.json", config)
    (folder / "recipe.toml").write_text('[model]\nname = "cmdpi"\n', encoding="utf-8")
    write_json(folder / "audit.json", {"verdict": ["every test image is a <training> image."]})
    learned = [
        {"step": s, "epoch": s // 10, "split": "train", "loss": 9.0 / (s + 1), "contrast": 4.0 / (s + 1), "lr": 0.1}
        for s in range(30)
    ]
    learned += [
        {"step": s, "epoch": s // 10, "split": "validation", "loss": 2.0, "accuracy": s / 40, "accuracy_open": 0.1}
        for s in (9, 19, 29)
    ]
    write_lines(folder / "metrics.jsonl", learned)
    write_lines(folder / "before" / "metrics.jsonl", learned[:30])
    heat = [{"id": f"q{i}", "method": "attention", "grid": [[0.0, 0.5], [0.2, 1.0]]} for i in range(N)]
    write_lines(folder / "explanations.test.jsonl", heat)
    states = np.random.default_rng(0).normal(size=(N, 6)) + np.arange(N)[:, None] % 3
    kept_states.write(folder / "features.test.safetensors", [f"q{i}" for i in range(N)], states)
    return folder
