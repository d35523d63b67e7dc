"""Whether another table says more about the images of a table of questions, for `guess`: patients, modality, splits."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from discern_vqa.reading import spellings
from discern_vqa.reading.field_names import rank
from discern_vqa.reading.guess_tables import Peek
from discern_vqa.reading.joining import image_column
from discern_vqa.reading.own_images import key_of

_FIELDS = ("patient", "study", "split", "modality", "organ", "language")
_ENOUGH = 0.98
"""Share of the images that the other table has to name."""


@dataclass(frozen=True)
class Join:
    """`path`: of the other table, as the option `join` names it; "" where none is joined. columns: field -> its column.
    lines: what is to be said."""

    path: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    lines: Sequence[str] = ()


def find(table: Peek, columns: Mapping[str, str], others: Sequence[Peek]) -> Join:
    """The one table that can be joined to `table` by its images, and what of it is taken. `columns`: those that are
    known already."""
    lines, possible = [], []
    images = {key_of(text) for text in table.texts(columns["image"])}
    for other in others:
        key = image_column(other.names, columns["image"])
        named = {
            wanted: name for wanted in _FIELDS if wanted not in columns and (name := _column(other, wanted, key, table))
        }
        if not key or not named or other.options.get("sheet"):
            continue
        keys = [key_of(text) for text in other.texts(key)]
        share = sum(image in keys for image in images) / max(1, len(images))
        shared = [name for name in other.names if name in table.names and name != key]
        if share < 0.5:
            continue
        reasons = [
            f"it names {100 * share:.0f} % of the images" if share < _ENOUGH else "",
            "it has several rows for an image" if len(set(keys)) < len(keys) else "",
            f"both have a column {shared[0]!r}" if shared else "",
        ]
        if reason := next(filter(None, reasons), ""):
            lines.append(f"  {other.file.name} says more of the images ({', '.join(named)}), and is left out: {reason}")
        else:
            possible.append((other, named))
    if len(possible) > 1:
        names = " and ".join(other.file.name for other, _ in possible)
        lines.append(
            f"  {names} say more of the images, and are left out: only one can be joined (join = in data.toml)"
        )
    if len(possible) != 1:
        return Join(lines=lines)
    ((other, named),) = possible
    lines.append(f"  joined by the image with {other.file}")
    lines += [f"  {wanted}: its column {name!r}" for wanted, name in named.items()]
    return Join(Path(os.path.relpath(other.file, table.file.parent)).as_posix(), named, lines)


def _column(other: Peek, wanted: str, key: str, table: Peek) -> str:
    """The column of the other table that holds a field by its name; "" for none."""
    names = [name for name in other.names if name != key and name not in table.names and other.texts(name)]
    ranked = {name: place for name in names if (place := rank(wanted, name)) is not None}
    if wanted == "split":
        ranked = {name: place for name, place in ranked.items() if all(map(spellings.split_name, other.texts(name)))}
    return min(ranked, key=lambda name: ranked[name], default="")
