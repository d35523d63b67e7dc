"""`discern predict` over DICOMweb, killed at moments drawn by chance and gone on with: does it end as if undisturbed?

    python benchmarks/archive_drill.py FOLDER [--kills 20] [--rows 2000] [--seed 0]

Starts a real archive (Orthanc, in a network of its own: tests/_orthanc.py), stores two test images of pydicom, and
answers a table of questions about them through the journal of `predict`. The model is the SHA-256 of the pixels that it
was shown: an answer is right only where the right image came, whole. Each process that answers is ended by SIGKILL.
Prints how often, how many answers were made twice, and whether the file is the same to the last byte.
"""

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.data import get_testdata_file

from discern_vqa.dicomweb.address import Address
from discern_vqa.dicomweb.archive import Archive
from discern_vqa.evaluation.archived_images import ArchivedImages
from discern_vqa.evaluation.predict_file import BATCH, predict_file
from discern_vqa.evaluation.questions import look_through
from discern_vqa.files import sha256_of
from discern_vqa.imaging.images import open_image

IMAGES = ("CT_small.dcm", "MR_small.dcm")
WINDOWS = ("", "#window=full", "#window=40:400")


class Digest:
    """A model whose answer is the digest of the pixels that it sees. wait_s: for each batch."""

    def __init__(self, folder: Path, log: Path | None = None, wait_s: float = 0.0) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "model.safetensors").write_bytes(b"no weights")
        self.folder, self.modes = folder, ("classify",)
        self.log, self.wait_s = log, wait_s

    @property
    def weights_sha256(self):
        return sha256_of(self.folder / "model.safetensors")

    def answer_judged(self, samples, mode=""):
        time.sleep(self.wait_s)
        if self.log is not None:
            with open(self.log, "a") as file:
                file.write("".join(f"{sample.id}\n" for sample in samples))
        return [hashlib.sha256(open_image(sample.path).tobytes()).hexdigest() for sample in samples]

    def line_of(self, answer):
        return {"prediction": answer, "score": 0.5, "alternatives": [[answer, 0.5]]}

    def forget(self, samples):
        pass


@dataclass(frozen=True)
class Drilled:
    """What came of it. again: answers that were made more than once."""

    kills: int
    rows: int
    again: int
    is_same: bool


def answer(url: str, folder: Path, out: Path, *, log: Path | None = None, wait_s: float = 0.0, resume: bool = False):
    """Answers FOLDER/q.csv into `out`."""
    given = look_through(folder / "q.csv", archive=url)
    with Archive(url) as archive:
        predict_file(Digest(folder / "run", log, wait_s), given, out, resume=resume, bring=ArchivedImages(archive))


def drill(url: str, folder: Path, kills: int, rows: int, seed: int = 0) -> Drilled:
    """Stores the images, answers `rows` questions once undisturbed and once with `kills`."""
    chance, names = random.Random(seed), []
    with Archive(url) as archive:
        for file in IMAGES:
            image = pydicom.dcmread(get_testdata_file(file))
            archive.store([image])
            names.append(Address(image.StudyInstanceUID, image.SeriesInstanceUID, image.SOPInstanceUID))
    asked = [f"{chance.choice(names)}{chance.choice(WINDOWS)},question {number}" for number in range(rows)]
    (folder / "q.csv").write_text("image,question\n" + "\n".join(asked) + "\n")
    answer(url, folder, folder / "whole.csv")
    log, out, journal = folder / "log", folder / "out.csv", folder / ".out.csv.journal"
    for number, moment in enumerate(sorted(chance.sample(range(rows - BATCH), kills)) + [rows]):
        words = [sys.executable, __file__, "--answer", url, str(folder), *["--resume"] * (number > 0)]
        process = subprocess.Popen(words)
        while number < kills and process.poll() is None and _lines(journal) <= moment:
            time.sleep(0.001)
        if number < kills:
            time.sleep(chance.random() * 0.05)
            os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == (-signal.SIGKILL if number < kills else 0), f"it ended by itself: {process.returncode}"
    made = log.read_text().split()
    return Drilled(kills, rows, len(made) - len(set(made)), out.read_bytes() == (folder / "whole.csv").read_bytes())


def _lines(journal: Path) -> int:
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--answer", default="", help=argparse.SUPPRESS)
    parser.add_argument("--resume", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.answer:  # one process that may be killed
        folder = given.folder
        answer(given.answer, folder, folder / "out.csv", log=folder / "log", wait_s=0.02, resume=given.resume)
        return
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from _orthanc import PASSWORD, USER, orthanc

    os.environ |= {"DISCERN_DICOMWEB_USER": USER, "DISCERN_DICOMWEB_PASSWORD": PASSWORD}
    (given.folder / "archive").mkdir(parents=True)
    with orthanc(given.folder / "archive") as archive:
        done = drill(archive.url, given.folder, given.kills, given.rows, given.seed)
    print(
        f"killed {done.kills} times: {done.rows:,} rows, {done.again:,} answers made again, "
        f"{'the same file' if done.is_same else 'ANOTHER FILE'}"
    )


if __name__ == "__main__":
    main()
