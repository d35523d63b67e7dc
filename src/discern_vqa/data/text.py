"""Text into token ids: a word-level tokenizer of our own, or any tokenizer folder of `transformers`. How a text is cut
is in `token_rows`, which needs no torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from discern_vqa.data.piece_file import PieceFile, kept
from discern_vqa.data.token_rows import BEGIN as BEGIN
from discern_vqa.data.token_rows import END as END
from discern_vqa.data.token_rows import PAD as PAD
from discern_vqa.data.token_rows import UNKNOWN as UNKNOWN
from discern_vqa.data.token_rows import WORD as WORD
from discern_vqa.data.token_rows import Cut as Cut
from discern_vqa.data.token_rows import PieceRows, WordRows, own_ids
from discern_vqa.data.token_rows import left_out as left_out
from discern_vqa.data.token_rows import plain as plain
from discern_vqa.errors import ConfigError


@dataclass(frozen=True)
class Tokens:
    """Texts as ids."""

    ids: Tensor  # (B, M) int64
    keep: Tensor  # (B, M) True = a real token (specials included)
    words: Tensor  # (B, M) True = a real token that may be masked and reconstructed (neither special nor padding)


class WordTokenizer(WordRows):
    """Lower-cased words; the vocabulary is that of the training texts and travels with the run."""

    def encode(self, texts: Sequence[str], length: int) -> Tokens:
        """`[begin, words..., end]`, cut to length - 1, padded to `length`."""
        return _pad(self.rows(texts, length), length, PAD, {PAD, BEGIN, END})


class FolderTokenizer(PieceRows):
    """A tokenizer folder of `transformers` (CLIP's byte pairs, BERT's word pieces), read from local files only.

    `used`: the ids that occur in the training texts. With a frozen text encoder the reconstruction layer has one row
    for each of those instead of one for each id of the tokenizer (the `compact` option of the model).
    `pieces`: as `tokenizers` reads it; None where it has no tokenizer.json, and only `transformers` can.
    """

    pieces: PieceFile | None

    def __init__(self, folder: Path, used: Sequence[int] = (), cut: Cut = "middle") -> None:
        self.folder, self.used, self.cut = Path(folder), tuple(used), cut
        if (found := kept(self.folder)) is None:
            self.pieces = PieceFile.copied(self.inner.backend_tokenizer) if self.inner.is_fast else None
            pad = self.inner.pad_token_id if self.inner.pad_token_id is not None else self.inner.eos_token_id
            unknown, special, self.size = self.inner.unk_token_id, set(self.inner.all_special_ids), len(self.inner)
        else:
            self.pieces, told = found
            pad, end, unknown = (self.pieces.id_of(_token(told.get(f"{name}_token"))) for name in ("pad", "eos", "unk"))
            pad = end if pad is None else pad
            special, self.size = self.pieces.special(), self.pieces.size
        if pad is None:
            raise ConfigError(f"the tokenizer in {folder} has neither a padding nor an end token", hint="name another")
        self.pad = int(pad)
        self._special = special - {unknown} | {self.pad}

    @cached_property
    def inner(self) -> Any:
        """As `transformers` has it."""
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self.folder, local_files_only=True)

    def encode(self, texts: Sequence[str], length: int) -> Tokens:
        """The tokenizer's own ids with its special tokens, cut to length - 1, padded to `length`."""
        return _pad(self.rows(texts, length), length, self.pad, self._special)

    def uncut(self, texts: Sequence[str]) -> list[tuple[list[int], slice]]:
        """See PieceRows."""
        if not texts:  # of which the tokenizer would make nothing to look up
            return []
        if self.pieces is not None:
            return [own_ids(*encoded) for encoded in self.pieces.encoded(texts)]
        encoded = self.inner(list(texts), padding=False, return_special_tokens_mask=True, verbose=False)
        return list(map(own_ids, encoded["input_ids"], encoded["special_tokens_mask"]))

    def spelled(self, ids: Sequence[int]) -> str:
        """See PieceRows."""
        return str(self.inner.decode(ids)) if self.pieces is None else self.pieces.decoded(ids)

    def names(self, ids: Sequence[int]) -> list[str]:
        """The tokens as they are read, words or pieces of words."""
        return [self.spelled([id]).strip() for id in ids]

    def to_json(self) -> dict[str, object]:
        """What `vocabulary.json` holds: no path of this machine, only the name under which weights are looked for."""
        return {"kind": "folder", "name": self.folder.name, "used": list(self.used), "cut": self.cut}


Tokenizer = WordTokenizer | FolderTokenizer


def _token(told: object) -> str | None:
    """A token as tokenizer_config.json names it: its text, or an object that holds it."""
    content = told.get("content") if isinstance(told, dict) else told
    return content if isinstance(content, str) else None


def _pad(rows: list[list[int]], length: int, pad: int, special: set[int]) -> Tokens:
    ids = torch.tensor([line + [pad] * (length - len(line)) for line in rows], dtype=torch.int64)
    keep = torch.arange(length) < torch.tensor([len(line) for line in rows])[:, None]
    is_special = torch.isin(ids, torch.tensor(sorted(special)))
    return Tokens(ids, keep, keep & ~is_special)
