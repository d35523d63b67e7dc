"""A tokenizer.json, read by the library `tokenizers`: without torch, and without `transformers`, whose import takes
longer than answering a question."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from discern_vqa.errors import RunError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FILE, SETTINGS = "tokenizer.json", "tokenizer_config.json"


class PieceFile:
    """Ids of texts, and texts of ids."""

    def __init__(self, library: "Tokenizer") -> None:
        self.library = library
        library.no_padding()
        library.no_truncation()

    @classmethod
    def read(cls, file: Path, hint: str) -> "PieceFile":
        """Raises RunError with this hint: the file is missing or damaged."""
        from tokenizers import Tokenizer

        try:
            return cls(Tokenizer.from_file(str(file)))
        except Exception as error:  # the library has no error of its own
            raise RunError(f"{file} is missing or damaged: {error}", hint=hint) from error

    @classmethod
    def copied(cls, library: "Tokenizer") -> "PieceFile":
        """Of a tokenizer whose owner may tell it to cut and pad."""
        return cls(type(library).from_str(library.to_str()))

    @property
    def size(self) -> int:
        """How many ids there are."""
        return self.library.get_vocab_size()

    def encoded(self, texts: Sequence[str]) -> list[tuple[list[int], list[int]]]:
        """Of each text its ids uncut, and 1 for each of them that the tokenizer has added."""
        return [(text.ids, text.special_tokens_mask) for text in self.library.encode_batch(list(texts))]

    def decoded(self, ids: Sequence[int]) -> str:
        """The text of some ids, with those that the tokenizer adds."""
        text = str(self.library.decode(list(ids), skip_special_tokens=False))
        return text.replace("</w>", " ")  # where words end, to byte pairs such as CLIP's

    def special(self) -> set[int]:
        """The ids of tokens that are no text."""
        return {id for id, token in self.library.get_added_tokens_decoder().items() if token.special}

    def id_of(self, token: str | None) -> int | None:
        return None if token is None else self.library.token_to_id(token)

    def save(self, file: Path) -> None:
        self.library.save(str(file))


def kept(folder: Path) -> tuple[PieceFile, dict[str, object]] | None:
    """The tokenizer of a folder and its settings, where `transformers` has written both from the tokenizer it used: of
    another folder it may change what tokenizer.json says. Raises RunError: a damaged file."""
    settings = folder / SETTINGS
    if not settings.is_file() or not (folder / FILE).is_file():
        return None
    try:
        told = json.loads(settings.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(told, dict) or told.get("backend") != "tokenizers":
        return None
    return PieceFile.read(folder / FILE, "restore the folder, or train again"), told
