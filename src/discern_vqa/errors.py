"""What a user can put right: every error of the package, each with a hint.

`message` says what was given and what was expected; `hint` says what to type next. The command line prints the two
on one line each and exits with 2; a traceback means a bug of ours, never a mistake of the user's.
"""


class DiscernError(Exception):
    """Something the user can fix. `hint` says how."""

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
    """A run folder is missing, half written, or does not fit what it is asked."""
