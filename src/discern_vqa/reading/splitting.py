"""From the samples of a data set to a disjoint split: what hangs together, who goes where.

`split_files` writes and reads the files of a split.
"""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from discern_vqa.data.sample import Sample
from discern_vqa.data.splits import connected, is_evaluated
from discern_vqa.errors import ConfigError, DataError
from discern_vqa.imaging.clusters import Clusters
from discern_vqa.imaging.fingerprints import fingerprints
from discern_vqa.imaging.near_pairs import near_pairs
from discern_vqa.imaging.thumbnails import shows_something
from discern_vqa.reading import split_files
from discern_vqa.reading.split_files import NONE, Row
from discern_vqa.reading.stratify import assign, questions_by_kind

WAYS = ("image", "near", "patient", "study")


@dataclass(frozen=True)
class SplitSettings:
    """What split is wanted.

    Args:
        by: "image": images that are equal by name or pixels stay together, and what the data set groups; "near": and
            near-identical images; "patient", "study": and the images of one patient or study.
        test: share of the judged questions; not used with folds.
        validation: share of the judged questions, with folds of those that are left for learning; 0 for none.
        folds: 0 for one split; k for k of them, each testing another part.
        seed: another seed, another split.
    """

    by: str = "image"
    test: float = 0.2
    validation: float = 0.1
    folds: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.by not in WAYS:
            raise ConfigError(f"a data set cannot be split by {self.by!r}", hint=f"there are: {', '.join(WAYS)}")
        if (
            not 0 < self.test < 1
            or not 0 <= self.validation < 1
            or (not self.folds and self.test + self.validation >= 1)
        ):
            raise ConfigError(
                f"test {self.test} and validation {self.validation} leave nothing to learn from, or are no shares",
                hint="0.2 and 0.1 are usual",
            )
        if self.folds and self.folds < 2:
            raise ConfigError(f"{self.folds} folds were asked for; expected at least 2", hint="5 are usual")


def make(
    samples_by_split: Mapping[str, Sequence[Sample]],
    wanted: SplitSettings,
    out: Path,
    about: Mapping[str, Any],
    prints: Any = fingerprints,
) -> list[dict[str, Any]]:
    """Splits the samples and writes the index, or one for each fold into `out/fold0`, `out/fold1`, ...

    Args:
        samples_by_split: all splits of the data set.
        wanted: what split.
        out: a folder.
        about: what is to be kept with the split (the data set's name, the reader's options).
        prints: gives the fingerprints of paths.

    Returns:
        For each split that was written: {"folder", "clusters", "largest", "parts": {name: {"samples", "judged",
        "images", "share"}}, "unnamed": samples without a patient or study}.

    Raises:
        DataError: there is no question, no sample names what is split by, or a part would be left empty.
    """
    samples = [sample for rows in samples_by_split.values() for sample in rows]
    if not any(map(_may_be_evaluated, samples)):
        raise DataError("the data set asks no question: there is nothing to test", hint="split a set of questions")
    clusters = clusters_of(samples, wanted.by, prints)
    n = max(clusters, default=-1) + 1
    asked = [(sample, cluster) for sample, cluster in zip(samples, clusters, strict=True) if _may_be_evaluated(sample)]
    counts = questions_by_kind([sample for sample, _ in asked], [cluster for _, cluster in asked], n)
    told = {"by": wanted.by, "seed": wanted.seed, "read": list(samples_by_split), **about}
    if not wanted.folds:
        shares = {"train": 1 - wanted.test - wanted.validation, "validation": wanted.validation, "test": wanted.test}
        dealt = assign(counts, {part: share for part, share in shares.items() if share}, wanted.seed)
        return [_written(samples, clusters, dealt, out, told, wanted)]
    folds = assign(counts, {str(fold): 1 / wanted.folds for fold in range(wanted.folds)}, wanted.seed)
    done = []
    for fold in range(wanted.folds):
        tested = np.array([one == str(fold) for one in folds])
        shares = {"train": 1 - wanted.validation, "validation": wanted.validation}
        rest = assign(counts * ~tested[:, None], {part: share for part, share in shares.items() if share}, wanted.seed)
        dealt = ["test" if here else part for here, part in zip(tested, rest, strict=True)]
        more = told | {"fold": fold, "folds": wanted.folds}
        done.append(_written(samples, clusters, dealt, out / f"fold{fold}", more, wanted))
    return done


def clusters_of(samples: Sequence[Sample], by: str, prints: Any = fingerprints) -> list[int]:
    """The cluster of each sample: what must not be divided (see `SplitSettings.by`). Opens every image."""
    if by in ("patient", "study") and not any(getattr(sample, by) for sample in samples):
        named = sum(bool(sample.group) for sample in samples)
        raise DataError(
            f"no sample names its {by}",
            hint=f"--by image keeps together what the data set groups ({named:,} samples)"
            if named
            else "try --by near",
        )
    paths = {sample.image: sample.path for sample in samples}
    found = prints(list(paths.values()))
    place = {image: number for number, image in enumerate(paths)}
    near = Clusters(len(paths))
    if by == "near":
        kept = np.flatnonzero(shows_something(found.thumbs[:, 0]))
        for pairs in near_pairs(found.thumbs[kept]):
            near.add(kept[pairs.one], kept[pairs.other])
    labels = near.labels().tolist()
    keys: list[list[Hashable]] = []
    for sample in samples:
        number = place[sample.image]
        bonds = {
            "near": labels[number],
            "pixels": found.pixels[number],
            "bytes": found.content[number],
            "twin": sample.twin,
            # Whoever splits by study may divide a patient, whom the group often is.
            "group": "" if by == "study" else sample.group,
            "patient": sample.patient if by == "patient" else "",
            "study": sample.study if by == "study" else "",
        }
        keys.append([("image", sample.image), *((kind, key) for kind, key in bonds.items() if key not in ("", b""))])
    of_sample = [0] * len(samples)
    units = sorted(connected(keys), key=lambda unit: min((samples[place].split, samples[place].id) for place in unit))
    for cluster, members in enumerate(units):
        for member in members:
            of_sample[member] = cluster
    return of_sample


def _written(
    samples: Sequence[Sample],
    clusters: Sequence[int],
    dealt: Sequence[str],
    out: Path,
    about: Mapping[str, Any],
    wanted: SplitSettings,
) -> dict[str, Any]:
    rows = [
        Row(sample.split, sample.id, _part(sample, dealt[cluster]), cluster)
        for sample, cluster in zip(samples, clusters, strict=True)
    ]
    judged = Counter(row.split for row, sample in zip(rows, samples, strict=True) if _may_be_evaluated(sample))
    sizes = Counter(clusters)
    for part in ("train", "validation", "test"):
        if not judged[part] and (part != "validation" or wanted.validation):
            largest = max(sizes.values(), default=0)
            ways = ["split by something narrower (--by image)"] if wanted.by != "image" else []
            ways += [f"into fewer folds ({len(sizes)} at most)"] if wanted.folds > 2 else []
            ways += ["without a validation part (--validation 0)"] if wanted.validation else []
            raise DataError(
                f"{part} would be left without a question: {len(sizes):,} clusters, the largest of {largest:,} of the "
                f"{len(samples):,} samples",
                hint=", or ".join(ways) or "it takes more images: every part needs questions about images of its own",
            )
    split_files.write(out, rows, samples, about)
    whole = judged.total() - judged[NONE]
    images = {part: {s.image for row, s in zip(rows, samples, strict=True) if row.split == part} for part in judged}
    return {
        "folder": str(out),
        "clusters": len(sizes),
        "largest": max(sizes.values()),
        "unnamed": sum(not getattr(s, wanted.by) for s in samples) if wanted.by in ("patient", "study") else 0,
        "parts": {
            part: {
                "samples": sum(row.split == part for row in rows),
                "judged": judged[part],
                "images": len(images.get(part, ())),
                "share": round(judged[part] / whole, 4),
            }
            for part in ("train", "validation", "test")
            if judged[part]
        },
    }


def _part(sample: Sample, part: str) -> str:
    """Where a sample goes when its cluster goes to `part`: only what is judged is judged."""
    if part == "train":
        return "pretrain" if sample.split == "pretrain" else "train"
    return part if _may_be_evaluated(sample) else NONE


def _may_be_evaluated(sample: Sample) -> bool:
    return is_evaluated(sample) and sample.split != "pretrain"
