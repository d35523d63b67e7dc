"""The images of one data set, each opened once: their fingerprints, and which of them are identical."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from discern_vqa.data.sample import Sample
from discern_vqa.imaging.fingerprints import Fingerprints, fingerprints
from discern_vqa.imaging.thumbnails import shows_something


@dataclass(frozen=True)
class ImageSet:
    """n images by their names within the data set, each once, in the order of the samples; paths: where they lie."""

    names: list[str]
    paths: list[Path]
    prints: Fingerprints

    @classmethod
    def look(
        cls,
        samples: Mapping[str, Sequence[Sample]],
        workers: int,
        cache: Path | None,
        progress: Callable[[int, int], None],
    ) -> "ImageSet":
        """Opens every image file of the samples."""
        paths = {row.image: row.path for rows in samples.values() for row in rows}
        prints = fingerprints(list(paths.values()), workers=workers, cache=cache, progress=progress)
        return cls(list(paths), list(paths.values()), prints)

    @cached_property
    def place(self) -> dict[str, int]:
        """The place of each image."""
        return {name: place for place, name in enumerate(self.names)}

    @cached_property
    def number(self) -> NDArray[np.int64]:
        """(n,) a number for the content of each image: equal for equal bytes or equal pixels.

        Numbers count from 0 in the order of the images. An image that cannot be opened has a number of its own.
        """
        numbers: dict[bytes, int] = {}
        number = np.empty(len(self.names), np.int64)
        for place, (content, pixels) in enumerate(zip(self.prints.content, self.prints.pixels, strict=True)):
            key = pixels or (content and b"file " + content) or b"name " + self.names[place].encode()
            number[place] = numbers.setdefault(key, len(numbers))
        return number

    @cached_property
    def first(self) -> NDArray[np.int64]:
        """(contents,) the place of the first image of each distinct content."""
        return np.unique(self.number, return_index=True)[1]

    @cached_property
    def shows(self) -> NDArray[np.bool_]:
        """(n,) whether the image could be opened and is not one even area."""
        return shows_something(self.prints.thumbs[:, 0])

    @property
    def comparable(self) -> NDArray[np.int64]:
        """The numbers of the contents that show something."""
        return np.flatnonzero(self.shows[self.first])

    def of(self, samples: Iterable[Sample]) -> NDArray[np.int64]:
        """The content numbers of the images that the samples are about, each once, in order."""
        return np.unique(self.number[[self.place[row.image] for row in samples]])

    def thumbs(self) -> NDArray[np.uint8]:
        """(contents, 2, 32, 32): one pair of thumbnails for each distinct content."""
        return self.prints.thumbs[self.first]
