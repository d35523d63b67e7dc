"""Which recipes there are, and what each is for, as its opening comment says. Recipes are only read here: what the keys
mean is `recipe_keys`, whether they are right is `config`."""

import itertools
import re
from dataclasses import dataclass
from pathlib import Path

from discern_vqa.paths import recipe_roots
from discern_vqa.toml import ENCODING, read_tables

_AMOUNT = r"(?:under |about |less than )?(?:half an?|an?|some|one|two|three|four|five|ten|\d+)"
_TIME = re.compile(
    rf"\b{_AMOUNT} (?:seconds?|minutes?|hours?|h)\b(?: on [^.;,:]*[^.;,:\s])?|(?:(?<=^)|(?<=\. ))seconds(?=\.)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Listed:
    """A recipe in a list."""

    name: str
    """As `discern train` takes it: "cmdpi/phantom"."""
    path: Path
    data: str
    """The data set's name."""
    model: str
    what: str
    """The first sentence of its comment."""
    time: str
    """How long it takes, where its comment says so, else ""."""


def shipped() -> list[Listed]:
    """The recipes of the package and of one's own packages, by name. Raises ConfigError for one that is no TOML."""
    files = [(root, path) for root in recipe_roots() for path in sorted(root.rglob("*.toml"))]
    return [listed(path, path.relative_to(root).with_suffix("").as_posix()) for root, path in files]


def listed(path: Path, name: str) -> Listed:
    """A recipe as a list shows it."""
    tables, comment = read_tables(path), comment_of(path)
    data, model = (tables.get(table, {}) for table in ("data", "model"))
    what = re.split(r"(?<!\bFig)(?<!\bEq)[.:;](?:\s|$)", comment, maxsplit=1)[0]
    return Listed(name, path, str(data.get("dataset", "")), str(model.get("name", "")), what, documented_time(comment))


def comment_of(path: Path) -> str:
    """The comment that a recipe opens with, as running text; "" where it has none."""
    lines = itertools.takewhile(lambda line: line.startswith("#"), path.read_text(encoding=ENCODING).splitlines())
    return " ".join(" ".join(line.lstrip("#") for line in lines).split())


def documented_time(comment: str) -> str:
    """The time that a comment states, in its words: "under 40 minutes on 2 cores"; "" where it states none."""
    match = _TIME.search(comment)
    return match[0][0].lower() + match[0][1:] if match else ""
