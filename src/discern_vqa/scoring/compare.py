"""`discern compare`: who is better on the same questions, by how much, and whether that can be told. No torch here.

The first one named is the reference; each other one is tested against it, on overall, open and closed, and all tests
of the table are corrected together (Holm), their intervals too. With one seed each p and interval are those of the
permutation over images (`paired`); with several seeds the mean over seeds and images has to tell them apart as well.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from discern_vqa.data.answers import normaliser
from discern_vqa.data.sample import CLOSED, OPEN
from discern_vqa.errors import ConfigError, DataError
from discern_vqa.scoring import given_files, predictions
from discern_vqa.scoring.extraction import extract, is_free_text
from discern_vqa.scoring.how_given import HowGiven
from discern_vqa.scoring.metrics import figure, part_masks, rights
from discern_vqa.scoring.own_normaliser import is_of_run
from discern_vqa.scoring.paired import Paired, corrected
from discern_vqa.scoring.predictions import Prediction
from discern_vqa.scoring.statistics import ALPHA, combined, detectable, estimate, mcnemar
from discern_vqa.scoring.tables import aligned, cell

PARTS = ("overall", OPEN, CLOSED)


@dataclass(frozen=True)
class Answerer:
    """A model to be compared: its name, and its predictions, one list for each seed."""

    name: str
    seeds: tuple[list[Prediction], ...]
    is_extracted: bool = False  # whether the answers were taken out of free text (`extraction`)


def read_answerers(given: Sequence[str], split: str = "test") -> list[Answerer]:
    """The models of a command line: `PATH`, or `NAME=PATH,PATH,...` for several seeds of one model.

    Args:
        given: two or more, or one with several seeds; a path is a run folder (its predictions on `split` are taken) or
            a predictions file, of this program or of another one (`given_files`). Where one of them is free text, the
            answers are taken out of all.

    Raises ConfigError for one file alone, two of one name, or one file as two seeds; DataError for a file that is not
    there or broken.
    """
    answerers: list[Answerer] = []
    for text in given:
        name, equals, paths = text.partition("=")
        if not equals or Path(text).exists():
            name, paths = "", text
        files = [_file(Path(path), split) for path in ([text] if not name else filter(None, paths.split(",")))]
        if not files:
            raise ConfigError(f"{text!r} names no file", hint="NAME=PATH,PATH for several seeds of one model")
        _refuse_twice(files, name)
        answerers.append(Answerer(name or _name(Path(text), split), tuple(_read(file) for file in files)))
    if sum(len(answerer.seeds) for answerer in answerers) < 2:
        hint = "discern compare RUN RUN, predictions files, or seeds of one model: NAME=PATH,PATH"
        raise ConfigError("there is nothing to compare with", hint=hint)
    names = [answerer.name for answerer in answerers]
    if any(_is_free_text(rows) for answerer in answerers for rows in answerer.seeds):
        answerers = [
            Answerer(answerer.name, tuple(extract(rows).rows for rows in answerer.seeds), is_extracted=True)
            for answerer in answerers
        ]
    for number, answerer in enumerate(answerers):
        if names.count(answerer.name) > 1:
            if "=" in given[number]:
                raise ConfigError(f"two are named {answerer.name!r}", hint="give each a NAME of its own: NAME=PATH")
            answerers[number] = replace(answerer, name=given[number])
    return answerers


def compare(answerers: Sequence[Answerer], normalise: str = "m3ae") -> dict[str, Any]:
    """Every model's figures, and each one's difference from the first with p, corrected p, interval and words.

    Returns:
        {"reference", "n", "images", "normaliser", "protocol", "correction",
        "models": [{"name", "seeds", part: figure}],
        "tests": [{"name", "reference", "part", "n", "images", "difference", "ci95", "mcnemar", "p", "p_holm",
        "detectable", "verdict", "words"}]}; verdict is "better", "worse" or "not distinguishable" and speaks of `name`;
        the interval is that of the same test, corrected as p_holm is, so that it leaves out 0 just where there is a
        verdict.

    Raises:
        DataError: they do not answer the same questions.
    """
    rows = answerers[0].seeds[0]
    right = {
        model.name: np.stack([_right(model, seed, rows, normalise) for seed in model.seeds]) for model in answerers
    }
    images = np.array([row.image for row in rows], dtype=str)
    masks = part_masks([row.answer_type for row in rows])
    parts = {part: masks[part] for part in PARTS if masks[part].any()}
    reference = answerers[0].name
    tested = [
        (
            *_test(right[model.name][:, chosen], right[reference][:, chosen], images[chosen]),
            {"name": model.name, "reference": reference, "part": part},
        )
        for model in answerers[1:]
        for part, chosen in parts.items()
    ]
    tests = []
    for (test, _, about), (p, ends) in zip(tested, corrected([pair for _, pair, _ in tested]), strict=True):
        better = "better" if test["difference"] > 0 else "worse"
        test |= about | {"p_holm": p, "verdict": better if p < ALPHA else "not distinguishable"}
        test["ci95"] = ends if test["images"] > 1 else None  # of one image nothing can be told
        test["words"] = _words(test, len(tested))
        tests.append(test)
    return {
        "reference": reference,
        "n": len(rows),
        "images": len(set(images)),
        "normaliser": normalise,
        "protocol": "extracted" if answerers[0].is_extracted else "ours",
        "correction": f"Holm over {len(tests)} tests" if len(tests) > 1 else "none",
        "models": [
            {"name": model.name, "seeds": len(model.seeds)}
            | {part: _figure(right[model.name][:, chosen], images[chosen]) for part, chosen in parts.items()}
            for model in answerers
        ],
        "tests": tests,
    }


def as_text(compared: dict[str, Any]) -> str:
    """The figures, the tests and what they mean, as lines of plain text."""
    parts = [part for part in PARTS if part in compared["models"][0]]
    seeds = any(model["seeds"] > 1 for model in compared["models"])
    models = compared["models"]
    table = [["", "seeds", *parts], ["n", "", *(f"{models[0][part]['n']:,}" for part in parts)]]
    table += [[model["name"], str(model["seeds"]), *(_cell(model[part]) for part in parts)] for model in models]
    if not seeds:
        table = [[name, *cells] for name, _, *cells in table]
    tests = [["against " + compared["reference"], "part", "points", "95 %", "McNemar", "p", "p, Holm", "detectable"]]
    for test in compared["tests"]:
        tests.append(
            [
                test["name"],
                test["part"],
                f"{100 * test['difference']:+.1f}",
                " to ".join(f"{100 * end:+.1f}" for end in test["ci95"] or ()) or "-",
                f"{test['mcnemar']['p']:.3g}" if test["mcnemar"] else "-",
                f"{test['p']:.3g}",
                f"{test['p_holm']:.3g}",
                f"{100 * test['detectable']:.1f}" if test["detectable"] is not None else "-",
            ]
        )
    how = " after they were taken out of free text" if compared["protocol"] == "extracted" else ""
    lines = [
        f"{compared['n']:,} questions about {compared['images']:,} images, answers compared by "
        f"{compared['normaliser']!r}{how}; accuracy in % [95 % interval, clustered by image]",
        "",
        *aligned(table),
    ]
    if compared["tests"]:
        lines += ["", *aligned(tests), "", *(test["words"] for test in compared["tests"])]
    if not seeds:
        lines.append(
            "One seed each: this speaks of these trained models, not of the methods; give several as NAME=PATH,PATH."
        )
    return "\n".join(lines)


def _read(file: Path) -> list[Prediction]:
    if is_of_run(file):
        return predictions.read(file)
    rows = given_files.read(file, HowGiven(file)).rows
    given_files.require_truths(file, rows)
    return rows


def _is_free_text(rows: list[Prediction]) -> bool:
    return is_free_text(rows, extract(rows))


def _file(path: Path, split: str) -> Path:
    if path.is_dir():
        file = path / f"predictions.{split}.jsonl"
        if not file.is_file():
            raise DataError(
                f"{path} has no {file.name}", hint=f"first: discern evaluate {path} --split {split}; or name a file"
            )
        return file
    return path


def _refuse_twice(files: Sequence[Path], name: str) -> None:
    """One file as two seeds would be a spread of nothing and an interval that is too narrow."""
    seen: set[Path] = set()
    for file in files:
        if file.resolve() in seen:
            raise ConfigError(
                f"{name!r} names {file} twice; each seed is a run of its own", hint="name every seed's file once"
            )
        seen.add(file.resolve())


def _name(path: Path, split: str) -> str:
    if path.is_dir():
        return path.resolve().name
    stem = path.name.removesuffix(".jsonl")
    if stem == f"predictions.{split}":
        return path.resolve().parent.name
    return stem.removesuffix(f".{split}")


def _right(model: Answerer, seed: list[Prediction], rows: list[Prediction], normalise: str) -> np.ndarray:
    """(n,) bool in the order of `rows`. Raises DataError unless `seed` answers the same questions."""
    theirs = {row.id: row for row in seed}
    missing = [row.id for row in rows if row.id not in theirs]
    extra = len(theirs) - (len(rows) - len(missing))
    if missing or extra:
        raise DataError(
            f"{model.name} answers other questions: {len(missing):,} of {len(rows):,} are missing"
            + (f" (the first is {missing[0]!r})" if missing else "")
            + f", {extra:,} are more",
            hint="compare predictions on one split of one data set, or cut the files to the questions they share",
        )
    same = normaliser(normalise)
    for row in rows:
        if theirs[row.id].image != row.image or set(map(same, theirs[row.id].truths)) != set(map(same, row.truths)):
            raise DataError(
                f"{model.name}: the question {row.id!r} has another image or another true answer there",
                hint="the two files are of two data sets, or number their questions differently",
            )
    return rights([theirs[row.id] for row in rows], normalise)


def _figure(right: np.ndarray, images: np.ndarray) -> dict[str, Any]:
    """Of one seed a figure as everywhere; of several the mean, their spread, and an interval over seeds and images."""
    if len(right) == 1:
        return figure(right[0], images)
    made = estimate(right, images.tolist())
    return {
        "n": right.shape[1],
        "accuracy": made.mean,
        "ci95": [max(0.0, made.low), min(1.0, made.high)] if math.isfinite(made.error) else None,
        "sd": made.sd,
        "seeds": list(made.seeds),
    }


def _cell(scored: dict[str, Any]) -> str:
    return cell(scored) + (f" (sd {100 * scored['sd']:.1f})" if scored.get("sd") is not None else "")


def _test(other: np.ndarray, reference: np.ndarray, images: np.ndarray) -> tuple[dict[str, Any], Paired]:
    """The difference `other` minus `reference` of (S, n) bool each, and what chance would do to it."""
    clusters = images.tolist()
    difference = other.mean(axis=0) - reference.mean(axis=0)
    spread = combined(difference, clusters, [other.mean(axis=1), reference.mean(axis=1)])
    single = len(other) == len(reference) == 1
    table = mcnemar(reference[0], other[0]) if single else None
    is_known = math.isfinite(spread.error)
    pair = Paired.of(difference, clusters, spread if not single and is_known else None)
    test = {
        "n": len(difference),
        "images": len(set(clusters)),
        "difference": float(difference.mean()),
        "mcnemar": {"only_reference": table.only_first, "only_this": table.only_second, "p": table.p}
        if table
        else None,
        "p": pair.p,
        "detectable": detectable(spread.error) if is_known and spread.error > 0 else None,
    }
    return test, pair


def _words(test: dict[str, Any], tests: int) -> str:
    points = f"{100 * test['difference']:+.1f} percentage points"
    if test["ci95"]:
        points += f" ({100 * test['ci95'][0]:+.1f} to {100 * test['ci95'][1]:+.1f})"
    told = f"p = {test['p_holm']:.2g}" + (f" after correction for {tests} tests" if tests > 1 else "")
    if test["verdict"] != "not distinguishable":
        return f"{test['part']}: {test['name']} is {test['verdict']} than {test['reference']}: {points}, {told}."
    text = f"{test['part']}: {test['name']} and {test['reference']} are not distinguishable: {points}, {told}"
    if test["detectable"] is None:
        return f"{text}; they answer alike." if test["difference"] == 0 else f"{text}."
    return (
        f"{text}; on these {test['n']:,} questions a true difference under {100 * test['detectable']:.1f} percentage "
        "points is missed more often than once in five."
    )
