"""`discern explain RUN --score`: every way of explaining a run's answers, measured against what the questions are
about, beside maps that look at nothing and the same model with random weights."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from discern_vqa.attribution import methods
from discern_vqa.attribution.blurring import blurred
from discern_vqa.data.answers import normaliser
from discern_vqa.data.batch import Inputs
from discern_vqa.data.sample import Sample
from discern_vqa.data.sources import stable_hash
from discern_vqa.errors import ConfigError, DataError
from discern_vqa.evaluation import heatmaps
from discern_vqa.evaluation.evidence import finder
from discern_vqa.evaluation.explain import BATCH, Explainer
from discern_vqa.evaluation.heatmaps import Map, Mask
from discern_vqa.evaluation.opening import open_run, samples_of
from discern_vqa.files import atomic_write_text
from discern_vqa.imaging.images import open_image
from discern_vqa.imaging.regions import Region
from discern_vqa.run import WEIGHTS
from discern_vqa.scoring.intervals import interval
from discern_vqa.trust.calibration import digest

LIMIT = 400  # questions; whole images, drawn by a fixed rule
CURVES = 64  # of them so many for insertion and deletion, which cost 2 x 21 answers for each question and method
SEED = 0  # of the random weights

Figures = dict[str, list[float]]


def score(
    run: Path,
    *,
    data: Path | None = None,
    split: str = "test",
    names: Sequence[str] = (),
    limit: int = LIMIT,
    curves: int = CURVES,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Scores the maps of `names` (default: all that the model offers; the baselines always come along) on the questions
    of `split` whose evidence is marked; writes `explanation_scores.<split>.json` into the run and returns it.

    limit: at most about so many questions, 0 for all. Raises ConfigError, DataError.
    """
    predictor = open_run(run, calibrated=False)
    opened = predictor.run
    trained = Explainer(opened, predictor.model, predictor.batcher)
    random = Explainer.with_random_weights(opened, SEED, str(next(predictor.model.parameters()).device))
    wanted = list(dict.fromkeys([*(trained.choose(name) for name in names or trained.methods), *methods.BASELINES]))
    config = opened.recipe.data
    reading = samples_of(opened, data)
    find = finder(reading.reader, reading.root)
    samples = reading.test(split)
    regions = {sample.id: find(sample) for sample in samples}
    samples = [sample for sample in samples if regions[sample.id]]
    if not samples:
        raise DataError(
            f"no question of {config.dataset}'s {split} split says what it is about: no mask, no marked region named",
            hint="score explanations on a run of phantom or slake",
        )
    with_evidence = len(samples)
    samples = _chosen(samples, limit)
    same = normaliser(config.normaliser)
    figures: dict[str, Figures] = {name: {} for name in wanted}
    about: Figures = {}
    right: list[bool] = []
    for start in range(0, len(samples), BATCH):
        batch = samples[start : start + BATCH]
        inputs = trained.inputs(batch)
        answer = trained.chosen(inputs)
        answers = [opened.vocabulary.answers[index] for index in answer.tolist()]
        right += [same(answer_text) == same(sample.answer) for answer_text, sample in zip(answers, batch, strict=True)]
        masks = [_mask(sample, regions[sample.id]) for sample in batch]
        reach = [heatmaps.within_reach(mask) for mask in masks]
        _add(about, cover=[mask.mean() for mask in masks], chance=[region_mask.mean() for region_mask in reach])
        random_inputs = random.inputs(batch)
        for name in wanted:
            maps = trained.maps(name, inputs, answer)
            _add(figures[name], **_against(maps, masks, reach))
            if name not in methods.BASELINES:
                others = random.maps(name, random_inputs, answer)
                _add(figures[name], **{f"random_{key}": rates for key, rates in _against(others, masks, reach).items()})
                pairs = zip(maps, others, strict=True)
                _add(figures[name], same_ranks=[heatmaps.rank_correlation(*pair) for pair in pairs])
            if start < curves:
                insertion, deletion = (_curve(trained, inputs, answer, maps, deletes) for deletes in (False, True))
                _add(figures[name], insertion=insertion.tolist(), deletion=deletion.tolist())
        progress(min(start + BATCH, len(samples)), len(samples))
    content = _table(samples, regions, figures, about, np.array(right)) | {
        "split": split, "asked": with_evidence, "weights": digest(opened.folder / WEIGHTS), "seed": SEED,
        "tolerance": heatmaps.TOLERANCE, "steps": heatmaps.STEPS,
    }  # fmt: skip
    atomic_write_text(opened.folder / f"explanation_scores.{split}.json", json.dumps(content, indent=1))
    return content


def _chosen(samples: list[Sample], limit: int) -> list[Sample]:
    """Whole images in an order that follows from their names alone, until there are `limit` questions."""
    if limit < 0:
        raise ConfigError(f"--limit {limit}: expected a number of questions", hint="--limit 0 takes all of them")
    ordered = sorted(samples, key=lambda sample: (stable_hash(sample.image), sample.image))
    return ordered[:limit] if limit else ordered


def _mask(sample: Sample, regions: Sequence[Region]) -> Mask:
    """The union of the regions, at the size at which maps are judged."""
    width, height = open_image(sample.path).size
    inside: Mask = np.any([region.pixels(width, height) for region in regions], axis=0)
    return heatmaps.shrunk(inside, *heatmaps.canvas(width, height))


def _against(maps: Sequence[Map], masks: Sequence[Mask], reach: Sequence[Mask]) -> Figures:
    """Pointing and energy of each map."""
    over = [heatmaps.on_picture(grid, *mask.shape[::-1]) for grid, mask in zip(maps, masks, strict=True)]
    return {
        "pointing": [float(heatmaps.points_into(*pair)) for pair in zip(over, reach, strict=True)],
        "energy": [heatmaps.energy(*pair) for pair in zip(over, masks, strict=True)],
    }


@torch.inference_mode()
def _curve(explainer: Explainer, inputs: Inputs, answer: Tensor, maps: Sequence[Map], deletes: bool) -> np.ndarray:
    """(B,): the area under the probability of the answer while the image is blurred, the heaviest pixels first
    (deletion), or while a blurred one is made sharp (insertion)."""
    each = methods.one_image_each(inputs)
    size = each.image.shape[-1]
    soft = blurred(each.image)
    before, after = (each.image, soft) if deletes else (soft, each.image)
    order = np.stack([heatmaps.resized(grid, size, size).ravel() for grid in maps]).argsort(axis=1)[:, ::-1].copy()
    rank = torch.empty(len(maps), size * size, dtype=torch.int64)
    rank.scatter_(1, torch.from_numpy(order), torch.arange(size * size).expand(len(maps), -1))
    rank = rank.view(-1, 1, size, size).to(each.image.device)
    curve = []
    for step in range(heatmaps.STEPS + 1):
        done = rank < step * size * size / heatmaps.STEPS
        image = torch.where(done, after, before)
        curve.append(methods.log_probability(explainer.model, replace(each, image=image), answer).exp().cpu())
    return heatmaps.area(torch.stack(curve, dim=-1).double().numpy())


def _add(figures: Figures, **more: Sequence[float]) -> None:
    for name, values in more.items():
        figures.setdefault(name, []).extend(float(value) for value in values)


def _table(
    samples: Sequence[Sample],
    regions: dict[str, list[Region]],
    figures: dict[str, Figures],
    about: Figures,
    right: np.ndarray,
) -> dict[str, Any]:
    """Means with n and intervals clustered by image."""
    images = np.array([sample.image for sample in samples])
    kinds = np.array(["finding" if any(region.is_finding for region in regions[s.id]) else "organ" for s in samples])
    groups = {"right": right, "wrong": ~right} | {kind: kinds == kind for kind in ("finding", "organ")}

    def mean(values: Sequence[float]) -> dict[str, Any]:
        of = images[: len(values)]
        return {"n": len(values), "mean": float(np.mean(values)), "ci95": list(interval(np.array(values), of.tolist()))}

    def parts(values: Sequence[float]) -> dict[str, Any]:
        members = {name: np.array(values)[rows] for name, rows in groups.items() if rows.any()}
        return {name: {"n": len(part), "mean": float(part.mean())} for name, part in members.items()}

    rows: dict[str, dict[str, Any]] = {}
    for name, values in figures.items():
        measured = [key for key in ("pointing", "energy", "insertion", "deletion") if key in values]
        rows[name] = {"summary": methods.summary(name)} | {key: mean(values[key]) for key in measured}
        rows[name]["pointing"]["by"] = parts(values["pointing"])
        if "same_ranks" in values:
            random = {key: mean(values[f"random_{key}"]) for key in ("pointing", "energy")}
            rows[name]["random_weights"] = random | {"rank_correlation": float(np.mean(values["same_ranks"]))}
    able = [name for name in rows if name not in methods.BASELINES]
    return {
        "n": len(samples),
        "images": len(set(images.tolist())),
        "right": float(right.mean()),
        "cover": float(np.mean(about["cover"])),
        "chance": float(np.mean(about["chance"])),
        "chance_by": parts(about["chance"]),
        "best": max(able, key=lambda name: rows[name]["pointing"]["mean"]) if able else "",
        "methods": rows,
    }
