"""A split in files of its own, which applies to the samples of any reader: what `discern data split` writes.

    DIR/split.json     what it was made of: data set, options, by what, seed, and the counts of each part
    DIR/split.jsonl    one sample a line: {"from": "train", "id": "12", "split": "test", "cluster": 4}

`from` and `id` are the sample's as its reader gives them; `split` is the part that it goes to: the name of a split, or
"none" for samples in no part (captions and template re-phrasings of test images). Samples of one cluster are never in
two parts. This is checked when the files are written and when they are read, against the images and patients of the
samples at that time: files that were edited, or made for other data, are refused.

`read` serves a recipe's `[data] index = "DIR"` and `--option index=DIR`. Each sample's `group` becomes its cluster, so
that holding out a validation part keeps clusters whole.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from discern_vqa.contracts import Reader
from discern_vqa.data.sample import SPLITS, Sample
from discern_vqa.errors import ConfigError, DataError
from discern_vqa.files import atomic_path, atomic_write_text, explained, from_json
from discern_vqa.reading.records import numbered_lines, present_splits, shown

ABOUT, ROWS = "split.json", "split.jsonl"
NONE = "none"
_FORMAT = "discern split 1"
_MAKE_ANEW = "make a new one: discern data split"


@dataclass(frozen=True)
class Row:
    """Where one sample goes."""

    from_split: str
    id: str
    split: str
    cluster: int


def write(folder: Path, rows: Sequence[Row], samples: Sequence[Sample], about: Mapping[str, Any]) -> None:
    """Writes both files, `split.json` last. `about` says how the split was made; its "by" is one of "image", "near",
    "patient", "study".

    Raises:
        DataError: a cluster, image, patient or study would be in two parts.
        DiscernError: the folder cannot be written to.
    """
    _refuse_two_sides(rows, samples, about["by"], str(folder))
    with explained(folder / ABOUT):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ABOUT).unlink(missing_ok=True)
    # While the rows are written there is no split, rather than half of one.
    with atomic_path(folder / ROWS) as partial, open(partial, "w", encoding="utf-8") as file:
        for row in rows:
            line = {"from": row.from_split, "id": row.id, "split": row.split, "cluster": row.cluster}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    parts = Counter(row.split for row in rows)
    content = {"format": _FORMAT, **about, "samples": len(rows), "parts": dict(sorted(parts.items()))}
    atomic_write_text(folder / ABOUT, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def parts(folder: Path) -> tuple[str, ...]:
    """The splits of an index, in the usual order. Raises DataError when there is none in the folder."""
    there = _about(Path(folder))["parts"]
    return tuple(split for split in SPLITS if split in there)


def read(reader: Reader, root: Path, folder: Path, options: Mapping[str, Any]) -> dict[str, list[Sample]]:
    """The samples of each split of the index in `folder`. The options are those that it was made with.

    Raises DataError: the index is not there, is broken, does not fit the samples, or has a cluster on two sides.
    """
    folder = Path(folder)
    about = _about(folder)
    name = reader.__name__.rpartition(".")[2]
    if about["dataset"] != name:
        raise DataError(f"{folder} is a split of {about['dataset']!r}, not of {name!r}", hint=f"{_MAKE_ANEW} {name}")
    known = {(row.from_split, row.id): row for row in _rows(folder / ROWS)}
    read_splits = about.get("read") or present_splits(reader, root)
    samples = [sample for split in read_splits for sample in reader.read(root, split, **options)]
    unknown = [sample for sample in samples if (sample.split, sample.id) not in known]
    if unknown or len(samples) != len(known):
        first = f"; the first it does not know: {unknown[0].source}" if unknown else ""
        raise DataError(
            f"{folder} was made for {len(known):,} samples, and {len(samples):,} are read now{first}",
            hint=f"give the reader the options {about.get('options') or 'none'}, or {_MAKE_ANEW} {name}",
        )
    rows = [known[sample.split, sample.id] for sample in samples]
    _refuse_two_sides(rows, samples, about["by"], str(folder))
    samples_by_split: dict[str, list[Sample]] = {split: [] for split in parts(folder)}
    for row, sample in zip(rows, samples, strict=True):
        if row.split != NONE:
            samples_by_split[row.split].append(replace(sample, split=row.split, group=f"cluster {row.cluster}"))
    return samples_by_split


def _refuse_two_sides(rows: Sequence[Row], samples: Sequence[Sample], by: str, where: str) -> None:
    kinds: list[tuple[str, Iterable[object]]] = [
        ("cluster", (row.cluster for row in rows)),
        ("image", (sample.image for sample in samples)),
    ]
    if by in ("patient", "study"):
        kinds.append((by, (getattr(sample, by) for sample in samples)))
    for kind, keys in kinds:
        side_of: dict[object, str] = {}
        for key, row in zip(keys, rows, strict=True):
            side = "train" if row.split == "pretrain" else row.split
            if key != "" and side != NONE and side_of.setdefault(key, side) != side:
                raise DataError(
                    f"{where}: the {kind} {shown(key)} is in {side_of[key]} and in {side}",
                    hint=f"{_MAKE_ANEW} --by {by}",
                )


def _about(folder: Path) -> dict[str, Any]:
    file = folder / ABOUT
    if not file.is_file():
        folds = sorted(found.parent.name for found in folder.glob(f"fold*/{ABOUT}")) if folder.is_dir() else []
        raise DataError(
            f"{folder} holds no split ({ABOUT} is not there)",
            hint=f"name one of its folds: {folder / folds[0]}" if folds else f"{_MAKE_ANEW} NAME ROOT --out {folder}",
        )
    try:
        about: dict[str, Any] = from_json(file.read_bytes())
        is_whole = isinstance(about["parts"], dict) and {"dataset", "by"} <= about.keys()
        if about["format"] != _FORMAT or not is_whole:
            raise ValueError("another format")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file} is no split of this program", hint=_MAKE_ANEW) from error
    return about


def _rows(file: Path) -> list[Row]:
    rows: dict[tuple[str, str], Row] = {}
    for number, line in numbered_lines(file):
        try:
            values = from_json(line)
            row = Row(values["from"], values["id"], values["split"], values["cluster"])
            is_text = isinstance(row.from_split, str) and isinstance(row.id, str)
            if not is_text or type(row.cluster) is not int or row.split not in (*SPLITS, NONE):
                raise ValueError("another form")
        except (ValueError, KeyError, TypeError) as error:
            form = '{"from": ..., "id": ..., "split": ..., "cluster": 0}'
            raise DataError(f"{file}:{number}: {shown(line)}; expected {form}", hint=_MAKE_ANEW) from error
        if (row.from_split, row.id) in rows:
            problem = f"the sample {row.id!r} of {row.from_split} was named before"
            raise DataError(f"{file}:{number}: {problem}", hint=_MAKE_ANEW)
        rows[row.from_split, row.id] = row
    return list(rows.values())


def require_no_protocol(protocol: str, index: str) -> None:
    """Raises ConfigError when a recipe names an index and another way of splitting."""
    if index and protocol != "usual":
        raise ConfigError(
            f"[data] has index = {index!r} and protocol = {protocol!r}; they are two ways of splitting",
            hint="leave one of them out",
        )
