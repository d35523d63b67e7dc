"""A split in files of its own, which applies to the samples of any reader: what `discern data split` writes.

    DIR/split.json     what it was made of: data set, options, by what, seed, and the counts of each part
    DIR/split.jsonl    one sample a line: {"from": "train", "id": "12", "split": "test", "cluster": 4}

`from` and `id` are the sample's as its reader gives them; `split` is the part that it goes to: the name of a split, or
"none" for samples in no part (captions and template re-phrasings of test images). Samples of one cluster are never in
two parts, and neither are those of one image, patient, study, group or image pair. This is checked when the files are
written and when they are read, against the samples at that time: files that were edited, or made for other data, are
refused with the lines that disagree.

`read` serves a recipe's `[data] index = "DIR"` and `--option index=DIR`. The reader gets the options that the split was
made with, and over them those that are given. Each sample's `group` becomes its cluster, so that holding out a
validation part keeps clusters whole.
"""

import json
import shlex
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
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
_TIES = {"image": "image", "patient": "patient", "study": "study", "group": "group", "twin": "image pair"}
"""What a split never divides: fields of a sample, and what they are called in messages."""


@dataclass(frozen=True)
class Row:
    """Where one sample goes. `line`: of the file that says so; 0 while it is being made."""

    from_split: str
    id: str
    split: str
    cluster: int
    line: int = 0


def ties(sample: Sample) -> dict[str, str]:
    """What a sample shares with others that have to be on its side of a split, by kind; "" where it names none."""
    return {field: str(getattr(sample, field)) for field in _TIES}


def write(folder: Path, rows: Sequence[Row], samples: Sequence[Sample], about: Mapping[str, Any]) -> None:
    """Writes both files, `split.json` last. `about` says how the split was made: "dataset", "by" (see `SplitSettings`),
    "options" of the reader, "skip_broken".

    Raises:
        DataError: samples of one cluster, image, patient, study, group or image pair would be in two parts.
        DiscernError: the folder cannot be written to.
    """
    _refuse_two_sides(rows, samples, folder, _anew(about["dataset"], "ROOT", folder))
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
    """The samples of each split of the index in `folder`. The reader's options are those that the split was made with;
    `options` are put over them.

    Raises DataError: the index is not there, is broken, does not fit the samples, or has samples in two parts that
    belong together.
    """
    folder = Path(folder)
    about = _about(folder)
    name = reader.__name__.rpartition(".")[2]
    if about["dataset"] != name:
        raise DataError(
            f"{folder} is a split of {about['dataset']!r}, not of {name!r}",
            hint=_anew(name, str(root), Path("OTHER_DIR")),
        )
    made_with: dict[str, Any] = about.get("options") or {}
    given = _put_over(made_with, options)
    if about.get("skip_broken"):
        given.setdefault("skipped", [])  # how many these were was said when the split was made
    anew = _command(name, root, folder, about)
    known = {(row.from_split, row.id): row for row in _rows(folder / ROWS, anew)}
    read_splits = about.get("read") or present_splits(reader, root)
    samples = [sample for split in read_splits for sample in reader.read(root, split, **given)]
    unknown = [sample for sample in samples if (sample.split, sample.id) not in known]
    if unknown or len(samples) != len(known):
        first = f"; the first it does not know: {unknown[0].source}" if unknown else ""
        raise DataError(
            f"{folder} was made for {len(known):,} samples, and {len(samples):,} are read now{first}", hint=anew
        )
    rows = [known[sample.split, sample.id] for sample in samples]
    _refuse_two_sides(rows, samples, folder, anew)
    samples_by_split: dict[str, list[Sample]] = {split: [] for split in parts(folder)}
    for row, sample in zip(rows, samples, strict=True):
        if row.split != NONE:
            samples_by_split[row.split].append(replace(sample, split=row.split, group=f"cluster {row.cluster}"))
    return samples_by_split


def _put_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """The options of both; of one in both that is a table (`columns`), the entries of both. `above` decides."""
    tables = {
        key: {**below[key], **value}
        for key, value in above.items()
        if isinstance(value, Mapping) and isinstance(below.get(key), Mapping)
    }
    return {**below, **above, **tables}


def _command(name: str, root: Path, folder: Path, about: Mapping[str, Any]) -> str:
    """The command that makes the split anew as it was made."""
    options = [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in (about.get("options") or {}).items()]
    words = ["--by", about["by"], *(word for option in options for word in ("--option", option))]
    words += ["--skip-broken"] if about.get("skip_broken") else []
    return _anew(name, str(root), folder, f" {shlex.join(words)}")


def _anew(name: str, root: str, out: Path, options: str = "") -> str:
    return f"make a new one: discern data split {name} {shlex.quote(root)} --out {shlex.quote(str(out))}{options}"


def _refuse_two_sides(rows: Sequence[Row], samples: Sequence[Sample], folder: Path, anew: str) -> None:
    """Raises DataError, with the lines, where samples that belong together are in two parts. `anew`: the hint."""
    first: dict[tuple[str, Hashable], tuple[Row, Sample]] = {}
    problems: list[str] = []
    for row, sample in zip(rows, samples, strict=True):
        if row.split == NONE:
            continue
        keys: dict[str, Hashable] = {"cluster": row.cluster}
        keys |= {_TIES[field]: key for field, key in ties(sample).items() if key}
        for kind, key in keys.items():
            row_before, sample_before = first.setdefault((kind, key), (row, sample))
            if _side(row_before) != _side(row):
                sides = f"{_placed(row_before, sample_before)} and in {_placed(row, sample)}"
                problems.append(f"the {kind} {shown(key)} is in {sides}")
    if problems:
        more = f" (and {len(problems) - 1:,} more like this)" if len(problems) > 1 else ""
        raise DataError(f"{folder}: {problems[0]}{more}", hint=anew)


def _side(row: Row) -> str:
    """Pre-training and training are one side: both are learned from."""
    return "train" if row.split == "pretrain" else row.split


def _placed(row: Row, sample: Sample) -> str:
    where = [f"{ROWS}:{row.line}"] if row.line else []
    return f"{_side(row)} ({', '.join([*where, sample.source])})"


def _about(folder: Path) -> dict[str, Any]:
    file = folder / ABOUT
    if not file.is_file():
        folds = sorted(below.parent.name for below in folder.glob(f"fold*/{ABOUT}")) if folder.is_dir() else []
        raise DataError(
            f"{folder} holds no split ({ABOUT} is not there)",
            hint=f"name one of its folds: {folder / folds[0]}" if folds else _anew("NAME", "ROOT", folder),
        )
    try:
        about: dict[str, Any] = from_json(file.read_bytes())
        is_whole = isinstance(about["parts"], dict) and {"dataset", "by"} <= about.keys()
        if about["format"] != _FORMAT or not is_whole:
            raise ValueError("another format")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file} is no split of this program", hint=_anew("NAME", "ROOT", folder)) from error
    return about


def _rows(file: Path, anew: str) -> list[Row]:
    rows: dict[tuple[str, str], Row] = {}
    for number, line in numbered_lines(file):
        try:
            values = from_json(line)
            row = Row(values["from"], values["id"], values["split"], values["cluster"], number)
            is_text = isinstance(row.from_split, str) and isinstance(row.id, str)
            if not is_text or type(row.cluster) is not int or row.split not in (*SPLITS, NONE):
                raise ValueError("another form")
        except (ValueError, KeyError, TypeError) as error:
            form = '{"from": ..., "id": ..., "split": ..., "cluster": 0}'
            raise DataError(f"{file}:{number}: {shown(line)}; expected {form}", hint=anew) from error
        if (row.from_split, row.id) in rows:
            problem = f"the sample {row.id!r} of {row.from_split} was named before"
            raise DataError(f"{file}:{number}: {problem}", hint=anew)
        rows[row.from_split, row.id] = row
    return list(rows.values())


def require_no_protocol(protocol: str, index: str) -> None:
    """Raises ConfigError when a recipe names an index and another way of splitting."""
    if index and protocol != "usual":
        raise ConfigError(
            f"[data] has index = {index!r} and protocol = {protocol!r}; they are two ways of splitting",
            hint="leave one of them out",
        )
