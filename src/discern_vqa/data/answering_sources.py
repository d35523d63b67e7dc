"""Where images and texts come from when questions are answered: each is decoded and encoded once.

As `sources`, which is for learning, with three differences. Only the views that are asked for are computed. An image is
known by the content of its file, so that a file which was replaced is read anew, and a copy of a file is not. What is
kept is bounded, so that a program which answers for days holds no more than one that answers once.
"""

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from discern_vqa.data.bounded import BoundedTensors, PerText
from discern_vqa.data.sources import Key, PixelSource, augmented_views, decoded
from discern_vqa.data.text import Tokens
from discern_vqa.errors import RunError
from discern_vqa.imaging.fingerprints import content_digest
from discern_vqa.timers import timed

MOST_BYTES = 2**28
"""Of states, and as many of pixels: the states of 2,000 to 6,000 images of the `lite` recipes."""
FEW_BYTES = 2**25
"""What is left of them after `forget`."""
TEXT_BYTES = 2**25
"""Of states of texts, and as many of what the last layers make of them: 900 questions of the `lite` recipes."""
_DECODERS = min(4, os.cpu_count() or 1)  # threads; Pillow decodes outside of Python's lock


class AnsweringPixels(PixelSource):
    """Images as pixels, never augmented. Threads decode those of a call while whoever asked works on the first."""

    def __init__(self, size: int, picture_size: int, grey: bool) -> None:
        super().__init__(size, picture_size, grey, augment=False)
        self._kept = BoundedTensors(MOST_BYTES)
        self._threads: ThreadPoolExecutor | None = None

    def get(self, keys: Sequence[Key], rng: torch.Generator | None = None, view: int = 0) -> tuple[Tensor, Tensor]:
        """See ImageSource. The target is empty, (U, 0): nothing is reconstructed when answering."""
        image = torch.stack([pixels.expand(3, -1, -1) for pixels in self.each(keys)]).float().div_(255)
        return image, torch.zeros(len(keys), 0)

    def each(self, keys: Sequence[Key]) -> Iterator[Tensor]:
        """(1 or 3, size, size) bytes of each image, in order. Raises ImageError when it comes to one that cannot be
        opened."""
        contents = [content_digest(path) for _, path in keys]
        known = [self._kept.get(content) for content in contents]
        missing = [path for (_, path), pixels in zip(keys, known, strict=True) if pixels is None]
        fresh = self._decoded(missing)
        for content, pixels in zip(contents, known, strict=True):
            if pixels is None:
                pixels = next(fresh)
                if content:
                    self._kept.put(content, pixels)
            yield pixels

    def forget(self, keys: Collection[str] = ()) -> None:
        """Frees what was used longest ago, but for a little, whichever images these are."""
        self._kept.trim(FEW_BYTES)

    def _decoded(self, paths: Sequence[Path]) -> Iterator[Tensor]:
        """In this very thread where there is one: what a command keeps of its image (`decoded_once`) is known here."""
        if len(paths) < 2:
            yield from (decoded(path, self.size) for path in paths)
            return
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_DECODERS, "decoder")
        to_come = iter(paths)
        coming = [self._threads.submit(decoded, path, self.size) for path in islice(to_come, 2 * _DECODERS)]
        try:
            while coming:
                pixels = coming.pop(0).result()
                coming += [self._threads.submit(decoded, path, self.size) for path in islice(to_come, 1)]
                yield pixels
        finally:
            for future in coming:
                future.cancel()


class AnsweringStates:
    """States of a frozen image encoder, (1 + N, c) for each image and view.

    `encode`: pixels (1, 3, size, size) to states (1, 1 + N, c). views, seed: as of `StateSource`, so that view number
    k shows what training saw under that number. before: finds the file of states that training left, which need not be
    there: what it holds of an image file as it is now is not computed again.
    """

    def __init__(
        self,
        pixels: AnsweringPixels,
        encode: Callable[[Tensor], Tensor],
        views: int,
        seed: int = 0,
        before: Callable[[], Path] | None = None,
    ) -> None:
        self.pixels, self.encode, self.views, self.seed = pixels, encode, views, seed
        self._kept = BoundedTensors(MOST_BYTES)
        self._find_before = before

    def get(self, keys: Sequence[Key], rng: torch.Generator | None = None, view: int = 0) -> tuple[Tensor, Tensor]:
        """See ImageSource. The target is empty, (U, 0): nothing is reconstructed when answering."""
        names = [_name(key, content_digest(path), view) for key, path in keys]
        states = [self._kept.get(name) for name in names]
        missing = [place for place, known in enumerate(states) if known is None]
        if missing and (before := self._before) is not None:
            for place in missing:
                states[place] = before.states(keys[place][0], names[place][0], view)
            missing = [place for place in missing if states[place] is None]
        pixels = self.pixels.each([keys[place] for place in missing])
        for place, image in zip(missing, pixels, strict=True):
            states[place] = self._encoded(keys[place][0], image, view)
        whole = [state for state in states if state is not None]
        for name, state in zip(names, whole, strict=True):
            if name[0]:  # else the file could not be read a moment ago
                self._kept.put(name, state)
        return torch.stack(whole).float(), torch.zeros(len(keys), 0)

    @cached_property
    def _before(self) -> "_Before | None":
        path = self._find_before() if self._find_before is not None else None
        return _Before(path) if path is not None and path.is_file() else None

    def forget(self) -> None:
        """Frees what was used longest ago, but for a little."""
        self.pixels.forget()
        self._kept.trim(FEW_BYTES)

    def _encoded(self, key: str, pixels: Tensor, view: int) -> Tensor:
        """One image at a time: it gets the same states whichever images are asked about with it, and on a CPU several
        at once are no faster."""
        image = pixels.expand(3, -1, -1)[None].float().div_(255)
        if view:
            image = augmented_views(image, key, self.seed, self.views)[view : view + 1]
        with timed("image encoder"), torch.inference_mode():
            return self.encode(image)[0].to(torch.bfloat16).clone()


class _Before:
    """The states of the images that training learned from, read from its file one by one."""

    def __init__(self, path: Path) -> None:
        try:
            opened: Any = safe_open(path, "pt")  # its annotations do not say what it gives
            self._file, self._names = opened, frozenset(opened.keys())
        except (SafetensorError, OSError) as error:
            raise RunError(f"{path} is damaged: {error}", hint=f"remove it: rm {path}") from error

    def states(self, key: str, content: bytes, view: int) -> Tensor | None:
        """(1 + N, c) of the image, if it is there and its file is what it was."""
        if f"states:{key}" not in self._names or bytes(self._file.get_tensor(f"contents:{key}").tolist()) != content:
            return None
        views = self._file.get_slice(f"states:{key}")
        states: Tensor = views[view : view + 1]
        return states[0].clone() if len(states) else None


def _name(key: str, content: bytes, view: int) -> tuple[bytes, str, int]:
    """What the states of a view follow from. How it is augmented follows from the image's name."""
    return content, key if view else "", view


class AnsweringTexts:
    """Cached states of a frozen text encoder, (M, c) for each distinct text.

    `encode(length, ids, keep) -> (B, M, c)` gets texts that are equally long once padded. States are kept in bfloat16,
    so that the last bit before counts sometimes; it must not depend on what else is asked.
    """

    def __init__(self, encode: Callable[[int, Tensor, Tensor], Tensor]) -> None:
        self.encode = encode
        self._kept = PerText(TEXT_BYTES)

    def get(self, tokens: Tokens) -> Tensor:
        """(B, M, c) states."""

        @torch.inference_mode()
        def encoded(length: int, rows: Tensor) -> Tensor:
            with timed("text encoder"):
                return self.encode(length, tokens.ids[rows], tokens.keep[rows]).to(torch.bfloat16)

        return self._kept(tokens.ids, tokens.keep, encoded).float()
