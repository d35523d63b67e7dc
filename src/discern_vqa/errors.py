"""The errors that a user can correct, each with a hint.

The message says what was given and what was expected; `hint` says what to type next. The command line prints each on
one line and exits with 2. A traceback means a bug of this package, never a mistake of the user.
"""

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "", cutoff: float = 0.6) -> str:
    """A hint with the nearest of the known names; `otherwise` where none is near."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return f"did you mean {near[0]!r}?" if near else otherwise


class DiscernError(Exception):
    """A mistake that the user can correct; `hint` says how."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ConfigError(DiscernError):
    """A recipe or an option is wrong."""


class DataError(DiscernError):
    """A data set's file is missing, unreadable or breaks its format; the message names file and line or item."""


class ImageError(DataError):
    """An image cannot be opened or must not be (missing, truncated, too large, not an image)."""


class RunError(DiscernError):
    """A run folder is missing, incomplete, or does not fit the command."""
