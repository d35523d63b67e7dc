"""Many questions, or many images, that a Python program has: each image is decoded and encoded once.

An image is known by its path, or by being the same object; behind that, the sources of images know it by its content
(`data/answering_sources.py`). Questions about one image are asked together, so that memory holds a batch.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from discern_vqa.data.answers import Answer
from discern_vqa.data.sample import Sample
from discern_vqa.errors import ConfigError, DataError
from discern_vqa.evaluation.given_image import GIVEN, Given, as_file, frozen
from discern_vqa.evaluation.one_question import single_question

if TYPE_CHECKING:
    from discern_vqa.evaluation.asked_run import OpenRun

BATCH = 64
"""Questions or images at a time."""
_ANY = "image"
"""A question, where only the image counts."""
_EXAMPLE = 'model.ask_many([("chest.png", "Is there a mass?"), ("chest.png", "Where is it?")])'


def ask_many(predictor: "OpenRun", pairs: Iterable[tuple[Given, str]], mode: str = "") -> list[Answer]:
    """The answer to each pair of an image and a question, in their order; see `OpenRun.ask_many`."""
    if not isinstance(pairs, Iterable) or isinstance(pairs, GIVEN):
        raise DataError(f"{type(pairs).__name__} is given; expected a list of (image, question)", hint=_EXAMPLE)
    asked = list(_checked(pairs))
    keys = [_key(image) for image, _ in asked]
    first = {key: place for place, key in reversed(list(enumerate(keys)))}
    order = sorted(range(len(asked)), key=lambda place: first[keys[place]])
    answers: dict[int, Answer] = {}
    for start in range(0, len(order), BATCH):
        places = order[start : start + BATCH]
        with _samples(places, asked, keys) as samples:
            answers |= zip(places, predictor.answer_judged(samples, mode), strict=True)
            predictor.forget(samples)
    return [answers[place] for place in range(len(asked))]


def embed(predictor: "OpenRun", images: Iterable[Given]) -> np.ndarray:
    """(n, c) float32, a row for each image, in their order; see `OpenRun.embed`."""
    if predictor.image_size is None:
        raise ConfigError(
            f"{predictor.folder} has no image encoder of its own: it is a baseline or somebody else's model",
            hint="load a run of cmdpi or cmi_mtl",
        )
    if isinstance(images, GIVEN) or not isinstance(images, Iterable):
        raise DataError(f"{type(images).__name__} is given; expected a list of images", hint="model.embed([image])")
    given = iter(images)
    rows: list[np.ndarray] = []
    while True:
        first = sum(map(len, rows))
        with ExitStack() as opened:
            files: list[Path] = []
            for place, image in enumerate(islice(given, BATCH), start=first):
                with _named("image", place):
                    files.append(opened.enter_context(as_file(image)))  # at once: a generator may draw into it anew
            if not files:
                return np.concatenate(rows) if rows else np.zeros((0, 0), np.float32)
            with _named_by_file("image", range(first, first + len(files)), files):
                vectors, _ = predictor.vectors([single_question(file, _ANY) for file in files])
            rows.append(vectors)
        predictor.forget([])


def _checked(pairs: Iterable[tuple[Given, str]]) -> Iterator[tuple[Given, str]]:
    """The pairs as they are when they are read: a generator often draws the next image into the last one's memory. An
    image that did not change stays the same object."""
    passing = isinstance(pairs, Iterator)
    held: dict[int, Given] = {}  # id(image) -> how it last was; another one's id may be taken again
    for place, pair in enumerate(pairs):
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise DataError(
                f"pair {place + 1} is {type(pair).__name__} {str(pair)[:60]!r}; expected (image, question)",
                hint=_EXAMPLE,
            )
        image, question = pair
        if passing and isinstance(image, Image.Image | np.ndarray):
            with _named("pair", place):
                now = frozen(image)
            if held.get(id(image)) != now:
                held[id(image)] = now
            image = held[id(image)]
        yield image, question


def _key(image: Given) -> str | int:
    return os.fspath(image) if isinstance(image, str | os.PathLike) else id(image)


@contextmanager
def _samples(
    places: Sequence[int], asked: Sequence[tuple[Given, str]], keys: Sequence[str | int]
) -> Iterator[list[Sample]]:
    """The questions at these places, with their images as files inside the block; what is wrong with one of them is
    said with its place."""
    with ExitStack() as opened:
        files = {}
        samples: list[Sample] = []
        for place in places:
            image, question = asked[place]
            with _named("pair", place):
                if keys[place] not in files:
                    files[keys[place]] = opened.enter_context(as_file(image))
                samples.append(single_question(files[keys[place]], question))
        with _named_by_file("pair", places, [sample.path for sample in samples]):
            yield samples


@contextmanager
def _named(what: str, place: int) -> Iterator[None]:
    """Says of what is wrong inside the block which pair or image it is, counted from 1."""
    try:
        yield
    except DataError as error:
        raise type(error)(f"{what} {place + 1}: {error}", hint=error.hint) from error


@contextmanager
def _named_by_file(what: str, places: Sequence[int], files: Sequence[Path]) -> Iterator[None]:
    """The same for several at once, by the file that the error names."""
    try:
        yield
    except DataError as error:
        for place, file in zip(places, files, strict=True):
            if str(file) in str(error):
                with _named(what, place):
                    raise
        raise
