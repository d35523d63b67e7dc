"""Published ways of scoring as presets over one predictions file: the same answers, side by side. No torch here.

"Closed", "accuracy" and "the test set" mean different things in different programs, so their figures cannot be
compared; here every preset scores the same lines, and says which questions it takes, how it compares and what it calls
closed. What a preset cannot repeat from predictions (another vocabulary, another choice of the epoch) is said in
docs/metrics.md. A preset that needs what a file does not say is not applied, with the reason.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from discern_vqa.data.answers import NORMALISERS, AnswerVocabulary
from discern_vqa.data.sample import CHOICE, CLOSED, OPEN
from discern_vqa.errors import ConfigError, DataError
from discern_vqa.reading.records import parse_json
from discern_vqa.scoring import medevalkit
from discern_vqa.scoring.credits import Credit, contained, exact, llava_med, llava_med_candidates, snapped
from discern_vqa.scoring.extraction import extract
from discern_vqa.scoring.metrics import PARTS, figure, part_masks, shown_parts
from discern_vqa.scoring.predictions import Prediction, read_text_of
from discern_vqa.scoring.tables import aligned, cell

_MUMC_MARKS = str.maketrans("", "", ",.'!?\"()*#:;~")
_X_RAY = re.compile("x[- ]ray")


def mumc(answer: str) -> str:
    """MUMC's cleaning. The marks are lost in numbers too, so that 5.1 is 51: good for repeating its figures alone."""
    plain = NORMALISERS["lower"](answer)
    text = _X_RAY.sub("xray", NORMALISERS["lower"](plain.translate(_MUMC_MARKS)))
    return text.replace(" - ", "-") or plain


CLEANING: Mapping[str, Callable[[str], str]] = {**NORMALISERS, "mumc": mumc}


def is_yes_or_no(row: Prediction) -> bool:
    """Whether the true answer is "yes" or "no"."""
    return NORMALISERS["m3ae"](row.gold) in ("yes", "no")


def _flag(row: Prediction) -> str:
    return row.answer_type or "unknown"


def _yes_no(row: Prediction) -> str:
    return CLOSED if is_yes_or_no(row) else OPEN


def _medevalkits(row: Prediction) -> str:
    return CLOSED if medevalkit.is_yes_or_no(row) else OPEN


def _choice(row: Prediction) -> str:
    return CHOICE


def _as_written(rows: Sequence[Prediction]) -> Sequence[Prediction]:
    return rows


def _extracted(rows: Sequence[Prediction]) -> Sequence[Prediction]:
    return extract(rows).rows


def _all(row: Prediction) -> bool:
    return True


def _free_form(row: Prediction) -> bool:
    return row.phrase_type.removeprefix("test_") == "freeform"  # the owner's edition writes "test_freeform"


@dataclass(frozen=True)
class Protocol:
    """One way of scoring."""

    what: str  # it does, in a line
    programs: str  # that score so
    cleaning: str = "m3ae"  # of both answers, a name in CLEANING
    credit: Credit = exact
    asked: Callable[[Prediction], bool] = _all  # which questions are taken
    part: Callable[[Prediction], str] = _flag  # what counts as open and closed
    needs: tuple[str, ...] = ()  # keys of the file; "answers", to take questions with these
    judge: Callable[[Prediction, str], float] | None = (
        None  # (row, a true answer) -> credit, in place of the three above
    )
    rows: Callable[[Sequence[Prediction]], Sequence[Prediction]] = _as_written  # what is done to the answers before

    @property
    def is_strict(self) -> bool:
        """Whether the whole text must equal the true answer: made for models that choose from a list."""
        return self.rows is _as_written and self.judge is None and self.credit is exact


PROTOCOLS: Mapping[str, Protocol] = {
    "ours": Protocol("all questions, exact, closed as the data set says", "discern"),
    "extracted": Protocol("the same, after the answer is taken out of the text", "discern", rows=_extracted),
    "m3ae": Protocol("the same; the programs' tables hold test answers too", "M3AE, CMI-MTL"),
    "mevf_all": Protocol("all questions, exact, one spelling of x-ray", "MEVF train, PeFoMed", "mevf"),
    "mevf_freeform": Protocol(
        "free-form questions alone, exact", "MEVF test, VQAMix, M2I2", "mevf", asked=_free_form, needs=("phrase_type",)
    ),
    "mumc": Protocol("all questions, MUMC's cleaning, exact", "MUMC as described", "mumc"),
    "mumc_contained": Protocol("the same; a piece of the true answer is right", "MUMC's program", "mumc", contained),
    "yes_no_closed": Protocol("closed = the true answer is yes or no", "MISS", part=_yes_no),
    "hub": Protocol("no types: closed = yes or no; lower case", "users of the hub's copy", "lower", part=_yes_no),
    "medevalkit": Protocol(
        "takes tags, boxes and phrases out; closed: just one of yes, no occurs",
        "MedEvalKit on VQA-RAD, PathVQA",
        "none",
        part=_medevalkits,
        judge=medevalkit.judge,
    ),
    "medevalkit_slake": Protocol(
        "the same; open and closed as the data set says, closed exact",
        "MedEvalKit on SLAKE",
        "none",
        needs=("answer_type",),
        judge=medevalkit.judge_slake,
    ),
    "medevalkit_choice": Protocol(
        "multiple choice: letter, text, or the nearest option",
        "MedEvalKit on PMC-VQA",
        "none",
        part=_choice,
        needs=("options",),
        judge=medevalkit.judge_choice,
    ),
    "llava_med": Protocol(
        "open: word recall; closed: the truth occurs in an answer with yes or no",
        "LLaVA-Med",
        credit=llava_med,
        needs=("answer_type",),
    ),
    "llava_med_candidates": Protocol(
        "open: the best covered candidate; closed the same",
        "LLaVA-Med, open accuracy",
        credit=llava_med_candidates,
        needs=("answer_type",),
    ),
    "snapped": Protocol("the nearest of the known answers, exact", "PMC-VQA, answer lists", credit=snapped),
    "in_vocabulary": Protocol("questions whose true answer the model can give", "discern", needs=("answers",)),
}


def chosen(names: str) -> list[str]:
    """The presets of "A,B" or "all". Raises ConfigError for one that does not exist."""
    wanted = list(PROTOCOLS) if names.strip() == "all" else [name.strip() for name in names.split(",") if name.strip()]
    for name in wanted or [names]:
        if name not in PROTOCOLS:
            near = get_close_matches(name, PROTOCOLS, n=1)
            raise ConfigError(
                f"there is no protocol {name!r}",
                hint=f"did you mean {near[0]!r}?" if near else f"there are: all, {', '.join(PROTOCOLS)}",
            )
    return list(dict.fromkeys(wanted))


def read_answers(path: Path) -> list[str]:
    """The answers that a model can give: a run's folder, its vocabulary.json, or a text file with a line each.

    Raises DataError when there is no such file or nothing in it.
    """
    file = path / "vocabulary.json" if path.is_dir() else path
    hint = "a run folder, its vocabulary.json, or a text file with one answer a line"
    text = read_text_of(file, hint)
    if file.suffix == ".json":
        try:
            return list(AnswerVocabulary.from_json(parse_json(text, str(file), hint=hint)["answers"]).givable)
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{file} is no vocabulary of a run: {error!r}", hint=hint) from error
    answers = [line.strip() for line in text.split("\n") if line.strip()]
    if not answers:
        raise DataError(f"{file} holds no answers", hint=hint)
    return answers


def score_protocols(
    rows: Sequence[Prediction], names: Sequence[str] = tuple(PROTOCOLS), answers: Sequence[str] | None = None
) -> dict[str, Any]:
    """The figures of each preset: {name: {"what", "programs", "cleaning", "n", "overall", "open", "closed",
    ["unknown"]}}, or {name: {"what", "programs", "skipped": why}}.

    Args:
        answers: the answers that the model can give. Presets that snap to known answers take the true answers of the
            file without them, as programs do whose lists hold test answers.
    """
    scores: dict[str, Any] = {}
    for name in names:
        protocol = PROTOCOLS[name]
        scores[name] = {"what": protocol.what, "programs": protocol.programs}
        lacking = _lacking(protocol, rows, answers)
        scores[name] |= {"skipped": lacking} if lacking else _figures(protocol, rows, answers)
    return scores


def as_table(scores: dict[str, Any]) -> str:
    """A line for each preset that was applied, what each does, and which were not applied and why."""
    applied = {name: figures for name, figures in scores.items() if "skipped" not in figures}
    parts = [part for part in PARTS if any(part in shown_parts(figures) for figures in applied.values())]
    table = [["protocol", "n", "overall", *(text for part in parts for text in (f"n {part}", part))]]
    for name, figures in applied.items():
        cells = [(f"{figures[part]['n']:,}", cell(figures[part])) if part in figures else ("-", "-") for part in parts]
        table.append([name, f"{figures['n']:,}", cell(figures["overall"]), *(text for pair in cells for text in pair)])
    lines = ["the same answers under each protocol, in % [95 % interval, clustered by image]", "", *aligned(table)]
    described = [[name, figures["what"], figures["programs"]] for name, figures in applied.items()]
    lines += ["", *aligned(described)] if described else []
    lines += [f"not applied: {name}: {figures['skipped']}" for name, figures in scores.items() if "skipped" in figures]
    return "\n".join(lines)


def _lacking(protocol: Protocol, rows: Sequence[Prediction], answers: Sequence[str] | None) -> str:
    """What a preset needs and is not there, "" when nothing is."""
    for need in protocol.needs:
        if need == "answers":
            if not answers:
                return "it needs the list of answers that the model can give: --answers RUN, or a file"
        elif silent := sum(not getattr(row, need) for row in rows):
            return f"{silent:,} of {len(rows):,} lines have no {need}"
    return ""


def _figures(protocol: Protocol, rows: Sequence[Prediction], answers: Sequence[str] | None) -> dict[str, Any]:
    clean = CLEANING[protocol.cleaning]
    rows = protocol.rows(rows)
    known = tuple(dict.fromkeys(clean(answer) for answer in (answers or [row.gold for row in rows])))
    taken = [row for row in rows if protocol.asked(row)]
    if "answers" in protocol.needs:
        givable = set(known)
        taken = [row for row in taken if not givable.isdisjoint(map(clean, row.truths))]
    if not taken:
        return {"skipped": "no line is a question that it takes"}
    parts = [protocol.part(row) for row in taken]
    images = np.array([row.image for row in taken], dtype=str)

    def credit_of(row: Prediction, part: str, true: str) -> float:
        if protocol.judge is not None:
            return protocol.judge(row, true)
        return protocol.credit(clean(row.prediction), clean(true), part, known)

    credit = np.array(
        [
            max(credit_of(row, part, true) for true in row.truths) if row.prediction.strip() else 0.0
            for row, part in zip(taken, parts, strict=True)
        ]
    )
    if np.isin(credit, (0.0, 1.0)).all():
        credit = credit.astype(bool)
    figures = {part: figure(credit[mask], images[mask]) for part, mask in part_masks(parts).items()}
    return {"cleaning": protocol.cleaning, "n": len(taken), **figures}
