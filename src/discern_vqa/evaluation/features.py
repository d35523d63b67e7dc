"""What a run's encoders make of images and questions: one vector for each, for judging what is like what."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from discern_vqa.data.batch import Batcher
from discern_vqa.data.sources import Key
from discern_vqa.data.text import BEGIN, END, UNKNOWN, Tokens, WordTokenizer

_BATCH = 32
_UNREAD = 10.0  # one unknown word in ten turns a question's vector by 45 degrees


@torch.inference_mode()
def image_vectors(model: Any, batcher: Batcher, keys: Sequence[Key]) -> np.ndarray:
    """(n, c): the global state of a frozen encoder, as it came; of one that was trained, if only its last layers, its
    global feature h (Eq. 1).

    `keys`: (name, path) of each image.
    """
    device = next(model.parameters()).device
    found = []
    for start in range(0, len(keys), _BATCH):
        image, _ = batcher.images.get(keys[start : start + _BATCH])
        still = image.ndim == 3 and not model.image.trains_last
        one = image[:, 0] if still else model.image(image.to(device)).h
        found.append(one.float().cpu().numpy())
    return np.concatenate(found) if found else np.zeros((0, 1), np.float32)


@torch.inference_mode()
def question_vectors(model: Any, batcher: Batcher, questions: Sequence[str]) -> np.ndarray:
    """(n, c): the mean state of a frozen encoder over a question's tokens; of one that was trained, its global feature,
    and beside it the share of words that a table of words does not have: all of those look alike to the encoder."""
    device = next(model.parameters()).device
    found = []
    for start in range(0, len(questions), _BATCH):
        tokens = batcher.tokenizer.encode(questions[start : start + _BATCH], batcher.length)
        found.append(_of_text(model, batcher, tokens, device).float().cpu().numpy())
    return np.concatenate(found) if found else np.zeros((0, 1), np.float32)


def _of_text(model: Any, batcher: Batcher, tokens: Tokens, device: torch.device) -> torch.Tensor:
    if batcher.texts is None:
        ids, keep = tokens.ids.to(device), tokens.keep.to(device)
        return vector_of_text(model.text, ids, keep, None, isinstance(batcher.tokenizer, WordTokenizer))
    return vector_of_text(model.text, tokens.ids, tokens.keep, batcher.texts.get(tokens), False)


def vector_of_text(
    encoder: Any, ids: torch.Tensor, keep: torch.Tensor, states: torch.Tensor | None, is_words: bool
) -> torch.Tensor:
    """(B, c) of the texts ids (B, M), whose tokens are at `keep`; states (B, M, c): of a frozen encoder. is_words: they
    were made by a `WordTokenizer`."""
    if states is not None:
        of_states: torch.Tensor = encoder.sentence(states, keep)
        return of_states
    h: torch.Tensor = encoder(ids, keep).h
    if not is_words:
        return h
    words = keep & (ids != BEGIN) & (ids != END)
    unread = ((ids == UNKNOWN) & words).sum(1) / words.sum(1).clamp(min=1)
    return torch.cat([F.normalize(h.float(), dim=1), _UNREAD * unread[:, None]], dim=1)


def key_of(path: Path) -> Key:
    """A file that no data set names: its whole path is its name."""
    return os.path.realpath(path), path
