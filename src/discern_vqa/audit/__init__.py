"""What is wrong with a data set, found before anything is trained on it. No torch here.

One file per kind of check. Each has `TITLE`, `check(inputs) -> dict` (JSON-able figures), `lines(found) -> list[str]`
(the figures as text). Two functions are optional: `verdict(found) -> list[str]` describes flaws, and
`notes(found) -> list[str]` what a user should know although it is no flaw. A new check is one new file and its name in
`_NAMES`; its figures are in the report under that name.
"""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from discern_vqa import registry
from discern_vqa.audit import folding
from discern_vqa.audit.image_set import ImageSet
from discern_vqa.audit.inputs import AuditInputs, Other, Progress
from discern_vqa.contracts import AuditCheck, HasNotes, HasVerdict
from discern_vqa.data.answers import normaliser
from discern_vqa.data.sample import Sample
from discern_vqa.errors import DataError

_NAMES = (
    "counts", "records", "as_read", "images", "near", "encoder", "languages", "against", "rephrasings", "repetitions",
    "answers", "merged", "lengths", "balance", "priors", "baselines", "sides",
)  # fmt: skip
CHECKS = {name: cast(AuditCheck, registry.load("audit", name)) for name in _NAMES}
"""By the keys of their figures in the report, in the order in which they are reported."""


def audit(
    samples_by_split: Mapping[str, Sequence[Sample]],
    *,
    normalise: str = "m3ae",
    published: Mapping[str, int] | None = None,
    left_out: Mapping[str, str] | None = None,
    broken: Sequence[str] = (),
    tables: Sequence[str] = (),
    encoder: str = "",
    against: tuple[str, Mapping[str, Sequence[Sample]]] | None = None,
    workers: int = 1,
    cache: Path | None = None,
    progress: Progress = lambda what, done, total: None,
) -> dict[str, Any]:
    """All checks of a data set: {"normalise", "<check>": figures, ..., "verdict": sentences, "flaws"}, JSON-able.

    `verdict` has the flaws first and then the notes; `flaws` says how many of its sentences are flaws.

    Args:
        samples_by_split: what the reader returned for each split; empty splits are passed over.
        normalise: two answers are the same when this normaliser makes them so (see `data.answers`).
        published: questions by split, as the owners state them, to compare with.
        left_out: why the reader leaves some of those out, by split.
        broken: what is wrong with the records that the reader left out.
        tables: the baselines that answer the evaluation splits (see `audit.baselines`).
        encoder: weights of an image encoder that compares the images too (this alone needs torch); "" for none.
        against: name and samples of another data set in which this one's images are looked for.
        workers: processes that decode images (see `imaging.fingerprints`).
        cache: file in which fingerprints of images are kept; None keeps nothing.
        progress: called with what is done, how much is done, and of how much.

    Raises:
        DataError: there is no sample.
        ConfigError: there is no such normaliser.
        DiscernError: the cache cannot be written.
    """
    normaliser(normalise)
    samples = {split: rows for split, rows in samples_by_split.items() if rows}
    if not samples:
        why = f"; of {len(broken)} broken records the first: {broken[0]}" if broken else ""
        raise DataError(f"there is nothing to audit: no split has a sample{why}", hint="check the data set's folder")

    def look(rows: Mapping[str, Sequence[Sample]], what: str) -> ImageSet:
        return ImageSet.look(rows, workers, cache, lambda done, total: progress(what, done, total))

    other = Other(*against, look(against[1], f"reading images of {against[0]}")) if against else None
    inputs = AuditInputs(
        samples,
        normalise,
        look(samples, "reading images"),
        published=published or {},
        left_out=left_out or {},
        broken=broken,
        baselines=tables,
        encoder=encoder,
        other=other,
        progress=progress,
    )
    report: dict[str, Any] = {"normalise": normalise}
    flaws: list[str] = []
    known: list[str] = []
    for name, module in CHECKS.items():
        figures = report[name] = module.check(inputs)
        flaws += module.verdict(figures) if isinstance(module, HasVerdict) else []
        known += module.notes(figures) if isinstance(module, HasNotes) else []
    return report | {"verdict": flaws + known, "flaws": len(flaws)}


def as_text(report: Mapping[str, Any]) -> str:
    """The report as text for a terminal, without noughts and repetitions: the verdict, the notes, then the figures."""
    flaws, known = report["verdict"][: report["flaws"]], report["verdict"][report["flaws"] :]
    text = ["Verdict", *_listed(folding.sentences(flaws) or ["No flaw was found."])]
    text += ["", "Notes", *_listed(folding.sentences(known))] if known else []
    kept, empty = folding.checks(lines_by_check(report))
    for title, lines in kept:
        text += ["", title, *(f"  {line}" for line in lines)]
    if empty:
        text += ["", f"Nothing was found by: {', '.join(empty)}."]
    return "\n".join(text)


def lines_by_check(report: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """(title, lines) of each check that has lines to print."""
    listed = [(module.TITLE, module.lines(report[name])) for name, module in CHECKS.items()]
    return [(title, lines) for title, lines in listed if lines]


def _listed(sentences: Sequence[str]) -> list[str]:
    wrapper = textwrap.TextWrapper(100, initial_indent="  - ", subsequent_indent="    ")
    return [line for sentence in sentences for line in wrapper.wrap(sentence)]
