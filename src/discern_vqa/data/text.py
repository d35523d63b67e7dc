"""Text into token ids: a word-level tokenizer of our own, or any tokenizer folder of `transformers`.

Every text becomes M positions: at most M - 1 ids, padding, and the last slot always padding: it is reserved for the
answer (CMDPI Eq. 4 reads index -1). The constant length makes a sample independent of its neighbours.

Of a text that is longer, the middle is left out: a question often stands behind a long history, and a caption says
first what is shown. Runs of before 0.2.0 leave out the end, as they learned it (`cut`).
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from discern_vqa.errors import ConfigError

WORD = re.compile(r"[a-z0-9]+(?:[.'/-][a-z0-9]+)*|[^\sa-z0-9]")
PAD, UNKNOWN, BEGIN, END = range(4)

Cut = Literal["middle", "end"]
"""Which part of a text is left out that is longer than the model's text length."""


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

    def __init__(self, words: Sequence[str], cut: Cut = "middle") -> None:
        self.words, self.cut = tuple(words), cut
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
        rows = []
        for text in texts:
            ids = self._ids_of(text)
            gap = left_out(len(ids), length - 3, self.cut)
            rows.append([BEGIN, *ids[: gap.start], *ids[gap.stop :], END])
        return _pad(rows, length, PAD, {PAD, BEGIN, END})

    def unread(self, text: str, length: int) -> str:
        """The part of a text that `encode` leaves out; "" where it fits."""
        words = list(WORD.finditer(text.lower()))
        gap = words[left_out(len(words), length - 3, self.cut)]
        return text[gap[0].start() : gap[-1].end()] if gap else ""

    def count_cut(self, texts: Sequence[str], length: int) -> int:
        """How many of the texts are longer than what `encode` keeps."""
        return sum(len(self._ids_of(text)) > length - 3 for text in texts)

    def _encoded(self, text: str) -> list[int]:
        return [self._ids.get(word, UNKNOWN) for word in WORD.findall(text.lower())]

    def names(self, ids: Sequence[int]) -> list[str]:
        """The words as the model reads them; one that it does not know is `[unknown]`."""
        return ["[unknown]" if id == UNKNOWN else self.words[id - 4] for id in ids]

    def to_json(self) -> dict[str, object]:
        """What `vocabulary.json` holds."""
        return {"kind": "words", "words": list(self.words), "cut": self.cut}


class FolderTokenizer:
    """A tokenizer folder of `transformers` (CLIP's byte pairs, BERT's word pieces), read from local files only.

    `used`: the ids that occur in the training texts. With a frozen text encoder the reconstruction layer has one row
    for each of those instead of one for each id of the tokenizer (the `compact` option of the model).
    """

    def __init__(self, folder: Path, used: Sequence[int] = (), cut: Cut = "middle") -> None:
        from transformers import AutoTokenizer

        self.folder = Path(folder)
        self.inner = AutoTokenizer.from_pretrained(self.folder, local_files_only=True)
        pad = self.inner.pad_token_id if self.inner.pad_token_id is not None else self.inner.eos_token_id
        if pad is None:
            raise ConfigError(f"the tokenizer in {folder} has neither a padding nor an end token", hint="name another")
        self.pad = int(pad)
        self.used, self.cut = tuple(used), cut

    @property
    def size(self) -> int:
        """V: how many ids there are."""
        return len(self.inner)

    def encode(self, texts: Sequence[str], length: int) -> Tokens:
        """The tokenizer's own ids with its special tokens, cut to length - 1, padded to `length`."""
        rows = []
        for ids, inner in self._encoded(texts):
            gap = left_out(inner.stop - inner.start, length - 1 - (len(ids) - inner.stop + inner.start), self.cut)
            rows.append([*ids[: inner.start + gap.start], *ids[inner.start + gap.stop :]])
        return _pad(rows, length, self.pad, set(self.inner.all_special_ids) - {self.inner.unk_token_id} | {self.pad})

    def unread(self, text: str, length: int) -> str:
        """The part of a text that `encode` leaves out, as the tokenizer spells it; "" where it fits."""
        ((ids, inner),) = self._encoded([text])
        gap = left_out(inner.stop - inner.start, length - 1 - (len(ids) - inner.stop + inner.start), self.cut)
        return str(self.inner.decode(ids[inner][gap])).strip()

    def count_cut(self, texts: Sequence[str], length: int) -> int:
        """How many of the texts are longer than what `encode` keeps."""
        return sum(len(ids) > length - 1 for ids, _ in self._encoded(texts))

    def _encoded(self, texts: Sequence[str]) -> list[tuple[list[int], slice]]:
        """The ids of each text uncut, and which of them are the text's own: the tokenizer adds some before and
        behind."""
        if not texts:  # of which the tokenizer would make nothing to look up
            return []
        encoded = self.inner(list(texts), padding=False, return_special_tokens_mask=True, verbose=False)
        rows = []
        for ids, added in zip(encoded["input_ids"], encoded["special_tokens_mask"], strict=True):
            before = next((place for place, is_added in enumerate(added) if not is_added), len(ids))
            behind = next((place for place, is_added in enumerate(reversed(added)) if not is_added), 0)
            rows.append((ids, slice(before, len(ids) - behind)))
        return rows

    def names(self, ids: Sequence[int]) -> list[str]:
        """The tokens as they are read, words or pieces of words."""
        return [str(self.inner.decode([id])).strip() for id in ids]

    def to_json(self) -> dict[str, object]:
        """What `vocabulary.json` holds: no path of this machine, only the name under which weights are looked for."""
        return {"kind": "folder", "name": self.folder.name, "used": list(self.used), "cut": self.cut}


Tokenizer = WordTokenizer | FolderTokenizer


def left_out(count: int, room: int, cut: Cut) -> slice:
    """Which of `count` ids are left out where there is room for fewer: the end, or the middle, so that as much of the
    end as of the beginning is read (of an odd number one more of the end)."""
    if count <= room:
        return slice(count, count)
    head = room if cut == "end" else room // 2
    return slice(head, head + count - room)


def _pad(rows: list[list[int]], length: int, pad: int, special: set[int]) -> Tokens:
    ids = torch.tensor([line + [pad] * (length - len(line)) for line in rows], dtype=torch.int64)
    keep = torch.arange(length) < torch.tensor([len(line) for line in rows])[:, None]
    is_special = torch.isin(ids, torch.tensor(sorted(special)))
    return Tokens(ids, keep, keep & ~is_special)
