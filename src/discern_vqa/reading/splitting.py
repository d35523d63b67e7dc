"""From the samples of a data set to a disjoint split: which samples are related, and which part each goes to.

`split_files` writes and reads the files of a split.
"""

from collections import Counter
from collections.abc import Callable, Container, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from discern_vqa.data.sample import Sample
from discern_vqa.data.splits import connected, is_evaluated
from discern_vqa.errors import ConfigError, DataError
from discern_vqa.imaging.clusters import Clusters
from discern_vqa.imaging.fingerprints import Fingerprints, fingerprints
from discern_vqa.imaging.near_pairs import near_pairs
from discern_vqa.imaging.thumbnails import shows_something
from discern_vqa.reading import split_files
from discern_vqa.reading.split_files import NONE, Row, ties
from discern_vqa.reading.stratify import assign, questions_by_kind

WAYS = ("image", "near", "patient", "study")


@dataclass(frozen=True)
class SplitSettings:
    """How a data set is split.

    Whatever it is split by, the samples of one image (by name, bytes or pixels), patient, study, group or image pair
    stay in one part.

    Args:
        by: what else, several with commas between. "near": near-identical images stay in one part too. "patient",
            "study": the data set has to name them; where it names none, the split is refused. "image": nothing else.
        test: share of the evaluated questions; not used with folds.
        validation: share of the evaluated questions, with folds of those that are not in the test part; 0 for none.
        folds: 0 for one split; k for k of them, each testing another part.
        seed: another seed, another split.
    """

    by: str = "near"
    test: float = 0.2
    validation: float = 0.1
    folds: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        unknown = [way for way in self.ways if way not in WAYS]
        if unknown or not self.ways:
            raise ConfigError(
                f"a data set cannot be split by {(unknown or [self.by])[0]!r}",
                hint=f"there are: {', '.join(WAYS)}; several with commas between: --by near,patient",
            )
        held_out = self.validation if self.folds else self.test + self.validation
        if not 0 < self.test < 1 or not 0 <= self.validation < 1 or held_out >= 1:
            raise ConfigError(
                f"test {self.test} and validation {self.validation} leave nothing for training, or are not shares",
                hint="0.2 and 0.1 are usual",
            )
        if self.folds and self.folds < 2:
            raise ConfigError(f"{self.folds} folds were asked for; expected at least 2", hint="5 are usual")

    @property
    def ways(self) -> tuple[str, ...]:
        """What `by` names, each once, in the order of WAYS; names that are none of them last."""
        named = {part.strip() for part in self.by.split(",") if part.strip()}
        return tuple(sorted(named, key=lambda way: (WAYS.index(way) if way in WAYS else len(WAYS), way)))


def make(
    samples_by_split: Mapping[str, Sequence[Sample]],
    settings: SplitSettings,
    out: Path,
    about: Mapping[str, Any],
    prints: Callable[[list[Path]], Fingerprints] = fingerprints,
    without: Container[str] = (),
) -> list[dict[str, Any]]:
    """Splits the samples and writes the index, or one for each fold into `out/fold0`, `out/fold1`, ...

    Which part a sample goes to depends on the pixels of its image, its answer type, organ and ties alone: the same data
    in another file, or in another order, are split in the same way.

    `about` is what `split.json` also holds (the data set's name, the reader's options); `prints` computes the
    fingerprints of paths; samples of the images in `without` go to no part.

    Returns:
        For each split that was written: {"folder", "clusters", "largest", "parts": {name: {"samples", "judged",
        "images", "share"}}, "unnamed": samples that do not name the patient or study that the set is split by}.

    Raises DataError: there is no question, no sample names its patient or study, or a part would be empty.
    """
    everything = [sample for rows in samples_by_split.values() for sample in rows]
    samples = [sample for sample in everything if sample.image not in without]
    left_out = [sample for sample in everything if sample.image in without]
    if not any(map(_may_be_evaluated, samples)):
        raise DataError("the data set has no question to test", hint="split a set that has questions")
    clusters = clusters_of(samples, settings.ways, prints)
    judged = [(sample, cluster) for sample, cluster in zip(samples, clusters, strict=True) if _may_be_evaluated(sample)]
    counts = questions_by_kind([sample for sample, _ in judged], [cluster for _, cluster in judged], max(clusters) + 1)
    content = {"by": ",".join(settings.ways), "seed": settings.seed, "read": list(samples_by_split), **about}
    if not settings.folds:
        part_of = assign(
            counts, {**_learning_shares(1 - settings.test, settings), "test": settings.test}, settings.seed
        )
        return [_written(samples, clusters, part_of, out, content, settings, left_out)]
    folds = assign(counts, {str(fold): 1 / settings.folds for fold in range(settings.folds)}, settings.seed)
    summaries = []
    for fold in range(settings.folds):
        tested = np.array([number == str(fold) for number in folds])
        rest = assign(counts * ~tested[:, None], _learning_shares(1, settings), settings.seed)
        part_of = ["test" if is_test else part for is_test, part in zip(tested, rest, strict=True)]
        content |= {"fold": fold, "folds": settings.folds}
        summaries.append(_written(samples, clusters, part_of, out / f"fold{fold}", content, settings, left_out))
    return summaries


def keep(
    samples_by_split: Mapping[str, Sequence[Sample]], out: Path, about: Mapping[str, Any], without: Container[str]
) -> None:
    """Writes the index of the parts as they are, but for samples of the images in `without`, which go to no part.

    Raises DataError: the parts share an image, patient, study, group or image pair.
    """
    samples = [sample for rows in samples_by_split.values() for sample in rows]
    number = {image: place for place, image in enumerate(dict.fromkeys(sample.image for sample in samples))}
    rows = [
        Row(sample.split, sample.id, NONE if sample.image in without else sample.split, number[sample.image])
        for sample in samples
    ]
    split_files.write(out, rows, samples, {"by": "image", "read": list(samples_by_split), **about})


def _learning_shares(whole: float, settings: SplitSettings) -> dict[str, float]:
    """The shares of what is learned from, and of validation where there is one; `whole` in all."""
    shares = {"train": whole - settings.validation, "validation": settings.validation}
    return {part: share for part, share in shares.items() if share}


def clusters_of(
    samples: Sequence[Sample], ways: Sequence[str], prints: Callable[[list[Path]], Fingerprints] = fingerprints
) -> list[int]:
    """The cluster of each sample, which must not be divided (see `SplitSettings`). Opens every image.

    Raises DataError: no sample names its patient or study, although the set is to be split by it.
    """
    for way in ("patient", "study"):
        if way in ways and not any(getattr(sample, way) for sample in samples):
            raise DataError(
                f"no sample names its {way}",
                hint="split without it: --by near keeps together what is known of an image, and near-identical images",
            )
    paths = {sample.image: sample.path for sample in samples}
    images = prints(list(paths.values()))
    number_of = {image: number for number, image in enumerate(paths)}
    near = Clusters(len(paths))
    if "near" in ways:
        usable = np.flatnonzero(shows_something(images.thumbs[:, 0]))
        for pairs in near_pairs(images.thumbs[usable]):
            near.add(usable[pairs.one], usable[pairs.other])
    labels = near.labels.tolist()
    keys: list[list[Hashable]] = []
    for sample in samples:
        number = number_of[sample.image]
        bonds = {"near": labels[number], "pixels": images.pixels[number], "bytes": images.content[number]}
        bonds |= {kind: key for kind, key in ties(sample).items() if key}
        keys.append([(kind, key) for kind, key in bonds.items() if key != b""])

    def content_of(row: int) -> tuple[bytes, str]:
        number = number_of[samples[row].image]
        return images.pixels[number] or images.content[number], samples[row].image

    # By content: ids and the order of rows are those of one file, the same data in another one have others.
    units = sorted(connected(keys), key=lambda unit: min(map(content_of, unit)))
    cluster_of = {row: cluster for cluster, unit in enumerate(units) for row in unit}
    return [cluster_of[row] for row in range(len(samples))]


def _written(
    samples: Sequence[Sample],
    clusters: Sequence[int],
    part_of: Sequence[str],
    out: Path,
    about: Mapping[str, Any],
    settings: SplitSettings,
    left_out: Sequence[Sample],
) -> dict[str, Any]:
    rows = [
        Row(sample.split, sample.id, _part(sample, part_of[cluster]), cluster)
        for sample, cluster in zip(samples, clusters, strict=True)
    ]
    members = {
        part: [sample for row, sample in zip(rows, samples, strict=True) if row.split == part]
        for part in ("train", "validation", "test")
    }
    evaluated = {part: sum(map(_may_be_evaluated, part_samples)) for part, part_samples in members.items()}
    named = [way for way in settings.ways if way in ("patient", "study")]
    sizes = Counter(clusters)
    largest = max(sizes.values())
    for part, questions in evaluated.items():
        if not questions and (part != "validation" or settings.validation):
            ways = ["split without near-identical images (--by image)"] if "near" in settings.ways else []
            ways += [f"into fewer folds ({len(sizes)} at most)"] if settings.folds > 2 else []
            ways += ["without a validation part (--validation 0)"] if settings.validation else []
            raise DataError(
                f"{part} would have no question: {len(sizes):,} clusters, the largest with {largest:,} of the "
                f"{len(samples):,} samples",
                hint=", or ".join(ways) or "add images: every part needs questions about images of its own",
            )
    in_no_part = [Row(sample.split, sample.id, NONE, len(sizes)) for sample in left_out]
    split_files.write(out, [*rows, *in_no_part], [*samples, *left_out], about)
    return {
        "folder": str(out),
        "clusters": len(sizes),
        "largest": largest,
        "unnamed": sum(any(not getattr(sample, way) for way in named) for sample in samples),
        "parts": {
            part: {
                "samples": len(members[part]),
                "judged": questions,
                "images": len({sample.image for sample in members[part]}),
                "share": round(questions / sum(evaluated.values()), 4),
            }
            for part, questions in evaluated.items()
            if questions
        },
    }


def _part(sample: Sample, part: str) -> str:
    """The part of a sample whose cluster goes to `part`: evaluation splits hold evaluated questions only."""
    if part == "train":
        return "pretrain" if sample.split == "pretrain" else "train"
    return part if _may_be_evaluated(sample) else NONE


def _may_be_evaluated(sample: Sample) -> bool:
    return is_evaluated(sample) and sample.split != "pretrain"
