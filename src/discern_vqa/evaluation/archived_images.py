"""The images of a batch of questions, fetched from an archive while the batch is answered. No torch here.

Of what the archive sends only the image stays, as the model is to see it: without the header that names the patient,
and in a file in memory, which is gone with the batch, and with the process however that ends.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from discern_vqa.dicomweb.address import Address
from discern_vqa.dicomweb.archive import Archive
from discern_vqa.dicomweb.memory_file import memory_file
from discern_vqa.errors import DataError
from discern_vqa.evaluation.questions import Asked
from discern_vqa.imaging.images import open_image


class ArchivedImages:
    """`bring` of `predict_file`, for an open archive."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    @contextmanager
    def __call__(self, rows: Sequence[Asked]) -> Iterator[list[Asked]]:
        """The rows with their images as files, each fetched once; one that is not there, or is none, has its reason in
        `problem`. Raises ArchiveError: the archive itself fails."""
        with ExitStack() as stack:
            files: dict[str, Path | str] = {}
            there = []
            for asked in rows:
                if asked.sample is None:
                    there.append(asked)
                    continue
                image = asked.sample.image
                if image not in files:
                    files[image] = self._fetched(stack, Address.parse(image))
                file = files[image]
                if isinstance(file, str):
                    there.append(replace(asked, sample=None, problem=file))
                else:
                    there.append(replace(asked, sample=replace(asked.sample, path=file)))
            yield there

    def _fetched(self, stack: ExitStack, address: Address) -> Path | str:
        """The image as a file, or why there is none."""
        try:
            with memory_file(self._archive.fetch(address)) as file:
                try:
                    image = open_image(file.with_name(f"{file.name}{address.choice}"))
                except DataError as error:
                    return str(error).replace(str(file), str(address).removesuffix(address.choice))
        except DataError as error:
            return str(error)
        content = io.BytesIO()
        image.save(content, "PNG", compress_level=1)  # without loss; it lives for a batch
        return stack.enter_context(memory_file(content.getvalue()))
