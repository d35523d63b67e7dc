"""`discern evaluate`: the run's answers on a split beside baselines and controls, as files that stand alone."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from discern_vqa.answering.modes import Answering
from discern_vqa.audit import audit
from discern_vqa.data.sample import Sample
from discern_vqa.evaluation import baseline_rows, ood_fit
from discern_vqa.evaluation.calibrate import from_validation, nothing_held_out, what_can_be_done
from discern_vqa.evaluation.explain import BATCH, Explainer
from discern_vqa.evaluation.heatmaps import kept
from discern_vqa.evaluation.opening import open_run
from discern_vqa.evaluation.predict import Predictor
from discern_vqa.files import atomic_write_text
from discern_vqa.recipe_samples import Samples, evaluated, find_root, imitated
from discern_vqa.report.card import write_judged_card
from discern_vqa.report.read import audit_file
from discern_vqa.run import Run
from discern_vqa.scoring import controls, kept_states, metrics, mirror, predictions, reliance
from discern_vqa.scoring.free_text import free_text
from discern_vqa.scoring.protocols import score_protocols
from discern_vqa.trust import calibration, ood

WRITING = ("generate", "hybrid")
EXPLAINED = 60
"""So many questions get a heat map for the report (right, wrong and twins alike, the first of the file)."""


def evaluate(
    run: Path,
    *,
    data: Path | None = None,
    split: str = "test",
    baselines: bool = True,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Answers every question of `split`; writes `predictions.<split>.jsonl`, `scores.<split>.json`,
    `explanations.<split>.jsonl`, `features.<split>.safetensors`, the audit (`audit.json` of test,
    `audit.<split>.json` of the others) and the model card into the run folder, and returns the scores. A run that is
    not calibrated yet is calibrated on its validation questions, where it has any.

    Args:
        data: the data set's folder; none: where it lay when the run was made, then where data is looked for.
        baselines: also fit the baselines, on the run's training and validation questions but for those that are
            judged here (cached in the run folder).
    """
    predictor = open_run(run)
    opened = predictor.run
    config = opened.recipe.data
    root = find_root(config, data) if data is not None or not opened.root.exists() else opened.root
    reading = Samples(config, root, opened.recipe.run.seed)
    whole = reading.test(split)
    samples = evaluated(config, whole, opened.recipe.optim.batch)
    train, validation = reading.learning
    train = [sample for sample in train if not sample.is_caption]
    apart = validation or reading.held_out()
    if baselines:
        baseline_rows.check(opened)
    say(f"{len(samples):,} questions of {len({s.image for s in samples}):,} images")
    normalise = config.normaliser
    answering, mode = predictor.answering(samples), opened.recipe.run.mode
    rows = predictions.from_answers(samples, answering.answers(mode))
    _keep(rows, opened.folder / f"predictions.{split}.jsonl", opened.folder / f"scores.{split}.json")
    scores = {"split": split, "mode": mode} | metrics.score(rows, normalise)
    metrics.check_parts(scores, str(run))
    scores["baselines"] = {}
    if baselines:
        learned = baseline_rows.learnable([*train, *validation], whole, opened)
        if not learned:
            say(f"no baselines: {baseline_rows.NOTHING_LEFT}")
            baseline_rows.drop(split, opened, [])
            scores["baselines_left_out"] = baseline_rows.NOTHING_LEFT
        for name in opened.recipe.run.baselines if learned else ():
            say(f"baseline: {name}")
            found = baseline_rows.row(name, learned, samples, split, opened, predictor.batcher)
            scores["baselines"][name] = _brief(found, normalise)
    else:
        baseline_rows.drop(split, opened, samples)
    if opened.recipe.prior.on:
        alone = predictions.from_answers(samples, predictor.beforehand(samples))
        predictions.write(opened.folder / "baselines" / f"prior_alone.{split}.jsonl", alone)
        scores["baselines"]["prior_alone"] = _brief(alone, normalise)
    scores |= controlled(predictor, samples, rows, split)
    if len(predictor.modes) > 1:
        say(f"ways of answering: {', '.join(predictor.modes)}")
        scores["modes"] = _modes(predictor, answering, split, normalise)
    scores["vocabulary"] = {
        "size": len(opened.vocabulary.givable),
        "coverage": opened.vocabulary.coverage([_givable(row, opened) for row in rows]),
        "normaliser": normalise,
    }
    if config.imitate:
        scores["imitates"] = imitated(config)
    scores["confidence"] = calibration.describe_rows(rows, normalise)
    scores["calibration"] = _calibration(predictor, apart, rows)
    scores["scope"] = _scope(predictor, train, apart, samples)
    scores["protocols"] = score_protocols(rows, answers=opened.vocabulary.givable)
    scores["protocol"] = config.protocol if config.protocol == "usual" else f"image_disjoint fold {config.fold}"
    _write(opened.folder / f"scores.{split}.json", scores)
    _write(audit_file(opened.folder, split), audit({"train": train, "validation": validation, split: list(samples)}))
    explain(predictor, samples, opened.folder / f"explanations.{split}.jsonl")
    keep_states(predictor, samples, opened.folder / f"features.{split}.safetensors")
    write_judged_card(opened.folder, split)
    return scores


def _keep(rows: Sequence[predictions.Prediction], path: Path, scores: Path) -> None:
    """Writes the answers as soon as they are there: they took longest, and whatever fails later can be had from them
    (`discern score`). Scores of other answers go, so that nothing shows the two together."""
    text = predictions.as_text(rows)
    if not path.is_file() or path.read_bytes() != text.encode():
        scores.unlink(missing_ok=True)
        atomic_write_text(path, text)


def _givable(row: predictions.Prediction, opened: Run) -> str:
    """Of the true answers the first that the run can give."""
    return next((text for text in row.truths if opened.vocabulary.may(opened.vocabulary.index(text))), row.gold)


def controlled(
    predictor: Predictor, samples: Sequence[Sample], rows: Sequence[predictions.Prediction], split: str
) -> dict[str, Any]:
    """What the model does without the right picture and with the mirrored one: {"controls", "controls_left_out",
    "reliance", "mirror"}. The answers of each control are kept as `controls/<control>.<split>.jsonl`."""
    folder, normalise = predictor.run.folder / "controls", predictor.run.recipe.data.normaliser
    found: dict[str, Any] = {"controls": {}, "controls_left_out": {}}
    wrong: dict[str, list[predictions.Prediction]] = {}
    for name, control in controls.controls(samples).items():
        shown = control.pictures in predictor.shows
        if control.missing or not shown:
            found["controls_left_out"][name] = control.missing or "a baseline's pictures cannot be exchanged for noise"
        if control.places and shown:
            asked = [samples[place] for place in control.places]
            wrong[name] = predictions.from_answers(asked, predictor.answer(control.asked, control.pictures))
            predictions.write(folder / f"{name}.{split}.jsonl", wrong[name])
            found["controls"][name] = _brief(wrong[name], normalise)
    found["reliance"] = reliance.reliance(rows, wrong, normalise)
    found["mirror"] = {
        group: mirror.measure(
            [rows[place] for place in turned.places],
            predictions.from_answers(turned.asked, predictor.answer(turned.asked)),
            group=group,
            normalise=normalise,
            left_out=turned.left_out,
            known=lambda answer: predictor.run.vocabulary.index(answer) >= 0,
        )
        for group, turned in mirror.questions(samples).items()
    }
    return found


def _modes(predictor: Predictor, answering: Answering, split: str, normalise: str) -> dict[str, Any]:
    """The figures of every way of answering, each with its own `predictions.<split>.<way>.jsonl`; of those that write,
    also token F1 and BLEU-1."""
    figures = {}
    for mode in predictor.modes:
        rows = predictions.from_answers(answering.samples, answering.answers(mode))
        file = f"predictions.{split}.{mode}.jsonl"
        predictions.write(predictor.run.folder / file, rows)
        figures[mode] = _brief(rows, normalise) | {"file": file}
        if mode in WRITING:
            text = free_text(rows, normalise)
            figures[mode]["free_text"] = {name: text[name] for name in ("exact", "token_f1", "bleu_1")}
        if mode == "rank":
            assert predictor.run.writer is not None
            figures[mode]["candidates"] = {"n": len(predictor.run.writer.candidates), "scope": "training answers"}
        if mode == "hybrid":
            figures[mode]["generates_below"] = answering.hybrid_below
    return figures


def _calibration(predictor: Predictor, validation: list[Sample], rows: list[predictions.Prediction]) -> dict[str, Any]:
    """What the run's calibration does on these questions, or {"missing": why there is none, "hint"}."""
    folder = predictor.run.folder
    own = {sample.id for sample in validation}
    if own & {row.id for row in rows}:
        return {"missing": "these are the questions that it would be fitted on", "hint": "judge on another split"}
    if predictor.calibration is None:
        if not validation:
            return {"missing": nothing_held_out(folder), "hint": what_can_be_done(folder)}
        if len(validation) < calibration.FEWEST:
            few = f"{len(validation)} validation questions are too few; it takes {calibration.FEWEST}"
            return {"missing": few, "hint": what_can_be_done(folder)}
        predictor.calibration, _ = from_validation(predictor, validation)
    return predictor.calibration.measure(rows)


def _scope(
    predictor: Predictor, train: Sequence[Sample], validation: Sequence[Sample], samples: Sequence[Sample]
) -> dict[str, Any]:
    """What is taken for something else than was learned from: `scope.json`, and how much of this split is ("split").
    A run that has no scope yet gets one; {"missing": why} where it cannot."""
    folder = predictor.run.folder
    own = {sample.image for sample in samples}
    if predictor.scope is None and not ood_fit.fit_run(
        predictor, train, [sample for sample in validation if sample.image not in own]
    ):
        return {"missing": ood_fit.why_not(predictor, train)}
    return ood.read_figures(folder) | {"split": ood_fit.measure_split(predictor, train, samples)}


def explain(predictor: Predictor, samples: Sequence[Sample], out: Path) -> None:
    """Heat maps of the first questions of each kind, for the report, by the method that was measured to be best. A
    baseline looks nowhere and has none."""
    if predictor.run.recipe.is_baseline:
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


def _brief(rows: list[predictions.Prediction], normalise: str) -> dict[str, Any]:
    full = metrics.score(rows, normalise)
    return {key: full[key] for key in ("n", "overall", *metrics.PARTS, "twins") if key in full}


def _write(path: Path, content: dict[str, Any]) -> None:
    atomic_write_text(path, json.dumps(content, indent=1, ensure_ascii=False))
