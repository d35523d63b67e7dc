"""What the files of several programs have in common: fields by their usual names, and options as columns or lists."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from discern_vqa.reading.field_names import NAMES, plain
from discern_vqa.reading.offered import without_letters
from discern_vqa.reading.records import number_text


def first_of(values: object) -> Any:
    """The first of a list, None of an empty one; whatever is no list as it is."""
    return (values[0] if values else None) if isinstance(values, list) else values


def named_fields(parts: Iterable[Mapping[str, Any]], fields: Sequence[str]) -> dict[str, Any]:
    """The values of fields that stand in objects under one of their usual names; the first object that has it wins."""
    taken: dict[str, Any] = {}
    for part in parts:
        by_name = {plain(str(name)): value for name, value in part.items() if isinstance(value, str | int | float)}
        for field in fields:
            usual = (plain(field), *NAMES.get(field, ()))
            name = next((name for name in usual if by_name.get(name) not in (None, "")), "")
            if name:
                taken.setdefault(field, by_name[name])
    return taken


def options_of(values: Mapping[str, Any]) -> list[str]:
    """The options of a record: a list or an object under `choices` or `options`, or columns A, B, C, ...; without the
    letters before them, where they have some."""
    listed: object = next((values[key] for key in ("choices", "options") if values.get(key)), None)
    if isinstance(listed, Mapping):
        listed = list(listed.values())
    if not isinstance(listed, list):
        columns = [chr(ord("A") + place) for place in range(10)]
        listed = [values[letter] for letter in columns if values.get(letter) not in (None, "")]
        listed = listed if len(listed) > 1 else []
    texts = [number_text(item) if isinstance(item, int | float) else str(item).strip() for item in listed]
    return without_letters([text for text in texts if text])


def text_of(content: object) -> str:
    """The text of a message: itself, or the parts of a list that are text; other parts (images, reasoning) are left
    out."""
    if isinstance(content, list):
        return "\n".join(
            str(part.get("text", "")) for part in content if isinstance(part, Mapping) and part.get("type") == "text"
        )
    return content if isinstance(content, str) else ""
