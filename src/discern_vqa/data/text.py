"""Text into token ids: a word-level tokenizer of our own, or any tokenizer folder of `transformers`.

Every text becomes M positions: at most M - 1 ids, padding, and the last slot always padding: it is reserved for the
answer (CMDPI Eq. 4 reads index -1). The constant length makes a sample independent of its neighbours.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from discern_vqa.errors import ConfigError

WORD = re.compile(r"[a-z0-9]+(?:[.'/-][a-z0-9]+)*|[^\sa-z0-9]")
PAD, UNKNOWN, BEGIN, END = range(4)


@dataclass(frozen=True)
class Tokens:
    """Texts as ids."""

    ids: Tensor  # (B, M) int64
    keep: Tensor  # (B, M) True = a real token (specials included)
    words: Tensor  # (B, M) True = a real token that may be masked and reconstructed (neither special nor padding)


def plain(text: str) -> str:
    """A text in the form in which equal questions are equal: lower-case, single blanks, no final punctuation."""
    return " ".join(text.lower().split()).rstrip(" ?.!")


class WordTokenizer:
    """Lower-cased words; the vocabulary is that of the training texts and travels with the run."""

    used: tuple[int, ...] = ()
    """It is not cut down (see `FolderTokenizer`): it holds the words of the training texts alone."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = tuple(words)
        self._ids = {word: index + 4 for index, word in enumerate(self.words)}
        self._ids_of = cache(self._encoded)  # the same questions come again in every epoch

    @classmethod
    def from_texts(cls, texts: Iterable[str], min_count: int = 1) -> "WordTokenizer":
        """Words of the training texts that occur `min_count` times, commonest first."""
        counts = Counter(word for text in texts for word in WORD.findall(text.lower()))
        frequent = [word for word, count in counts.items() if count >= min_count]
        return cls(sorted(frequent, key=lambda word: (-counts[word], word)))

    @property
    def size(self) -> int:
        """V: how many ids there are."""
        return len(self.words) + 4

    def encode(self, texts: Sequence[str], length: int) -> Tokens:
        """`[begin, words..., end]`, cut to length - 1, padded to `length`."""
        rows = [[BEGIN, *self._ids_of(text)[: length - 3], END] for text in texts]
        return _pad(rows, length, PAD, {PAD, BEGIN, END})

    def _encoded(self, text: str) -> list[int]:
        return [self._ids.get(word, UNKNOWN) for word in WORD.findall(text.lower())]

    def names(self, ids: Sequence[int]) -> list[str]:
        """The words as the model reads them; one that it does not know is `[unknown]`."""
        return ["[unknown]" if id == UNKNOWN else self.words[id - 4] for id in ids]

    def to_json(self) -> dict[str, object]:
        """What `vocabulary.json` holds."""
        return {"kind": "words", "words": list(self.words)}


class FolderTokenizer:
    """A tokenizer folder of `transformers` (CLIP's byte pairs, BERT's word pieces), read from local files only.

    `used`: the ids that occur in the training texts. With a frozen text encoder the reconstruction layer has one row
    for each of those instead of one for each id of the tokenizer (the `compact` option of the model).
    """

    def __init__(self, folder: Path, used: Sequence[int] = ()) -> None:
        from transformers import AutoTokenizer

        self.folder = Path(folder)
        self.inner = AutoTokenizer.from_pretrained(self.folder, local_files_only=True)
        pad = self.inner.pad_token_id if self.inner.pad_token_id is not None else self.inner.eos_token_id
        if pad is None:
            raise ConfigError(f"the tokenizer in {folder} has neither a padding nor an end token", hint="name another")
        self.pad = int(pad)
        self.used = tuple(used)

    @property
    def size(self) -> int:
        """V: how many ids there are."""
        return len(self.inner)

    def encode(self, texts: Sequence[str], length: int) -> Tokens:
        """The tokenizer's own ids with its special tokens, cut to length - 1, padded to `length`."""
        rows = self.inner(list(texts), truncation=True, max_length=length - 1, padding=False)["input_ids"]
        return _pad(rows, length, self.pad, set(self.inner.all_special_ids) - {self.inner.unk_token_id} | {self.pad})

    def names(self, ids: Sequence[int]) -> list[str]:
        """The tokens as they are read, words or pieces of words."""
        return [str(self.inner.decode([id])).strip() for id in ids]

    def to_json(self) -> dict[str, object]:
        """What `vocabulary.json` holds: no path of this machine, only the name under which weights are looked for."""
        return {"kind": "folder", "name": self.folder.name, "used": list(self.used)}


Tokenizer = WordTokenizer | FolderTokenizer


def _pad(rows: list[list[int]], length: int, pad: int, special: set[int]) -> Tokens:
    ids = torch.tensor([line + [pad] * (length - len(line)) for line in rows], dtype=torch.int64)
    keep = torch.arange(length) < torch.tensor([len(line) for line in rows])[:, None]
    is_special = torch.isin(ids, torch.tensor(sorted(special)))
    return Tokens(ids, keep, keep & ~is_special)
