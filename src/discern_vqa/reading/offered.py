"""The answers that a multiple-choice question offers, and which of them is the true one."""

import re
from collections.abc import Mapping, Sequence

from discern_vqa.reading.records import Record

_PREFIX = re.compile(r"\s*\(?([A-Z])[).:]\s*(\S.*)", re.DOTALL)


def without_letters(options: Sequence[str]) -> list[str]:
    """Options without "A. ", "B. ", ... before them, where all of them have it."""
    matches = [_PREFIX.fullmatch(option) for option in options]
    in_order = all(match and match[1] == letter(place) for place, match in enumerate(matches))
    return [match[2].strip() for match in matches if match] if in_order else list(options)


def letter(place: int) -> str:
    """A for the first place, B for the second, ..."""
    return chr(ord("A") + place)


def listed_options(record: Record, key: str) -> tuple[str, ...]:
    """The offered answers under `key`, a list of texts or an object letter -> text, without the letters before them.

    Raises DataError: it is no list of two or more texts, or two of them are the same.
    """
    values = record.values.get(key)
    values = list(values.values()) if isinstance(values, Mapping) else values
    if not isinstance(values, list) or not all(isinstance(text, str) and text.strip() for text in values):
        raise record.unexpected(key, values, "a list of texts")
    return _different(record, key, without_letters([" ".join(text.split()) for text in values]))


def options_in_columns(record: Record, keys: Sequence[str]) -> tuple[str, ...]:
    """The offered answers that stand under one key each, in the order of the keys; what is absent, null or empty is no
    option.

    Raises DataError: there are fewer than two, or two of them are the same.
    """
    texts = [record.text(key) for key in keys if record.values.get(key) not in (None, "")]
    return _different(record, keys[0], without_letters(texts))


def true_option(record: Record, key: str, options: Sequence[str]) -> str:
    """The option that the answer under `key` names: by its text (upper and lower case, white space and a full stop at
    the end make no difference), by its letter, or by both ("B. Pneumonia").

    Raises DataError: it names none of them.
    """
    written = record.text(key)
    texts = [_plain(option) for option in options]
    if _plain(written) in texts:
        return options[texts.index(_plain(written))]
    named = re.fullmatch(r"\(?([A-Za-z])[).:]?(?:\s+(.*))?", written)
    place = ord(named[1].upper()) - ord("A") if named else -1
    if named and place in range(len(options)) and _plain(named[2] or "") in ("", texts[place]):
        return options[place]
    offered = "; ".join(f"{letter(place)}. {option}" for place, option in enumerate(options))
    raise record.unexpected(key, written, f"the text or the letter of an option ({offered})")


def _plain(text: str) -> str:
    return " ".join(text.lower().split()).rstrip(" .")


def _different(record: Record, key: str, options: Sequence[str]) -> tuple[str, ...]:
    if len(options) < 2:
        raise record.broken(f"{key!r}: the question offers {len(options)} answer; expected two or more")
    again = next((option for place, option in enumerate(options) if option in options[:place]), "")
    if again:
        raise record.broken(f"{key!r}: the answer {again!r} is offered twice; expected different ones")
    return tuple(options)
