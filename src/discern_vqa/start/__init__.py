"""`discern start`: from a folder of one's own data to a first honest report, step by step. A step that has ended is not
repeated when the same command is given again.

    OUT/data.toml      how the data are read, for all commands      OUT/audit.html     what is wrong with them
    OUT/split/         train, validation, test                      OUT/models/NAME/   a run folder for each model
    OUT/start.json     what was done (`record`)                     OUT/report/        the chosen model's report

This file has the order of the steps; `candidates` has the models, `choosing` the tests, `summary` the words.
"""

import json
import os
import shlex
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from discern_vqa import data_file
from discern_vqa.audit import as_text, audit
from discern_vqa.audit.page import write_page
from discern_vqa.config import DataConfig
from discern_vqa.data.sample import Sample
from discern_vqa.errors import ConfigError, DataError
from discern_vqa.evaluation.calibrate import VALIDATION
from discern_vqa.evaluation.evaluate import evaluate
from discern_vqa.evaluation.opening import open_run
from discern_vqa.experiments.data_digest import digest_of
from discern_vqa.files import atomic_write_text
from discern_vqa.imaging.fingerprint_cache import cache_file
from discern_vqa.imaging.fingerprints import workers_here
from discern_vqa.lock import locked
from discern_vqa.reading import understood
from discern_vqa.reading.guess import Choose
from discern_vqa.recipe_samples import Samples
from discern_vqa.report.page import write_report
from discern_vqa.run import Run
from discern_vqa.scoring import predictions
from discern_vqa.scoring.metrics import brief
from discern_vqa.start import candidates, choosing, description, dividing, summary
from discern_vqa.start.candidates import BY_NAME, CANDIDATES, Candidate, Size
from discern_vqa.start.description import Say
from discern_vqa.start.record import Record

FLAWS_SHOWN = 5
MADE = ("models", "report")
"""Folders of `out` that are made of the data."""
LEAST_IMAGES = 100
"""Images from which on a network is tried: on the 20 validation images of fewer only a very large difference to the
regression could be shown, and without one the network would not be chosen."""


def run(source: Path, out: Path, minutes: float, choose: Choose, say: Say, began: float | None = None) -> None:
    """Walks from `source` (a folder, a table or a data.toml) to OUT/report.

    Args:
        minutes: for all steps together; a network is begun only where its estimated time fits.
        choose: asked where the data can be understood in several ways, and where images cannot be opened.
        say: gets the lines for the user.
        began: when the time of `minutes` began, by `time.monotonic()`; by default now.

    Raises DiscernError: nothing can be made of the data, another command is at work in `out`, or `out` was begun with
    other data.
    """
    began = time.monotonic() if began is None else began
    walk = _Walk(out, began + 60 * minutes, say, began)
    with locked(out):
        walk.describe(source, choose)
        walk.open_images(choose)
        walk.split()
        walk.audit()
        walk.fit()
        walk.choose()
        walk.evaluate()
        walk.end(source)


class _Walk:
    """One walk in one folder. Its methods are the steps, in their order."""

    def __init__(self, out: Path, deadline: float, say: Say, began: float) -> None:
        self.out, self.deadline, self._say, self.began = out, deadline, say, began
        self.file = out / data_file.NAME
        self.left_out: dict[str, str] = {}

    def say(self, text: str) -> None:
        """A line with the seconds since the walk began."""
        self._say(f"[{time.monotonic() - self.began:4.0f} s] {text}")

    def left(self) -> float:
        """Seconds that are left."""
        return self.deadline - time.monotonic()

    def folder(self, name: str) -> Path:
        """The run folder of a model."""
        return self.out / "models" / name

    def describe(self, source: Path, choose: Choose) -> None:
        """Writes data.toml, unless it is there, and shows how the data are understood."""
        if self.file.is_file():
            content = data_file.read(self.file)
            description.require_about(content.root_at(self.file), source, self.file)
            self.say(f"as {self.file} says")
        else:
            content = description.describe(source, self.file, choose, self._say)
            self.say(f"wrote {self.file}")
        samples = description.read(content.model_copy(update={"index": ""}), self.file)
        self.samples = [sample for part in samples.values() for sample in part]
        self._say(understood.counts(samples))
        for line in understood.rows(samples):
            self._say(f"  {line}")
        self._say(f"If this is not what you meant, change {self.file} and give the same command again.")
        settings = content.model_dump(include={"reader", "root", "options"})
        if Record.forget_other(self.out, settings):
            for folder in (*MADE, "split"):
                shutil.rmtree(self.out / folder, ignore_errors=True)
            content = content.model_copy(update={"index": "" if content.index == "split" else content.index})
            content.write(self.file, description.COMMENT)
            self.say(f"{self.file} has changed: all steps are done anew")
        self.record = Record(self.out, digest_of(self.samples), settings)
        self.title = content.title(self.file)
        self.parts = samples

    def open_images(self, choose: Choose) -> None:
        """Finds the images that cannot be opened, before anything is made of them, and leaves them out if that is what
        the user chooses. Raises DataError where it is not, or where no image can be opened."""

        def work() -> dict[str, Any]:
            damaged = dividing.damaged_images(self.samples)
            dividing.require_left(self.samples, damaged)
            if damaged:
                lines, doubt = dividing.about_damage(damaged, self.samples)
                for line in lines:
                    self._say(line)
                if choose(doubt) != 0:
                    raise DataError(doubt.question, hint="replace these files, and give the same command again")
            return {"damaged": damaged}

        self.damaged: dict[str, str] = self.record.step("images", work)["damaged"]
        if self.damaged:
            self.say(dividing.left_out(self.damaged, self.samples))

    def split(self) -> None:
        """Divides the data, unless they have a test part of their own."""
        content = data_file.read(self.file)
        if not content.index:
            try:
                content = dividing.divide(self.parts, content, self.out, self.damaged)
            except DataError as error:
                self.audit()
                written = f"{self.file} and {self.out / 'audit.html'} are written"
                raise DataError(f"{error}; {written}", hint=error.hint) from error
            if not content.index:
                self.say("split: the data have a test part of their own, which is used as it is")
                return
            content.write(self.file, description.COMMENT)
        self.parts = description.read(content, self.file)
        if any(sample.image in self.damaged for rows in self.parts.values() for sample in rows):
            raise DataError(
                f"{self.file} names a split of its own, which holds images that cannot be opened",
                hint=f"replace these files, or take the line index out of {self.file}",
            )
        for line in dividing.in_words(self.parts, self.file):
            self.say(line)

    def audit(self) -> None:
        """What is wrong with the data, as they are divided."""

        def work() -> dict[str, Any]:
            content = data_file.read(self.file)
            report = audit(
                self.parts,
                normalise=DataConfig(dataset=content.reader).normaliser,
                broken=[
                    f"{sample.source}: {self.damaged[sample.image]}"
                    for sample in self.samples
                    if sample.image in self.damaged
                ],
                workers=workers_here(),
                cache=cache_file(),
            )
            title = f"{self.title}, divided as in {content.index}/" if content.index else self.title
            atomic_write_text(self.out / "audit.json", json.dumps(report, indent=1, ensure_ascii=False))
            write_page(report, self.out / "audit.html", title, self.parts)
            atomic_write_text(self.out / "audit.txt", as_text(report) + "\n")
            return {"flaws": report["verdict"][: report["flaws"]], "notes": len(report["verdict"]) - report["flaws"]}

        found = self.record.step("audit", work)
        flaws, notes = found["flaws"], found["notes"]
        self.say(f"audit: {len(flaws) or 'no'} flaws, {notes} notes ({self.out / 'audit.html'})")
        for flaw in flaws[:FLAWS_SHOWN]:
            self._say(f"  - {flaw}")
        if len(flaws) > FLAWS_SHOWN:
            self._say(f"  - and {len(flaws) - FLAWS_SHOWN} more")

    def fit(self) -> None:
        """Fits the models, the networks as far as the time allows."""
        reading = self._reading()
        train, validation = reading.learning
        questions = [sample for sample in train if not sample.is_caption]
        images = len({sample.image for sample in [*questions, *validation]})
        size = Size(len(questions), images, len(validation), 0.0)
        for candidate in CANDIDATES:
            if not self.record.done(f"fit {candidate.name}"):
                reason = self._no_time_for(candidate, replace(size, seconds_an_image=self._image_s(images)))
                if reason:
                    self.left_out[candidate.name] = reason
                    self.say(f"{candidate.name} ({candidate.what}): left out, see below")
                    continue
            try:
                seconds = self._fitted(candidate)
            except ConfigError as error:
                if not candidate.sees_pixels:
                    raise
                # Weights or a package that are not on this machine; the hint says how they are fetched.
                self.left_out[candidate.name] = f"{error} (try: {error.hint})"
                self.say(f"{candidate.name} ({candidate.what}): left out, see below")
                continue
            answers = self._answers(candidate, validation)
            figure = brief(answers, self._normaliser(candidate))["overall"]
            self.say(
                f"{candidate.name} ({candidate.what}): {100 * figure['accuracy']:.1f} % right on validation, "
                f"fitted in {seconds:.0f} s"
            )

    def _fitted(self, candidate: Candidate) -> float:
        """Fits a model, unless that was done before; the seconds that it took."""

        def work() -> dict[str, Any]:
            return {"seconds": round(candidates.fit(candidate, self.file, self.folder(candidate.name)), 1)}

        return float(self.record.step(f"fit {candidate.name}", work)["seconds"])

    def _no_time_for(self, candidate: Candidate, size: Size) -> str:
        """Why a network is not begun; "" where it is, and for models that take seconds."""
        if not candidate.network or candidates.is_fitted(self.folder(candidate.name)):
            return ""
        images = len({sample.image for sample in self.samples})
        if images < LEAST_IMAGES:
            return (
                f"{images} images are too few to show that a network is better; from {LEAST_IMAGES} on it is tried. By "
                f"hand: discern train {candidate.recipe.removesuffix('.toml')} "
                f"--data {shlex.quote(str(self.file))} --out RUN"
            )
        if self.left() < 30:
            return "the time is up (--minutes gives more)"
        try:
            seconds = candidates.estimated_seconds(candidate, self.file, self.out / "probe", size)
        except ConfigError as error:
            return f"{error} (try: {error.hint})"
        self.say(f"{candidate.name}: estimated {seconds:.0f} s, {max(0, self.left()):.0f} s are left")
        return "" if seconds <= self.left() else "its estimated time does not fit (--minutes gives more)"

    def choose(self) -> None:
        """What each model uses, and which is chosen, on validation."""

        def work() -> dict[str, Any]:
            train, validation = self._reading().learning
            questions = [sample for sample in train if not sample.is_caption]
            fitted = [candidate for candidate in CANDIDATES if self.record.done(f"fit {candidate.name}")]
            rows = {candidate.name: self._answers(candidate, validation) for candidate in fitted}
            normaliser = self._normaliser(fitted[0])
            choice = choosing.choose(rows, normaliser)
            identity = choosing.identity_tells(questions, open_run(self.folder(fitted[0].name), calibrated=False))
            uses = {
                candidate.name: choosing.uses(
                    candidate.name,
                    open_run(self.folder(candidate.name), calibrated=False),
                    questions,
                    validation,
                    identity,
                )
                for candidate in fitted
            }
            figures = {name: brief(answers, normaliser)["overall"] for name, answers in rows.items()}
            return {
                "chosen": choice.name,
                "steps": list(choice.steps),
                "uses": uses,
                "identity": identity,
                "validation": figures,
                "images": len({sample.image for sample in validation}),
                "left_out": self.left_out,
            }

        self.choice = self.record.step("choice", work)
        if any(self.record.done(f"fit {name}") and name not in self.choice["validation"] for name in BY_NAME):
            self.record.forget("choice", "evaluate")  # with more time than before, more models were fitted
            self.choice = self.record.step("choice", work)
        for line in summary.choice(self.choice):
            self._say(line)

    def evaluate(self) -> None:
        """Judges the chosen model on test, calibrates it, and writes its report."""
        folder = self.folder(self.choice["chosen"])

        def work() -> dict[str, Any]:
            scores = evaluate(folder)
            report = write_report(folder, self.out / "report")
            return {"scores": scores, "report": str(report)}

        self.judged = self.record.step("evaluate", work)
        self.say(f"evaluated {self.choice['chosen']} on test")
        self._say(summary.judged(self.judged["scores"]))

    def end(self, source: Path) -> None:
        """The summary, in the terminal and as a file."""
        content = data_file.read(self.file)
        parts = description.read(content, self.file)
        asked = next(sample for sample in parts["test"] if not sample.is_caption)
        image = min(os.path.relpath(asked.path), str(asked.path.resolve()), key=len)
        question = (image, asked.question)
        lines = summary.end(self.choice, self.judged["scores"], self.out, question)
        atomic_write_text(self.out / "summary.md", "\n".join([*summary.choice(self.choice), "", *lines]) + "\n")
        for line in lines:
            self._say(line)
        self.say("done. Research software: not for diagnosis.")

    def _answers(self, candidate: Candidate, validation: Sequence[Sample]) -> list[predictions.Prediction]:
        """A model's answers to the validation questions, kept in its run folder."""
        file = self.folder(candidate.name) / VALIDATION
        if not file.is_file():
            predictor = open_run(self.folder(candidate.name), calibrated=False)
            predictions.write(file, predictions.from_answers(validation, predictor.answer(validation)))
        return predictions.read(file)

    def _normaliser(self, candidate: Candidate) -> str:
        return Run.open(self.folder(candidate.name)).recipe.data.normaliser

    def _reading(self) -> Samples:
        """The samples as all models get them (`candidates.HELD_OUT`)."""
        keys = data_file.data_keys(self.file)
        choice = DataConfig(validation_from="own", validation_ratio=0.1, validation_by="image", **keys)
        return Samples(choice, Path(keys["root"]))

    def _image_s(self, images: int) -> float:
        """Seconds that an image takes to be encoded: at most what the regression took for it, which encodes each."""
        if not self.record.done("fit kernel_ridge"):
            return 0.1
        return float(self.record.step("fit kernel_ridge", dict)["seconds"]) / max(1, images)
