"""Answers as tokens for a model that writes them: byte pairs of our own, learned from the training answers, or the
tokenizer folder of a pre-trained generator.

Every answer is its tokens, END, and PAD up to the constant length G. The byte pairs travel with the run as JSON.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from discern_vqa.data.answers import normaliser
from discern_vqa.errors import DataError

PAD, END = 0, 1
_BYTES = 2
"""Ids _BYTES ... _BYTES + 255 are single bytes, so that any text can be written; merged pairs follow."""
_PIECE = re.compile(r" ?[^ ]+| +")


class BytePairs:
    """Byte-pair encoding (Sennrich et al.) over UTF-8 bytes; pairs never reach over the blank before a word.

    Args:
        merges: pairs of ids in the order in which they were learned; pair number i makes the id 258 + i.
    """

    def __init__(self, merges: Sequence[tuple[int, int]]) -> None:
        self.merges = tuple((int(a), int(b)) for a, b in merges)
        self._rank = {pair: place for place, pair in enumerate(self.merges)}
        self._bytes: dict[int, bytes] = {_BYTES + byte: bytes([byte]) for byte in range(256)}
        for place, (a, b) in enumerate(self.merges):
            if a not in self._bytes or b not in self._bytes:
                raise DataError(f"byte pair {place}: {a}, {b} are not both known yet", hint="train the run again")
            self._bytes[_BYTES + 256 + place] = self._bytes[a] + self._bytes[b]
        if len(self._rank) != len(self.merges):
            raise DataError("a byte pair stands twice", hint="train the run again")
        self._known: dict[str, list[int]] = {}

    @classmethod
    def from_texts(cls, texts: Iterable[str], symbols: int) -> "BytePairs":
        """Learns pairs, the commonest first (of equal ones the smaller), until there are `symbols` ids or every piece
        is one. A pair that occurs once is not worth an id."""
        counts = Counter(piece for text in texts for piece in _PIECE.findall(text))
        words = {tuple(_BYTES + byte for byte in piece.encode()): count for piece, count in counts.items()}
        merges: list[tuple[int, int]] = []
        while _BYTES + 256 + len(merges) < symbols:
            pairs: Counter[tuple[int, int]] = Counter()
            for word, count in words.items():
                for pair in pairwise(word):
                    pairs[pair] += count
            if not pairs:
                break
            best, times = min(pairs.items(), key=lambda item: (-item[1], item[0]))
            if times < 2:
                break
            new = _BYTES + 256 + len(merges)
            merges.append(best)
            merged: Counter[tuple[int, ...]] = Counter()
            for word, count in words.items():
                merged[tuple(_merge(list(word), best, new))] += count
            words = dict(merged)
        return cls(merges)

    @property
    def size(self) -> int:
        """How many ids there are."""
        return _BYTES + 256 + len(self.merges)

    def encode(self, texts: Sequence[str], length: int) -> Tensor:
        """(B, length) ids, each row ended by END and padded; a longer answer is cut before its END."""
        return _padded([self._ids(text)[: length - 1] for text in texts], length)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of the ids before END; broken UTF-8 becomes the replacement mark."""
        content = b"".join(self._bytes.get(int(one), b"") for one in _until_end(ids))
        return content.decode("utf-8", errors="replace").strip()

    def _ids(self, text: str) -> list[int]:
        if text not in self._known:
            self._known[text] = [one for piece in _PIECE.findall(text) for one in self._piece(piece)]
        return self._known[text]

    def _piece(self, piece: str) -> list[int]:
        ids = [_BYTES + byte for byte in piece.encode()]
        while len(ids) > 1:
            best = min(pairwise(ids), key=lambda pair: self._rank.get(pair, len(self.merges)))
            if best not in self._rank:
                break
            ids = _merge(ids, best, _BYTES + 256 + self._rank[best])
        return ids

    def to_json(self) -> dict[str, Any]:
        """What `vocabulary.json` keeps."""
        return {"kind": "byte pairs", "merges": [list(pair) for pair in self.merges]}


class FolderAnswers:
    """The tokenizer folder of a pre-trained generator (T5's), read from local files only. T5 pads with 0 and ends
    with 1, as we do; a folder that does otherwise is refused."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoTokenizer

        self.folder = Path(folder)
        self.inner = AutoTokenizer.from_pretrained(self.folder, local_files_only=True)
        if (self.inner.pad_token_id, self.inner.eos_token_id) != (PAD, END):
            raise DataError(
                f"{folder}: pads with {self.inner.pad_token_id} and ends with {self.inner.eos_token_id}; "
                f"expected {PAD} and {END}, as T5's tokenizer does",
                hint="name a T5 folder in model.generator.weights",
            )

    @property
    def size(self) -> int:
        """How many ids there are."""
        return len(self.inner)

    def encode(self, texts: Sequence[str], length: int) -> Tensor:
        """As BytePairs.encode."""
        rows = self.inner(list(texts), add_special_tokens=False)["input_ids"]
        return _padded([list(row)[: length - 1] for row in rows], length)

    def decode(self, ids: Sequence[int]) -> str:
        """As BytePairs.decode."""
        return str(self.inner.decode(_until_end(ids), skip_special_tokens=True)).strip()

    def to_json(self) -> dict[str, Any]:
        """What `vocabulary.json` keeps: no path of this machine."""
        return {"kind": "folder", "name": self.folder.name}


AnswerTokenizer = BytePairs | FolderAnswers


@dataclass(frozen=True)
class Writer:
    """Answers into targets and back.

    Args:
        tokenizer: of the generator.
        length: G.
        target: "raw": an answer's own words, lower-case, white space collapsed; "normalized": what the normaliser makes
            of it.
        normalise: the name of that normaliser.
        candidates: the distinct training answers in that form, for the ranking.
    """

    tokenizer: AnswerTokenizer
    length: int
    target: str
    normalise: str
    candidates: tuple[str, ...] = ()

    def spoken(self, answer: str) -> str:
        """The answer as it is learned."""
        return normaliser("lower" if self.target == "raw" else self.normalise)(answer)

    def encode(self, answers: Sequence[str]) -> Tensor:
        """(B, G) ids of the answers as they are learned."""
        return self.tokenizer.encode([self.spoken(answer) for answer in answers], self.length)

    def to_json(self) -> dict[str, Any]:
        """What `vocabulary.json` keeps."""
        return {
            "tokens": self.tokenizer.to_json(),
            "length": self.length,
            "target": self.target,
            "normaliser": self.normalise,
            "candidates": list(self.candidates),
        }


def writer_from_json(content: Mapping[str, Any], folder: Path) -> Writer:
    """The inverse of `to_json`; `folder` is where a run keeps a pre-trained generator's tokenizer.

    Raises DataError or KeyError when the content is of another form.
    """
    candidates, length, target = content["candidates"], content["length"], content["target"]
    if not (isinstance(candidates, list) and all(isinstance(one, str) for one in candidates) and type(length) is int):
        raise DataError("these are no settings of a writer", hint="restore the run's vocabulary.json, or train again")
    tokenizer = _tokenizer_from_json(content["tokens"], folder)
    return Writer(tokenizer, length, str(target), str(content["normaliser"]), tuple(candidates))


def _tokenizer_from_json(content: Mapping[str, Any], folder: Path) -> AnswerTokenizer:
    if content.get("kind") == "folder":
        return FolderAnswers(folder)
    merges = content.get("merges")
    known = content.get("kind") == "byte pairs" and isinstance(merges, list)
    pairs = merges if isinstance(merges, list) else []
    if not known or not all(isinstance(p, list) and len(p) == 2 and all(type(n) is int for n in p) for p in pairs):
        raise DataError(
            "these are no byte pairs: expected {'kind': 'byte pairs', 'merges': [[id, id], ...]}",
            hint="restore the run's vocabulary.json, or train again",
        )
    return BytePairs([(a, b) for a, b in pairs])


def _merge(ids: list[int], pair: tuple[int, int], new: int) -> list[int]:
    merged: list[int] = []
    for one in ids:
        if merged and (merged[-1], one) == pair:
            merged[-1] = new
        else:
            merged.append(one)
    return merged


def _padded(rows: list[list[int]], length: int) -> Tensor:
    return torch.tensor([[*row, END] + [PAD] * (length - 1 - len(row)) for row in rows], dtype=torch.int64)


def _until_end(ids: Sequence[int]) -> list[int]:
    found = [int(one) for one in ids]
    return [one for one in (found[: found.index(END)] if END in found else found) if one != PAD]
