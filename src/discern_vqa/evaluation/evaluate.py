"""`discern evaluate`: the run's answers on a split, and every measurement of them (`measurements/`), as files that can
be read without the model."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from discern_vqa import measurements
from discern_vqa.answering.modes import Answering
from discern_vqa.audit import audit
from discern_vqa.data.sample import Sample
from discern_vqa.evaluation import baseline_rows
from discern_vqa.evaluation.asker import RunAsker
from discern_vqa.evaluation.explain import BATCH, Explainer
from discern_vqa.evaluation.heatmaps import kept
from discern_vqa.evaluation.opening import open_run, samples_of
from discern_vqa.evaluation.predict import Predictor
from discern_vqa.files import atomic_write_text
from discern_vqa.measurements import Context
from discern_vqa.recipe_samples import evaluated
from discern_vqa.report.card import write_judged_card
from discern_vqa.report.read import audit_file
from discern_vqa.scoring import kept_states, metrics, predictions
from discern_vqa.timers import timed
from discern_vqa.training.processes import part, place_of, several
from discern_vqa.trust import ood
from discern_vqa.trust.ood import WITHIN

EXPLAINED = 60
"""So many questions get a heat map for the report (right, wrong and image pairs alike, the first of the file)."""


def evaluate(
    run: Path,
    *,
    data: Path | None = None,
    split: str = "test",
    baselines: bool = True,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Answers every question of `split`; writes `predictions.<split>.jsonl`, `scores.<split>.json`,
    `explanations.<split>.jsonl`, `within.<split>.jsonl`, `features.<split>.safetensors`, the audit (`audit.json` of
    test, `audit.<split>.json` of the others) and the model card into the run folder, and returns the scores. A run
    that is not calibrated yet is calibrated on its validation questions, where it has any.

    data: as in `data_root`. baselines: also fit the baselines, on the run's training and validation questions but for
    those of the evaluation split (cached in the run folder).

    Several processes answer the questions together, and the first does the rest alone; the others return the scores of
    the answers.
    """
    among = several()
    predictor = open_run(run)
    opened = predictor.run
    config, folder = opened.recipe.data, opened.folder
    reading = samples_of(opened, data)
    whole = reading.test(split)
    samples = evaluated(config, whole, opened.recipe.optim.batch)
    train, validation = reading.learning
    train = [sample for sample in train if not sample.is_caption]
    held = validation or reading.held_out()
    if baselines:
        baseline_rows.check(opened)
    say(f"{len(samples):,} questions of {len({s.image for s in samples}):,} images")
    answering, mode = predictor.answering(samples), opened.recipe.run.mode
    if among is not None and isinstance(answering, Answering):
        answering.place = place_of(among)
        for each in predictor.modes:
            answering.answers(each)
        answering.place = None  # all is there: nobody is asked again
    answers = answering.answers(mode)
    rows = predictions.from_answers(samples, answers)
    if among is not None:
        is_first = among.is_main_process
        part(among)
        if not is_first:
            return {"split": split, "mode": mode} | metrics.score(rows, config.normaliser)
    _keep(rows, folder / f"predictions.{split}.jsonl", folder / f"scores.{split}.json")
    scores = {"split": split, "mode": mode} | metrics.score(rows, config.normaliser)
    metrics.check_parts(scores, str(run))
    asker = RunAsker(predictor, answering, split, samples, train, held)
    if baselines:
        learned = [*train, *validation]
        asker.learnable = baseline_rows.learnable(learned, whole, opened)
        nothing = baseline_rows.NOTHING_LEFT if learned else baseline_rows.NO_TRAINING
        asker.no_baselines = "" if asker.learnable else nothing
    if not asker.learnable:
        baseline_rows.drop(split, opened, [] if baselines else samples)
    context = Context(asker, opened, split, samples, rows, held, predictor.calibration is not None, say)
    for measurement in measurements.every():
        with timed(measurement.__name__.rpartition(".")[2].replace("_", " ")):  # type: ignore[attr-defined]
            scores |= measurement.measure(context)
    scores["protocol"] = config.protocol if config.protocol == "usual" else f"image_disjoint fold {config.fold}"
    _write(folder / f"scores.{split}.json", scores)
    parts = {"train": train, "validation": validation, split: list(samples)}
    _write(audit_file(folder, split), audit(parts, normalise=config.normaliser))
    with timed("heat maps"):
        explain(predictor, samples, folder / f"explanations.{split}.jsonl")
    placed = predictor.placed(samples, answers)
    ood.write_within(folder / f"{WITHIN}.{split}.jsonl", [sample.id for sample in samples], placed)
    keep_states(predictor, samples, folder / f"features.{split}.safetensors")
    write_judged_card(folder, split)
    return scores


def _keep(rows: Sequence[predictions.Prediction], path: Path, scores: Path) -> None:
    """Writes the answers as soon as they are there: they took longest, and whatever fails later can be had from them
    (`discern score`). Scores of other answers go, so that nothing shows the two together."""
    text = predictions.as_text(rows)
    if not path.is_file() or path.read_bytes() != text.encode():
        scores.unlink(missing_ok=True)
        atomic_write_text(path, text)


def explain(predictor: Predictor, samples: Sequence[Sample], out: Path) -> None:
    """Heat maps of the first questions of each kind, for the report, by the method that was measured to be best. None
    of what is no network: nobody sees where it looks."""
    if not predictor.run.recipe.is_network:
        atomic_write_text(out, "")
        return
    chosen = list(samples[:EXPLAINED]) + [sample for sample in samples[EXPLAINED:] if sample.twin][:EXPLAINED]
    explainer = Explainer(predictor.run, predictor.model, predictor.batcher)
    method, lines = explainer.choose(), []
    for start in range(0, len(chosen), BATCH):
        batch = chosen[start : start + BATCH]
        inputs = explainer.inputs(batch)
        for sample, grid in zip(batch, explainer.maps(method, inputs, explainer.chosen(inputs)), strict=True):
            rows = kept(grid).round(3).tolist()
            lines.append(json.dumps({"id": sample.id, "method": method, "grid": rows}))
    atomic_write_text(out, "".join(f"{line}\n" for line in lines))


def keep_states(predictor: Predictor, samples: Sequence[Sample], out: Path) -> None:
    """What the answers to (at most `kept_states.MOST`) questions were read from, for the report's map."""
    chosen = kept_states.chosen(samples)
    states = predictor.states(chosen)
    if states is not None:
        kept_states.write(out, [sample.id for sample in chosen], states)


def _write(path: Path, content: dict[str, Any]) -> None:
    atomic_write_text(path, json.dumps(content, indent=1, ensure_ascii=False))
