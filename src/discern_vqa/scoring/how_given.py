"""How a predictions file is to be read, as the command line says it, and the command that says so, for hints."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from discern_vqa.errors import ConfigError
from discern_vqa.reading.records import one_line, shown
from discern_vqa.reading.table_options import TableOptions

OPTIONS = ("encoding", "delimiter", "sheet")
"""What `--option` takes: as for tables of data sets."""


@dataclass(frozen=True)
class HowGiven:
    """The options of one reading; `path` is the file. Raises ConfigError: an option that does not exist."""

    path: Path
    tool: str = ""  # --from
    columns: Mapping[str, str] = field(default_factory=dict)  # field -> column
    values: Mapping[str, str] = field(default_factory=dict)  # answer type as written -> open, closed or choice
    options: Mapping[str, str] = field(default_factory=dict)  # encoding, delimiter, sheet
    data: tuple[str, ...] = ()  # NAME and FOLDER of the data set, or a data.toml

    def __post_init__(self) -> None:
        for name in self.options:
            if name not in OPTIONS:
                raise ConfigError(f"there is no option {name!r} here", hint=f"there are: {', '.join(OPTIONS)}")

    def command(self, **changes: str | tuple[str, ...] | Mapping[str, str]) -> str:
        """The command that scores the file with these options, some of them changed, as it is typed in a shell."""
        changed = replace(self, **changes)  # type: ignore[arg-type]
        words = ["discern", "score", str(self.path)]
        words += ["--from", changed.tool] if changed.tool else []
        for option, pairs in (("--columns", changed.columns), ("--values", changed.values)):
            words += [option, ",".join(f"{name}={text}" for name, text in pairs.items())] if pairs else []
        for name, text in changed.options.items():
            words += ["--option", f"{name}={text}"]
        words += ["--data", *changed.data] if changed.data else []
        return one_line(shlex.join(words))

    def table(self, path: Path) -> TableOptions:
        """The options with which `reading.table_files` opens a table."""
        return _TableOptions("csv", path, how=self, **self.options)  # type: ignore[arg-type]


@dataclass(frozen=True)
class _TableOptions(TableOptions):
    """Options whose command scores the file, and does not audit it."""

    how: HowGiven | None = None

    def command(self, **changes: str | Mapping[str, str] | Mapping[str, Mapping[str, str]]) -> str:
        if self.how is None:
            return super().command(**changes)
        texts = {name: str(value) for name, value in changes.items()}
        return self.how.command(options={**self.how.options, **texts})


def pairs(texts: list[str], option: str, example: str) -> dict[str, str]:
    """ "a=b,c=d", each option perhaps several times, as {a: b, c: d}. A comma belongs to a name unless a pair follows.

    Raises ConfigError: a text without "=".
    """
    taken: dict[str, str] = {}
    for text in texts:
        for part in re.split(r",(?=[^,=]+=)", text):
            name, equals, value = part.partition("=")
            if not equals or not name.strip() or not value.strip():
                raise ConfigError(
                    f"{option} {shown(text)} does not have the form {example}", hint=f"{option} {example}"
                )
            taken[name.strip()] = value.strip()
    return taken
