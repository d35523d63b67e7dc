"""Answers as tokens for a model that writes them: byte pairs learned from the training answers, or the tokenizer
folder of a pre-trained generator.

Every answer is its tokens, END, and PAD up to the constant length G. The byte pairs travel with the run as JSON.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, decoders, models, pre_tokenizers, trainers
from tokenizers import Tokenizer as LibraryTokenizer
from torch import Tensor

from discern_vqa.data.answers import normaliser
from discern_vqa.errors import DataError

PAD, END = 0, 1
_FIRST = 2
"""The id of the first byte or pair; the library's own ids start at 0."""


class BytePairs:
    """Byte-pair encoding (Sennrich et al.) over UTF-8 bytes; pairs never reach over the blank before a word. Each byte
    has an id, so that any text can be written."""

    def __init__(self, model: models.BPE) -> None:
        self.inner = LibraryTokenizer(model)
        words = pre_tokenizers.Split(Regex(" ?[^ ]+| +"), "isolated")
        utf8 = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        self.inner.pre_tokenizer = pre_tokenizers.Sequence([words, utf8])
        self.inner.decoder = decoders.ByteLevel()

    @classmethod
    def from_texts(cls, texts: Iterable[str], symbols: int) -> "BytePairs":
        """Learns pairs, the commonest first, until there are `symbols` ids or every piece is one. A pair that occurs
        once is not worth an id."""
        pairs = cls(models.BPE())
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(
            vocab_size=symbols - _FIRST, min_frequency=2, initial_alphabet=alphabet, show_progress=False
        )
        pairs.inner.train_from_iterator(texts, trainer)
        return pairs

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "BytePairs":
        if "vocabulary" not in content:
            return cls(_model_of_version_0_1_0(content["merges"]))
        try:
            return cls(models.BPE(content["vocabulary"], [(left, right) for left, right in content["merges"]]))
        except Exception as error:  # the package raises nothing narrower
            raise ValueError(f"these are no byte pairs: {error}") from error

    @property
    def size(self) -> int:
        """How many ids there are."""
        return _FIRST + self.inner.get_vocab_size()

    def encode(self, texts: Sequence[str], length: int) -> Tensor:
        """(B, length) ids, each row ended by END and padded; a longer answer is cut before its END."""
        return _padded([[_FIRST + id for id in self.inner.encode(text).ids] for text in texts], length)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of the ids before END; broken UTF-8 becomes the replacement mark."""
        return self.inner.decode([id - _FIRST for id in _until_end(ids)]).strip()

    def to_json(self) -> dict[str, Any]:
        """What `vocabulary.json` keeps."""
        model = json.loads(self.inner.to_str())["model"]
        return {"kind": "byte pairs", "vocabulary": model["vocab"], "merges": model["merges"]}


def _model_of_version_0_1_0(merges: Sequence[tuple[int, int]]) -> models.BPE:
    """The pairs that a run of version 0.1.0 keeps: of ids, where 2 + b is the byte b and pair number i made 258 + i."""
    visible = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}  # bytes that the library shows unchanged
    others = iter(range(0x100, 0x200))
    tokens = [chr(byte if byte in visible else next(others)) for byte in range(256)]
    pairs = []
    for left, right in merges:
        pairs.append((tokens[left - _FIRST], tokens[right - _FIRST]))
        tokens.append("".join(pairs[-1]))
    return models.BPE({token: id for id, token in enumerate(tokens)}, pairs)


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
        return _padded(self.inner(list(texts), add_special_tokens=False)["input_ids"], length)

    def decode(self, ids: Sequence[int]) -> str:
        return str(self.inner.decode(_until_end(ids), skip_special_tokens=True)).strip()

    def to_json(self) -> dict[str, Any]:
        """What `vocabulary.json` keeps: no path of this machine."""
        return {"kind": "folder", "name": self.folder.name}


AnswerTokenizer = BytePairs | FolderAnswers


@dataclass(frozen=True)
class Writer:
    """Answers into targets and back."""

    tokenizer: AnswerTokenizer  # of the generator
    length: int  # G
    target: str  # "raw": an answer's own words as the normaliser "lower" has them; "normalized": by `normalise`
    normalise: str  # the name of that normaliser
    candidates: tuple[str, ...] = ()  # the distinct training answers in that form, for the ranking
    spellings: tuple[str, ...] = ()  # of each candidate the most frequent in the training data; empty: a run of 0.1.0

    def encode(self, answers: Sequence[str]) -> Tensor:
        """(B, G) ids of the answers as they are learned."""
        normalise = target_normaliser(self.target, self.normalise)
        return self.tokenizer.encode([normalise(answer) for answer in answers], self.length)

    def spelled(self, text: str) -> str:
        """What people are shown of a written text: its spelling in the training data where it is a training answer."""
        return self._spelling_of.get(text, text)

    def count_cut(self) -> int:
        """How many of the candidates are longer than the G tokens that can be learned and written."""
        rows = self.tokenizer.encode(list(self.candidates), 1 << 12) if self.candidates else torch.zeros(0, 1)
        return int(((rows != PAD).sum(1) > self.length).sum())

    @cached_property
    def _spelling_of(self) -> dict[str, str]:
        return dict(zip(self.candidates, self.spellings, strict=False))

    def to_json(self) -> dict[str, Any]:
        """What `vocabulary.json` keeps."""
        return {
            "tokens": self.tokenizer.to_json(),
            "length": self.length,
            "target": self.target,
            "normaliser": self.normalise,
            "candidates": list(self.candidates),
            "spellings": list(self.spellings),
        }


def target_normaliser(target: str, normalise: str) -> Callable[[str], str]:
    """What makes an answer the text that is learned (see `Writer`)."""
    return normaliser("lower" if target == "raw" else normalise)


def writer_from_json(content: Mapping[str, Any], folder: Path) -> Writer:
    """The inverse of `to_json`; `folder` is where a run keeps a pre-trained generator's tokenizer."""
    tokens = content["tokens"]
    tokenizer = FolderAnswers(folder) if tokens["kind"] == "folder" else BytePairs.from_json(tokens)
    candidates, spellings = tuple(content["candidates"]), tuple(content.get("spellings", ()))
    return Writer(tokenizer, content["length"], content["target"], content["normaliser"], candidates, spellings)


def _padded(rows: Sequence[Sequence[int]], length: int) -> Tensor:
    """Each row cut, ended and padded: (B, length)."""
    cut = [[*row[: length - 1], END] for row in rows]
    return torch.tensor([row + [PAD] * (length - len(row)) for row in cut], dtype=torch.int64)


def _until_end(ids: Sequence[int]) -> list[int]:
    return [int(id) for id in takewhile(lambda id: id != END, ids) if id != PAD]
