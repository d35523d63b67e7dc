"""The options that the readers of one's own data share, and the whole command that names them, for hints.

columns    field -> the source's own name, where it differs; in JSON also the way to it ("meta.answer", "images.0")
values     field -> {as written: as meant}, for example answer_type = {A = "open", B = "closed"}
images     the folder of the images, relative to the table's folder
use_as     the split of records that say none
encoding   of a text file; by default UTF-8, or what its byte order mark says
delimiter  what stands between the columns of a text file
join       another table, relative to this one's folder, whose columns are added by the image (see `joining`)
sheet      the sheet of a workbook, or the key of a JSON object under which the records are
"""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TypeGuard

from discern_vqa.data.sample import SPLITS
from discern_vqa.errors import ConfigError
from discern_vqa.reading.encodings import DEFAULT
from discern_vqa.reading.neutral import KNOWN
from discern_vqa.reading.records import one_line, shown
from discern_vqa.reading.shapes import READERS

FIELDS = {*KNOWN, "series", "frame"}
"""What `columns` and `values` may name."""

IN_A_RECIPE = "with `discern train`, each --option KEY=VALUE is --set data.options.KEY=VALUE"


@dataclass(frozen=True)
class TableOptions:
    """The options of one reading. Raises ConfigError where an option names a field or a split that does not exist."""

    reader: str
    root: Path
    columns: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    images: str = ""
    use_as: str = "train"
    encoding: str = DEFAULT
    delimiter: str = ""
    sheet: str = ""
    join: str = ""
    others: Mapping[str, str] = field(default_factory=dict)  # what that reader alone has, as `--option` takes it

    def __post_init__(self) -> None:
        require_known(self.columns, self.values)
        if self.use_as not in SPLITS:
            raise ConfigError(f"use_as is {self.use_as!r}", hint=f"it is one of: {', '.join(SPLITS)}")

    def command(self, **changes: str | Mapping[str, str] | Mapping[str, Mapping[str, str]]) -> str:
        """The command that audits this table with these options, some of them changed, as it is typed in a shell."""
        changed = replace(self, **changes)  # type: ignore[arg-type]
        is_own = self.reader in READERS.values()
        reader = READERS.get(self.root.suffix.lower(), self.reader) if is_own else self.reader
        parts = ["discern", "data", "audit", reader, str(self.root)]
        return one_line(shlex.join([*parts, *(part for text in changed._texts() for part in ("--option", text))]))

    def for_images(self, folder: str) -> str:
        """That command with another folder of images."""
        return self.command(images=folder)

    def _texts(self) -> list[str]:
        texts = [f"columns.{name}={column}" for name, column in self.columns.items()]
        for name, meanings in self.values.items():
            # A value with a sign that has a meaning in `--option` is given as JSON.
            if any("=" in written or not meaning for written, meaning in meanings.items()):
                return [*texts, f"values={json.dumps(self.values, ensure_ascii=False)}", *self._plain()]
            texts += [f"values.{name}.{written}={meaning}" for written, meaning in meanings.items()]
        return [*texts, *self._plain()]

    def _plain(self) -> list[str]:
        usual = {"images": "", "use_as": "train", "encoding": DEFAULT, "delimiter": "", "sheet": "", "join": ""}
        given = {name: getattr(self, name) for name, value in usual.items() if getattr(self, name) != value}
        return [f"{name}={_quoted(value)}" for name, value in (given | dict(self.others)).items()]


def require_known(columns: object, values: object) -> None:
    """Raises ConfigError where the options `columns` or `values` are no tables of texts, or name no field."""
    if not _is_text_table(columns):
        raise ConfigError(
            f"columns is {shown(columns)}; expected the name of a column for each field",
            hint="for example --option columns.question=Frage",
        )
    if not isinstance(values, Mapping) or not all(map(_is_text_table, values.values())):
        raise ConfigError(
            f"values is {shown(values)}; expected, for each field, what is meant by what is written",
            hint="for example --option values.answer_type.A=open --option values.answer_type.B=closed",
        )
    for name, table in (("columns", columns), ("values", values)):
        if unknown := sorted(map(str, table.keys() - FIELDS)):
            near = get_close_matches(unknown[0], sorted(FIELDS), n=1)
            raise ConfigError(
                f"{name}: there is no field {unknown[0]!r}",
                hint=f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(sorted(FIELDS))}",
            )


def _quoted(value: str) -> str:
    """As `--option` reads it back: a text that is JSON of its own (a number, null) stands in quotes."""
    try:
        json.loads(value)
    except ValueError:
        return json.dumps(value) if value == "\t" else value
    return json.dumps(value)


def _is_text_table(table: object) -> TypeGuard[Mapping[str, str]]:
    if not isinstance(table, Mapping):
        return False
    return all(isinstance(text, str) for text in [*table, *table.values()])
