"""Options of readers, as the command line and recipes give them: known ones, of the kind that the reader says."""

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_type_hints

from discern_vqa.errors import ConfigError


def require_fit(
    name: str, read: Callable[..., Any], given: Mapping[str, Any], place: str, hint: str, also: Sequence[str] = ()
) -> None:
    """Raises ConfigError for an option that the reader `read` of the set `name` does not have, or that is of another
    type than it says. `place`: what stands before an option's name in messages; `hint`: how one of another kind is
    written there; `also`: what else can be given there."""
    from pydantic import TypeAdapter, ValidationError

    kinds = get_type_hints(read)
    known = [key for key in list(inspect.signature(read).parameters)[2:] if key != "skipped"]  # that is --skip-broken
    for key, value in given.items():
        if key not in known:
            table = place if place.endswith(": ") else ""  # a recipe's, whose place is no part of the option's name
            others = ", ".join([*known, *also]) or "none"
            raise ConfigError(f"{table}{name} has no option {key!r}", hint=f"it has: {others}")
        try:
            TypeAdapter(kinds[key]).validate_python(value, strict=True)
        except ValidationError as error:
            shown = json.dumps(value, default=str)
            raise ConfigError(f"{place}{key}={shown}: {error.errors()[0]['msg']}", hint=hint) from error
