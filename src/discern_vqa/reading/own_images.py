"""The images of one's own data, found as people keep them: the table says less than the path, or another machine's.

A name is first taken as it stands, relative to the folder. Where there is no such file, the folder is listed once and
the name is looked for in it:

    a.png, A.PNG, ct/a.png     in any subfolder, and in other upper and lower case
    a                          without its ending
    ct\\a.png                   with "\\" between folders
    /other/machine/ct/a.png    a path of another machine: by as many of its last parts as agree
    C:\\export\\ct\\a.png

A name that fits two files is an error that names both; so are two paths of another machine that would be one file.
An image is known by the path of its file, so that two ways to write one name are one image.
"""

import os
import posixpath
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path, PurePosixPath

from discern_vqa.errors import ConfigError, DataError
from discern_vqa.imaging.endings import ending_of, is_image_name
from discern_vqa.paths import what_it_is
from discern_vqa.reading.image_files import MissingImage
from discern_vqa.reading.records import MANY_FILES, is_file, near_file, one_line, shown

MOST_FILES = 2_000_000
"""In the folder: whoever has more named a disk, not the folder of a data set."""

_CHOICES = re.compile(r"(?:#[A-Za-z_]+=[^#]*)+$")
_DIGITS = re.compile(r"[0-9]+")
_NUMBER = re.compile(r"[0-9]{1,18}$")
_DRIVE = re.compile(r"^[A-Za-z]:(?=/)")


def key_of(text: str) -> str:
    """A name for comparison: without regard to case, and to how accents are stored."""
    return unicodedata.normalize("NFC", text).casefold()


class Folder:
    """What lies below a folder, hidden files left out. Links to folders are followed, each folder is listed once."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def by_name(self) -> dict[str, list[str]]:
        """Name (see `key_of`) -> the files of that name, relative to the root with "/". Raises DataError: too many."""
        names: dict[str, list[str]] = defaultdict(list)
        count, listed, waiting = 0, set(), [("", str(self.root))]
        while waiting:
            inside, folder = waiting.pop()
            try:
                about = os.stat(folder)
                entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
            except OSError:  # a folder that this user may not list holds none of their images
                continue
            if (about.st_dev, about.st_ino) in listed:
                continue
            listed.add((about.st_dev, about.st_ino))
            for entry in entries:
                if entry.name.startswith(".") or entry.name == "__MACOSX":
                    continue
                if _is_folder(entry):
                    waiting.append((f"{inside}{entry.name}/", entry.path))
                else:
                    names[key_of(entry.name)].append(inside + entry.name)
            count += len(entries)
            if count > MOST_FILES:
                raise DataError(
                    f"more than {MOST_FILES:,} files lie below {one_line(self.root)}, where images were looked for",
                    hint="move the table to the data set, or name the folder of the images with --option images=FOLDER",
                )
        return names

    @cached_property
    def by_stem(self) -> dict[str, list[str]]:
        """Name without its ending -> the image files of that name, as `by_name`."""
        stems: dict[str, list[str]] = defaultdict(list)
        for name, files in self.by_name.items():
            if is_image_name(name):  # others of that name (notes, masks as text) are passed over
                stems[name.removesuffix(ending_of(name))] += files
        return stems

    @cached_property
    def by_number(self) -> dict[int, list[str]]:
        """Number at the end of a name, without its ending -> the image files of such names, as `by_name`."""
        numbers: dict[int, list[str]] = defaultdict(list)
        for stem, files in self.by_stem.items():
            if match := _NUMBER.search(stem):
                numbers[int(match[0])] += files
        return numbers


class OwnImages:
    """The image files of one table. Only existence is checked; nothing is opened."""

    def __init__(self, folder: Path, images: str = "", command: Callable[[str], str] = "--option images={}".format):
        """
        Args:
            folder: the table's folder, from which images are named.
            images: their own folder: relative to that, or absolute.
            command: the command that reads the table with another folder of images, for hints.

        Raises ConfigError when there is no such folder.
        """
        self.folder = folder
        self._base = folder / images
        if images and not self._base.is_dir():
            hint = near_file(self._base, "name the folder of the images, relative to the table's folder")
            raise ConfigError(f"images={images}: {one_line(self._base)} is no folder", hint=hint)
        base, whole = Path(os.path.realpath(self._base)), Path(os.path.realpath(folder))
        inside = base.relative_to(whole).as_posix() if base.is_relative_to(whole) else "."
        self._before = "" if inside == "." else f"{inside}/"
        self._real_base, self._real_folder, self._command = base, whole, command
        self._folder = Folder(self._base)
        self._known: dict[str, tuple[str, Path] | DataError] = {}
        self._claimed: dict[str, str] = {}
        self._missing = 0

    def plain(self, name: str) -> Path:
        """Where an image of that name lies if it is relative to the folder, as most are; nothing is looked up."""
        return self._base / name

    def find(self, name: str, source: str) -> tuple[str, Path]:
        """(the image's identity, where it lies) of a name as the table has it; choices ("#frame=2") stay behind both.

        Raises DataError, which begins with `source`: there is no such image, or the name fits several.
        """
        if name not in self._known:
            self._known[name] = self._look(name)
        result = self._known[name]
        if isinstance(result, DataError):
            raise type(result)(f"{source}: {result}", hint=result.hint)
        return result

    def find_number(self, number: int, source: str) -> tuple[str, Path]:
        """As `find`, of the file whose name ends in this number ("COCO_val2014_000000000012.jpg" for 12)."""
        files = self._folder.by_number.get(number, [])
        if len(files) == 1:
            return self._as_found(files[0], "")
        error = self._ambiguous(str(number), files) if files else self._not_there(str(number), str(number))
        raise type(error)(f"{source}: {error}", hint=error.hint)

    def _look(self, name: str) -> tuple[str, Path] | DataError:
        plain = name.strip().removeprefix("file://")
        if "\0" in plain or not plain.strip("./\\"):
            return DataError(f"the image {shown(name)} is no name of a file", hint="name it like images/a.png")
        for written in dict.fromkeys((plain, plain.replace("\\", "/"))):
            inside = self._inside(written)
            if inside and is_file(self._base / inside):
                return self._as_found(inside, "")
        if re.match(r"[a-z]{2,}://", plain):
            return DataError(f"the image {shown(name)} is an address", hint="download it, and name the file")
        inside = self._inside(plain.replace("\\", "/"))
        if inside is None and ".." in PurePosixPath(plain.replace("\\", "/")).parts:
            return self._outside(name, plain)
        return self._search(name, inside or plain.replace("\\", "/"), inside is None)

    def _inside(self, written: str) -> str | None:
        """The name relative to the base; None for one that leads out of it."""
        if not posixpath.isabs(written) and not _DRIVE.match(written):
            within = posixpath.normpath(written)
            return None if within == ".." or within.startswith("../") else within
        for base in (self._base, self._real_base):
            path = PurePosixPath(posixpath.normpath(written))
            if path.is_relative_to(base.as_posix()):
                return path.relative_to(base.as_posix()).as_posix()
        return None

    def _as_found(self, inside: str, choices: str) -> tuple[str, Path]:
        return f"{self._before}{inside}{choices}", self._base / f"{inside}{choices}"

    def _search(self, name: str, written: str, elsewhere: bool) -> tuple[str, Path] | DataError:
        """Looks in the list of the folder. `elsewhere`: the name is a path of another machine, or of another folder."""
        choices = match[0] if (match := _CHOICES.search(written)) else ""
        try:
            for text, choice in dict.fromkeys(((written, ""), (written.removesuffix(choices), choices))):
                parts = [key_of(part) for part in PurePosixPath(_DRIVE.sub("", text)).parts if part != "/"]
                files = self._candidates(parts, elsewhere)
                exact = [file for file in files if file.endswith(PurePosixPath(text).name)]
                files = exact if len(exact) == 1 else files
                if len(files) > 1:
                    return self._ambiguous(name, files)
                if files and is_file(self._base / files[0]):
                    clash = self._claimed.setdefault(files[0], text) if elsewhere else text
                    if key_of(clash) != key_of(text):
                        return DataError(
                            f"the images {shown(clash)} and {shown(name)} would both be {one_line(files[0])}, as only "
                            "the ends of these paths agree",
                            hint="name the images relative to the table's folder",
                        )
                    return self._as_found(files[0], choice)
        except DataError as error:
            return error
        return self._outside(name, written) if elsewhere and is_file(Path(written)) else self._not_there(name, written)

    def _candidates(self, parts: Sequence[str], elsewhere: bool) -> list[str]:
        """The files that the parts of a name fit best."""
        if not parts:
            return []
        agreeing: dict[int, list[str]] = defaultdict(list)
        for is_whole in (True, False):
            files = self._folder.by_name if is_whole else self._folder.by_stem
            for file in files.get(parts[-1], ()):
                own = [key_of(part) for part in file.split("/")[:-1]]
                before = parts[:-1]
                count = _alike(own[::-1], before[::-1])
                # Of a relative name either all must agree, or the file's own path must: what is above may be missing.
                if elsewhere or count == min(len(own), len(before)):
                    agreeing[count].append(file)
            if agreeing:
                break
        return agreeing[max(agreeing)] if agreeing else []

    def _ambiguous(self, name: str, files: Sequence[str]) -> DataError:
        first, second = (one_line(self._before + file) for file in sorted(files)[:2])
        more = f" (and {len(files) - 2} more files)" if len(files) > 2 else ""
        folder = PurePosixPath(sorted(files)[0]).parent.as_posix()
        if len({PurePosixPath(file).parent for file in files}) == 1:  # naming their folder would change nothing
            return DataError(
                f"the image {shown(name)} may be {first} or {second}{more}",
                hint=f"write the ending into the table: {first}, or {second}",
            )
        return DataError(
            f"the image {shown(name)} may be {first} or {second}{more}",
            hint=f"write more of the path into the table, or name the folder that counts: "
            f"{self._command(self._before + folder)}",
        )

    def _outside(self, name: str, written: str) -> DataError:
        path = self._base / written
        message = f"the image {shown(name)} leads out of the data set's folder"
        if is_file(path) and posixpath.isabs(written):
            return DataError(message, hint=f"name the folder of the images: {self._command(str(path.parent))}")
        return DataError(message, hint="name it relative to that folder")

    def _not_there(self, name: str, written: str) -> DataError:
        path = self._base / PurePosixPath(written)
        self._missing += 1
        hint = self._hint(PurePosixPath(written)) if self._missing <= 3 else "see the first of these errors"
        message = f"the image {shown(name)} {what_it_is(path)}; expected a file at {one_line(path)}"
        return MissingImage(f"{message}, or that name below {one_line(self._real_base)}", hint=hint)

    def _hint(self, written: PurePosixPath) -> str:
        names = self._folder.by_name
        wanted = key_of(written.name)
        # Another number is another image, and most likely another patient's.
        alike = [name for name in names if _DIGITS.findall(name) == _DIGITS.findall(wanted)]
        near = get_close_matches(wanted, alike, n=1) if len(names) <= MANY_FILES else []
        if near:
            return f"did you mean {names[near[0]][0]!r}?"
        for beside in sorted(self._real_folder.parent.glob("*/")):
            if is_file(beside / written):
                return f"name the folder of the images: {self._command(os.path.relpath(beside, self._real_folder))}"
        otherwise = "put the image there, or name the folder of the images"
        return f"{otherwise}: {self._command('FOLDER')}"


def _alike(names: Sequence[str], others: Sequence[str]) -> int:
    """How many names are equal, from the first on."""
    pairs = list(zip(names, others, strict=False))
    return next((number for number, (name, other) in enumerate(pairs) if name != other), len(pairs))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """False for a link in a circle too: whoever opens it says what it is."""
    try:
        return entry.is_dir()
    except OSError:
        return False
