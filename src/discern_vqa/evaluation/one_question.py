"""One question that somebody asks about an image file of theirs. No torch, and nothing that reads tables."""

import os
from pathlib import Path

from discern_vqa.data.sample import Sample
from discern_vqa.errors import DataError


def single_question(image: Path, question: object) -> Sample:
    """One question about one image file. Raises DataError: the question is empty, or no file can have that name."""
    if not isinstance(question, str):
        told = f"the question is given as {type(question).__name__}; expected text"
        raise DataError(told, hint='for example: model.ask("chest.png", "Is there a mass?")')
    if not question.strip():
        raise DataError("the question is empty", hint='for example: discern ask RUN IMAGE "Is there a mass?"')
    return question_about("1", Path(image), question.strip())


def question_about(key: str, path: Path, question: str, source: str = "") -> Sample:
    """A question somebody asks about an image file of theirs. Raises DataError: no file can have that name."""
    # The absolute path is the identity: what is kept of one file never answers for another of the same name.
    try:
        image = os.path.realpath(path)  # says nothing of links in a circle: opening them does, in words
    except ValueError as error:  # a name that no file can have
        from discern_vqa.reading.records import one_line

        raise DataError(
            f"{source or 'the image'}: {one_line(repr(str(path)))} is no name of a file", hint="name an image file"
        ) from error
    return Sample(id=key, split="test", image=image, path=path, question=question, source=source)
