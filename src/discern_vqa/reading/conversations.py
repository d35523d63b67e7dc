"""Conversations about one image: turns of LLaVA, ShareGPT, LLaMA-Factory, ms-swift and chat services, taken apart.

{"from": "human", "value": "<image>\\nIs there a mass?"}, {"from": "gpt", "value": "Yes."}
{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Is there a mass?"}]}
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from discern_vqa.reading.reasoning import without_reasoning
from discern_vqa.reading.records import Record, require_record, shown
from discern_vqa.reading.shapes import TURNS

ASKS, ANSWERS, INSTRUCTS = ("human", "user"), ("gpt", "assistant", "model", "bot"), ("system", "developer")
_SPEAKER, _TEXT = ("from", "role", "speaker"), ("value", "content", "text")
_IMAGES = ("image", "images", "image_path", "img")

_PLACE = re.compile(r"<img>.*?</img>|</?\|?(?:image|img)(?:[ _]?(?:[0-9]+|pad|placeholder|token))?\|?>", re.IGNORECASE)
"""Where an image stands in a text: <image>, <|image|>, <image_1>, <img>a.jpg</img>, ..."""


class Exchange(NamedTuple):
    """A question and its answer. reasoning: what a model thought before it answered, which is no part of the answer.
    turns: how many turns in a row the question was put together from."""

    question: str
    answer: str
    reasoning: str = ""
    turns: int = 1


@dataclass(frozen=True)
class Conversation:
    """The questions with their answers, in order. `system` is what stands before them, `description` an answer to a
    turn that held the image alone, and `unanswered` a last question without an answer; "" where there is none."""

    exchanges: tuple[Exchange, ...]
    system: str = ""
    description: str = ""
    unanswered: str = ""


def conversation_of(record: Record) -> Conversation:
    """The conversation of a record. Turns of who asks that follow each other are one question.

    Raises DataError: there are no turns, a turn is empty or of an unknown speaker, an answer has no question, or holds
    nothing but reasoning.
    """
    key = next((key for key in TURNS if key in record.values), TURNS[0])
    entries = record.values.get(key)
    if not isinstance(entries, list) or not entries:
        raise record.unexpected(key, entries, "questions and answers in turn")
    exchanges: list[Exchange] = []
    system, description = [], ""
    question: str | None = None
    asked_by: Record | None = None
    turns = 0
    for place, entry in enumerate(entries, start=1):
        turn = require_record(entry, f"{record.source}, turn {place}")
        speaker = next((str(turn.values[name]) for name in _SPEAKER if name in turn.values), "None").lower()
        if speaker in INSTRUCTS:
            system.append(_text_of(turn)[0])
        elif speaker in ASKS:
            text, asked_by = _text_of(turn)[0], asked_by or turn
            question = text if not question else f"{question} {text}".strip()
            turns += bool(text)
        elif speaker in ANSWERS and question is not None:
            text, key_of_text = _text_of(turn)
            if not text:
                raise turn.broken(f"{key_of_text!r} is empty; expected text")
            answer, reasoning = without_reasoning(text)
            if not answer:
                raise turn.broken(f"{key_of_text!r} holds reasoning and no answer behind it")
            if question:
                exchanges.append(Exchange(question, answer, reasoning, turns))
            else:
                description = description or answer
            question, turns = None, 0
        else:
            raise turn.broken(f"from {shown(speaker)}; expected {ASKS[0] if question is None else ANSWERS[0]}")
    if not exchanges and not description:
        if asked_by is not None and question == "":
            raise asked_by.broken(f"{_text_of(asked_by)[1]!r} is empty; expected text")
        raise record.unexpected(key, entries, "questions and answers in turn")
    return Conversation(tuple(exchanges), " ".join(filter(None, system)), description, question or "")


def images_of(record: Record) -> list[str]:
    """The different images that a record names, beside its turns or within them, as written.

    Raises DataError when an image is neither a text nor an object that has one.
    """
    values = [record.values[key] for key in _IMAGES if record.values.get(key)]
    listed = [entry for value in values for entry in (value if isinstance(value, list) else [value])]
    for key in TURNS:
        entries = record.values.get(key)
        for entry in entries if isinstance(entries, list) and not listed else ():
            content = next((entry.get(name) for name in _TEXT if name in entry), None) if _is_object(entry) else None
            for part in content if isinstance(content, list) else ():
                listed += [name for name in (_name_in(part),) if name] if _is_object(part) else []
    names = [_name_in(entry) if _is_object(entry) else entry for entry in listed]
    for name in names:
        if not isinstance(name, str):
            raise record.unexpected("image", name, "text")
    return list(dict.fromkeys(name for name in names if name.strip()))


def _is_object(value: object) -> bool:
    return isinstance(value, Mapping)


def _name_in(part: Mapping[str, Any]) -> Any:
    """The name of a file in an object: {"image": "a.jpg"}, {"path": ...}, {"image_url": {"url": ...}}."""
    for key in ("image", "image_url", "path", "url", "file_name"):
        if value := part.get(key):
            return _name_in(value) if isinstance(value, Mapping) else value
    return ""


def _text_of(turn: Record) -> tuple[str, str]:
    """(the text of a turn without the places of images, white space collapsed; the key it stands under)."""
    key = next((key for key in _TEXT if key in turn.values), _TEXT[0])
    content = turn.values.get(key)
    if isinstance(content, list):
        texts = [part if isinstance(part, str) else part.get("text", "") for part in content if _is_part(part)]
        content = " ".join(text for text in texts if isinstance(text, str))
    if isinstance(content, str):
        return " ".join(_PLACE.sub(" ", content).split()), key
    return replace(turn, values={key: content} if key in turn.values else {}).text(key), key


def _is_part(part: object) -> bool:
    return isinstance(part, str | Mapping)
