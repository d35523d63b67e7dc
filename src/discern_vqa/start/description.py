"""The first step of `discern start`: how the data are read, as a data.toml in OUT, and the samples that it gives."""

from collections.abc import Callable
from pathlib import Path

from discern_vqa import data_file, registry
from discern_vqa.data.sample import Sample
from discern_vqa.data_file import DataFile
from discern_vqa.errors import DataError, DiscernError
from discern_vqa.reading import split_files
from discern_vqa.reading.guess import Choose, guess
from discern_vqa.reading.records import present_splits

COMMENT = "How Discern reads these data. Written by `discern start`; change it by hand where it is wrong."

Say = Callable[[str], None]


def describe(source: Path, file: Path, choose: Choose, say: Say) -> DataFile:
    """Writes `file`, a data.toml: what is guessed of a folder or table, or the user's own data.toml with its paths as
    they are from there. Raises DiscernError, before it is written, where the data cannot be read so."""
    if (source / data_file.NAME).is_file():
        source = source / data_file.NAME
    if data_file.is_data_file(source):
        own = data_file.read(source)
        index = own.index_at(source)
        moved = {
            "root": data_file.relative(own.root_at(source), file),
            "index": data_file.relative(index, file) if index is not None else "",
            "name": own.title(source),
        }
        content = own.model_copy(update=moved)
    else:
        guessed = guess(source, choose)
        for line in guessed.lines:
            say(line)
        folder = source if source.is_dir() else source.parent
        content = DataFile(
            reader=guessed.reader,
            root=data_file.relative(guessed.root, file),
            name=folder.resolve().name,
            options=guessed.options,
        )
    read(content, file, source)
    content.write(file, COMMENT)
    return content


def read(content: DataFile, file: Path, told_in: Path | None = None) -> dict[str, list[Sample]]:
    """The samples of each split that `file` describes; empty splits are left out. `told_in`: the file that messages
    name, where it is another one. Raises DataError: there is none, or a mistake is in the options."""
    told_in = told_in or file
    reader, root = registry.reader(content.reader), content.root_at(file)
    index = content.index_at(file)
    with data_file.named_in(told_in if told_in.is_file() else None):
        if index is not None:
            return split_files.read(reader, root, index, content.options)
        parts = {split: reader.read(root, split, **content.options) for split in present_splits(reader, root)}
    if not any(parts.values()):
        raise DataError(f"{root} has no question", hint="give a table with a row for each question")
    return {split: part for split, part in parts.items() if part}


def require_about(root: Path, source: Path, file: Path) -> None:
    """Raises DiscernError where a data.toml that is there is about another set than `source`."""
    if data_file.is_data_file(source):
        source = data_file.read(source).root_at(source)
    ours, theirs = root.resolve(), source.resolve()
    if not (ours.is_relative_to(theirs) or theirs.is_relative_to(ours)):
        raise DiscernError(
            f"{file} is about {root}, and {source} is given now", hint="choose another --out for other data"
        )
