"""Where a batch's images and text states come from: decoded pixels kept in memory, or states of frozen encoders.

Both kinds of image source answer the same call, `get([(key, path), ...]) -> (image, target)`:
`image` is what the model sees and `target` what it is asked to reconstruct.
"""

import hashlib
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from discern_vqa.data.bounded import padded
from discern_vqa.data.text import Tokens
from discern_vqa.division import Rows
from discern_vqa.imaging.fingerprints import content_digest
from discern_vqa.imaging.images import load_image
from discern_vqa.timers import timed

Key = tuple[str, Path]


class ImageSource(Protocol):
    """`views`: how many different views of an image there are to choose from when answering."""

    views: int

    def get(self, keys: Sequence[Key], rng: torch.Generator | None = None, view: int = 0) -> tuple[Tensor, Tensor]:
        """image and target for each key; with `rng` a random view (learning), without it view number `view`."""
        ...


class PixelSource:
    """Images as pixels (U, 3, size, size) in [0, 1], decoded once and kept as bytes.

    `picture_size` is the side of what is reconstructed (grey, one channel, when `grey`).
    """

    views = 1

    def __init__(self, size: int, picture_size: int, grey: bool, augment: bool) -> None:
        self.size, self.picture_size, self.grey, self.augment = size, picture_size, grey, augment
        self._pixels: dict[str, Tensor] = {}

    def get(self, keys: Sequence[Key], rng: torch.Generator | None = None, view: int = 0) -> tuple[Tensor, Tensor]:
        """Augments when `augment` and `rng` is given."""
        return self._get(keys, rng, None)

    def get_share(self, keys: Sequence[Key], rng: torch.Generator, of: Rows) -> tuple[Tensor, Tensor]:
        """The images `keys` as they would be among all images of a batch, of which these are some."""
        return self._get(keys, rng, of)

    def _get(self, keys: Sequence[Key], rng: torch.Generator | None, of: Rows | None) -> tuple[Tensor, Tensor]:
        image = torch.stack([self._load(key, path) for key, path in keys]).float().div_(255)
        if rng is not None and self.augment:
            image = augment(image, rng, of)
        return image.expand(-1, 3, -1, -1), self.target(image)

    def target(self, image: Tensor) -> Tensor:
        """(U, C, size, size) -> what is reconstructed, (U, 1 or 3, picture_size, picture_size)."""
        target = image.mean(1, keepdim=True) if self.grey else image.expand(-1, 3, -1, -1)
        if target.shape[-1] == self.picture_size:
            return target
        return F.interpolate(target, size=self.picture_size, mode="area")

    def forget(self, keys: Collection[str]) -> None:
        """Frees what is kept of these images: nobody asks about them again soon."""
        for key in keys:
            self._pixels.pop(key, None)

    def _load(self, key: str, path: Path) -> Tensor:
        if key not in self._pixels:
            self._pixels[key] = decoded(path, self.size)
        pixels = self._pixels[key]
        return pixels.expand(3, -1, -1)


class Encode(Protocol):
    """Pixels (U, 3, size, size) to a frozen encoder's states (U, 1 + N, c). `name`: of the way they are computed."""

    @property
    def name(self) -> str: ...

    def __call__(self, image: Tensor, /) -> Tensor: ...


class StateSource:
    """Cached states of a frozen image encoder: (views, 1 + N, c) for each image, and the images to reconstruct.

    View 0 is the image itself, the others are fixed augmented copies; training draws one at random, answering may
    average over several. Each cached state is stored with the digest of its image file; after `fill` the digest is
    compared once, and the states of a changed file are recomputed.
    """

    def __init__(self, pixels: PixelSource, encode: Encode, views: int, seed: int = 0) -> None:
        self.pixels, self.encode, self.views, self.seed = pixels, encode, views, seed
        self._cached: dict[str, dict[str, Tensor]] = {"states": {}, "pictures": {}, "contents": {}}
        self._compared: set[str] = set()

    def get(self, keys: Sequence[Key], rng: torch.Generator | None = None, view: int = 0) -> tuple[Tensor, Tensor]:
        view_of = [view] * len(keys)
        if rng is not None:
            view_of = torch.randint(self.views, (len(keys),), generator=rng).tolist()
        return self._get(keys, view_of)

    def get_share(self, keys: Sequence[Key], rng: torch.Generator, of: Rows) -> tuple[Tensor, Tensor]:
        """The images `keys` as they would be among all images of a batch, of which these are some."""
        return self._get(keys, torch.randint(self.views, (of.total,), generator=rng)[of.rows].tolist())

    def _get(self, keys: Sequence[Key], view_of: list[int]) -> tuple[Tensor, Tensor]:
        for key, path in keys:
            if not self.has(key, path):
                self.add(key, path)
        image, target = (
            torch.stack([self._cached[kind][key][number] for (key, _), number in zip(keys, view_of, strict=True)])
            for kind in ("states", "pictures")
        )
        return image.float(), target.float().div_(255)

    def has(self, key: str, path: Path) -> bool:
        """Whether the states of the image are cached, and were computed from the file as it is now."""
        cached = key not in self._compared and all(key in table for table in self._cached.values())
        if cached and torch.equal(self._cached["contents"][key], _content(path)):
            self._compared.add(key)
        return key in self._compared

    def add(self, key: str, path: Path) -> None:
        """Computes the states of one image (all views)."""
        content = _content(path)
        image, _ = self.pixels.get([(key, path)])
        copies = augmented_views(image, key, self.seed, self.views)
        with timed("image encoder"), torch.inference_mode():
            self._cached["states"][key] = self.encode(copies).to(torch.bfloat16).clone()
        self._cached["pictures"][key] = self.pixels.target(copies).mul(255).round().to(torch.uint8)
        self._cached["contents"][key] = content
        self._compared.add(key)

    def dump(self) -> dict[str, Tensor]:
        """All that is cached, as plain tensors for a safetensors file."""
        return {
            f"{kind}:{key}": tensor.contiguous()
            for kind, table in self._cached.items()
            for key, tensor in table.items()
        }

    def fill(self, tensors: dict[str, Tensor]) -> None:
        """The inverse of `dump`."""
        for name, tensor in tensors.items():
            kind, _, key = name.partition(":")
            self._cached[kind][key] = tensor


class TextStates(Protocol):
    """Where a batch's text states come from."""

    def get(self, tokens: Tokens) -> Tensor:
        """(B, M, c) states of a frozen text encoder."""
        ...


class TextSource:
    """Cached states of a frozen text encoder, (M, c) for each distinct text. `encode(length, ids, keep) -> (B, M, c)`:
    no text is longer than `length`."""

    def __init__(self, encode: Callable[[int, Tensor, Tensor], Tensor]) -> None:
        self.encode = encode
        self._states: dict[tuple[int, ...], Tensor] = {}

    def get(self, tokens: Tokens) -> Tensor:
        """(B, M, c) states; unseen texts are encoded one by one, so that a text's state never depends on others."""
        keys = [tuple(row) for row in tokens.ids.tolist()]
        for row, key in enumerate(keys):
            if key not in self._states:
                self.add(Tokens(*(part[row : row + 1] for part in (tokens.ids, tokens.keep, tokens.words))))
        return torch.stack([self._states[key] for key in keys]).float()

    def add(self, tokens: Tokens, together: int = 64) -> None:
        """Encodes these texts, so many `together`, the shortest first: little of it is padding then. The same texts get
        the same states to the last bit."""
        lengths = padded(tokens.keep)
        for rows in torch.split(lengths.argsort(stable=True), together):
            ids, keep = tokens.ids[rows], tokens.keep[rows]
            with timed("text encoder"), torch.inference_mode():
                states = self.encode(int(lengths[rows].max()), ids, keep).to(torch.bfloat16)
            for key, state in zip(ids.tolist(), states, strict=True):
                self._states[tuple(key)] = state.clone()


def decoded(path: Path, size: int) -> Tensor:
    """(1 or 3, size, size) bytes of an image file. Three equal channels are kept as one: a third of the memory for
    radiographs. Raises ImageError."""
    array = torch.from_numpy(load_image(path, size, "rgb").copy()).permute(2, 0, 1)
    same = bool((array[0] == array[1]).all() and (array[0] == array[2]).all())
    return (array[:1] if same else array).clone(memory_format=torch.contiguous_format)


def augmented_views(image: Tensor, key: str, seed: int, views: int) -> Tensor:
    """(1, C, H, W) pixels -> (views, C, H, W): the image itself, then copies augmented as its name and the seed alone
    say, so that a cache can be filled in any order."""
    if views == 1:
        return image
    rng = torch.Generator().manual_seed(stable_hash(f"{seed}:{key}"))
    return torch.cat([image, augment(image.expand(views - 1, -1, -1, -1), rng)])


def _content(path: Path) -> Tensor:
    """(32,) bytes: the digest of an image file; (0,) of one that cannot be read."""
    return torch.tensor(list(content_digest(path)), dtype=torch.uint8)


def augment(image: Tensor, rng: torch.Generator, of: Rows | None = None) -> Tensor:
    """Small rotation (10 degrees), shift (4 %), scale (0.9 to 1.1), contrast and brightness, a draw for each image.

    (U, C, H, W) in [0, 1] -> the same. Never a flip: questions ask about left and right, and this function does not
    see the texts (`laterality.mirrored` changes both). `of`: see `division`.
    """
    count = len(image)

    def draw(low: float, high: float) -> Tensor:
        drawn = torch.empty(count if of is None else of.total).uniform_(low, high, generator=rng)
        return (drawn if of is None else drawn[of.rows]).to(image.device)

    angle, scale = draw(-0.175, 0.175), draw(0.9, 1.1)
    theta = torch.zeros(count, 2, 3, device=image.device)
    theta[:, 0, 0] = theta[:, 1, 1] = torch.cos(angle) * scale
    theta[:, 0, 1], theta[:, 1, 0] = -torch.sin(angle) * scale, torch.sin(angle) * scale
    theta[:, 0, 2], theta[:, 1, 2] = draw(-0.08, 0.08), draw(-0.08, 0.08)  # in half widths
    contrast, brightness = draw(0.8, 1.2).view(-1, 1, 1, 1), draw(-0.1, 0.1).view(-1, 1, 1, 1)
    if count == 0:  # of several processes one may have no image; its draws are made
        return image
    grid = F.affine_grid(theta, list(image.shape), align_corners=False)
    moved = F.grid_sample(image, grid, padding_mode="zeros", align_corners=False)
    middle = moved.mean((1, 2, 3), keepdim=True)
    return ((moved - middle) * contrast + middle + brightness).clamp_(0, 1)


def stable_hash(text: str) -> int:
    """A number of 56 bits that follows from the text, the same in every process and on every machine."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")
