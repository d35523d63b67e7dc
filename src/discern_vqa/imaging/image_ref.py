"""Which image of a file is meant: choices written behind its name, `#key=value`, as often as needed.

    study.dcm#frame=3        brain.nii.gz#axis=sagittal#slice=90        chest.dcm#window=lung        scan.tif#frame=2

| key      | value                                                    | for                                           |
|----------|----------------------------------------------------------|-----------------------------------------------|
| `frame`  | 1, 2, ...                                                | frame (DICOM), page (TIFF, GIF, WebP), volume |
| `axis`   | axial, coronal, sagittal                                 | NIfTI                                         |
| `slice`  | 1, 2, ... from the feet, the back, the left              | NIfTI                                         |
| `window` | a name of `greys.WINDOWS`, CENTRE:WIDTH, full, or 1, 2, ... (the file's own) | DICOM, NIfTI              |
| `mirror` | yes: left and right swapped                              | every image                                 |

The name with its choices is a path like any other: it stands in JSONL and CSV without quotes, needs none in a shell,
and is an image's identity (two slices of a volume are two images). A file whose own name holds such a text is that
file: what exists under the whole name is never cut. Nothing is opened here.
"""

import re
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from discern_vqa.errors import ImageError
from discern_vqa.paths import is_regular_file

AXES = ("axial", "coronal", "sagittal")
_PART = re.compile(r"[A-Za-z_]+=[^#]*")
_NUMBER = "(?=0*[1-9])[0-9]{1,9}"
_VALUES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "frame": (_NUMBER, "a number from 1 on", ("3",)),
    "axis": ("|".join(AXES), f"one of {', '.join(AXES)}", AXES),
    "slice": (_NUMBER, "a number from 1 on", ("3",)),
    "window": (".+", "a name, CENTRE:WIDTH, full or a number", ("lung", "40:400")),
    "mirror": ("yes|no", "yes or no", ("yes",)),
}
"""What each key takes: a pattern, the same in words, and examples."""


@dataclass(frozen=True)
class Choice:
    """What was chosen; None where nothing was. `frame` and `slice` count from 1."""

    frame: int | None = None
    axis: str | None = None
    slice: int | None = None
    window: str | None = None
    mirror: bool = False

    def __str__(self) -> str:
        """As it stands behind a name; "" when nothing is chosen."""
        return "".join(f"#{key}={'yes' if value is True else value}" for key, value in self.given().items())

    def given(self) -> dict[str, Any]:
        """What was chosen, by key."""
        return {key: value for key, value in asdict(self).items() if value is not None and value is not False}


def file_of(path: Path) -> Path:
    """The file that `path` names, without the choices behind its name."""
    return split_choice(path)[0]


def split_choice(path: Path) -> tuple[Path, str]:
    """The file, and the choices as written behind its name ("" when there are none)."""
    path = Path(path)
    first, *parts = path.name.split("#")
    start = next((start for start in range(len(parts)) if all(map(_PART.fullmatch, parts[start:]))), len(parts))
    names = ["#".join([first, *parts[:count]]) for count in range(start, len(parts) + 1)]
    there = [name for name in reversed(names) if parts and name and is_regular_file(path.with_name(name))]
    name = there[0] if there else names[0] if first else path.name
    return path.with_name(name) if parts else path, path.name[len(name) :]


def read_choice(path: Path) -> tuple[Path, Choice]:
    """The file, and what was chosen of it. Raises ImageError: a key or value that no choice has."""
    file, written = split_choice(path)
    given: dict[str, str] = {}
    for part in written.split("#")[1:]:
        key, _, value = part.partition("=")
        if key not in _VALUES:
            near = get_close_matches(key, _VALUES, n=1)
            raise ImageError(
                f"{path}: nothing is chosen by {key!r}",
                hint=f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(_VALUES)}",
            )
        if key in given:
            raise ImageError(f"{path}: {key!r} is chosen twice", hint=f"leave one #{key}=... behind the name")
        given[key] = value.strip()
    chosen: dict[str, Any] = {key: _value(path, key, value) for key, value in given.items()}
    return file, Choice(**chosen)


def with_choice(path: Path, **changes: Any) -> Path:
    """`path` with further choices behind its name; a key that was chosen before gets the new value."""
    file, before = read_choice(path)
    return file.with_name(f"{file.name}{Choice(**(before.given() | changes))}")


def refuse(path: Path, choice: Choice, known: tuple[str, ...], what: str) -> None:
    """Raises ImageError when something is chosen that a file of this kind does not have."""
    for key in choice.given():
        if key not in known:
            raise ImageError(
                f"{path} is {what}, which has no {key} to choose",
                hint=f"leave #{key}=... away; it has: {', '.join(known)}",
            )


def _value(path: Path, key: str, text: str) -> int | str | bool:
    pattern, expected, examples = _VALUES[key]
    if not re.fullmatch(pattern, text):
        example = (get_close_matches(text, examples, n=1) or examples)[0]
        raise ImageError(f"{path}: {key} = {text!r}; expected {expected}", hint=f"for example #{key}={example}")
    return int(text) if pattern == _NUMBER else text == "yes" if key == "mirror" else text
