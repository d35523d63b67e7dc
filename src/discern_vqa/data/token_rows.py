"""Text into rows of token ids, before they are tensors: what `text` and the reader of ONNX graphs share. No torch here.

Every text becomes at most M - 1 ids of M positions: the last slot is always padding, reserved for the answer (CMDPI
Eq. 4 reads index -1). The constant length makes a sample independent of its neighbours.

Of a text that is longer, the middle is left out: a question often stands behind a long history, and a caption says
first what is shown. Runs of before 0.2.0 leave out the end, as they learned it (`cut`).
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Literal, Self

WORD = re.compile(r"[a-z0-9]+(?:[.'/-][a-z0-9]+)*|[^\sa-z0-9]")
PAD, UNKNOWN, BEGIN, END = range(4)

Cut = Literal["middle", "end"]
"""Which part of a text is left out that is longer than the model's text length."""


def plain(text: str) -> str:
    """A text in the form in which equal questions are equal: lower-case, single blanks, no final punctuation."""
    return " ".join(text.lower().split()).rstrip(" ?.!")


class WordRows:
    """Lower-cased words; the vocabulary is that of the training texts and travels with the run."""

    pad = PAD
    used: tuple[int, ...] = ()
    """It is not cut down (see `text.FolderTokenizer`): it holds the words of the training texts alone."""

    def __init__(self, words: Sequence[str], cut: Cut = "middle") -> None:
        self.words, self.cut = tuple(words), cut
        self._ids = {word: index + 4 for index, word in enumerate(self.words)}
        self._ids_of = cache(self._encoded)  # the same questions come again in every epoch

    @classmethod
    def from_texts(cls, texts: Iterable[str], min_count: int = 1) -> Self:
        """Words of the training texts that occur `min_count` times, commonest first."""
        counts = Counter(word for text in texts for word in WORD.findall(text.lower()))
        frequent = [word for word, count in counts.items() if count >= min_count]
        return cls(sorted(frequent, key=lambda word: (-counts[word], word)))

    @property
    def size(self) -> int:
        """V: how many ids there are."""
        return len(self.words) + 4

    def rows(self, texts: Sequence[str], length: int) -> list[list[int]]:
        """`[begin, words..., end]` of each text, cut to length - 1."""
        rows = []
        for text in texts:
            ids = self._ids_of(text)
            gap = left_out(len(ids), length - 3, self.cut)
            rows.append([BEGIN, *ids[: gap.start], *ids[gap.stop :], END])
        return rows

    def unread(self, text: str, length: int) -> str:
        """The part of a text that `rows` leaves out; "" where it fits."""
        words = list(WORD.finditer(text.lower()))
        gap = words[left_out(len(words), length - 3, self.cut)]
        return text[gap[0].start() : gap[-1].end()] if gap else ""

    def count_cut(self, texts: Sequence[str], length: int) -> int:
        """How many of the texts are longer than what `rows` keeps."""
        return sum(len(self._ids_of(text)) > length - 3 for text in texts)

    def _encoded(self, text: str) -> list[int]:
        return [self._ids.get(word, UNKNOWN) for word in WORD.findall(text.lower())]

    def names(self, ids: Sequence[int]) -> list[str]:
        """The words as the model reads them; one that it does not know is `[unknown]`."""
        return ["[unknown]" if id == UNKNOWN else self.words[id - 4] for id in ids]

    def to_json(self) -> dict[str, object]:
        """What `vocabulary.json` holds."""
        return {"kind": "words", "words": list(self.words), "cut": self.cut}


class PieceRows:
    """Ids as somebody else's tokenizer gives them (CLIP's byte pairs, BERT's word pieces); `uncut` and `spelled` ask
    it."""

    pad: int
    cut: Cut

    def uncut(self, texts: Sequence[str]) -> list[tuple[list[int], slice]]:
        """The ids of each text uncut, and which of them are the text's own: the tokenizer adds some before and
        behind."""
        raise NotImplementedError

    def spelled(self, ids: Sequence[int]) -> str:
        """The text of some ids."""
        raise NotImplementedError

    def rows(self, texts: Sequence[str], length: int) -> list[list[int]]:
        """The tokenizer's own ids with its special tokens, cut to length - 1."""
        rows = []
        for ids, inner in self.uncut(texts):
            gap = left_out(inner.stop - inner.start, length - 1 - (len(ids) - inner.stop + inner.start), self.cut)
            rows.append([*ids[: inner.start + gap.start], *ids[inner.start + gap.stop :]])
        return rows

    def unread(self, text: str, length: int) -> str:
        """The part of a text that `rows` leaves out, as the tokenizer spells it; "" where it fits."""
        ((ids, inner),) = self.uncut([text])
        gap = left_out(inner.stop - inner.start, length - 1 - (len(ids) - inner.stop + inner.start), self.cut)
        return self.spelled(ids[inner][gap]).strip()

    def count_cut(self, texts: Sequence[str], length: int) -> int:
        """How many of the texts are longer than what `rows` keeps."""
        return sum(len(ids) > length - 1 for ids, _ in self.uncut(texts))


def own_ids(ids: Sequence[int], is_added: Sequence[int]) -> tuple[list[int], slice]:
    """Ids of a text, and which of them are its own, from 1 for each that the tokenizer has added."""
    before = next((place for place, added in enumerate(is_added) if not added), len(ids))
    behind = next((place for place, added in enumerate(reversed(is_added)) if not added), 0)
    return list(ids), slice(before, len(ids) - behind)


def left_out(count: int, room: int, cut: Cut) -> slice:
    """Which of `count` ids are left out where there is room for fewer: the end, or the middle, so that as much of the
    end as of the beginning is read (of an odd number one more of the end)."""
    if count <= room:
        return slice(count, count)
    head = room if cut == "end" else room // 2
    return slice(head, head + count - room)
