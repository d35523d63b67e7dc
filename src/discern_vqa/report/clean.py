"""A report is passed on: of every folder that a text names, only its last part is kept. No torch.

The folders that are known (the run's, the data set's, the user's home) are found whatever is in their names; others by
their look: absolute, two parts or more, without blanks unless they stand in quotes.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_QUOTED = re.compile(r"(?P<quote>[\"'])(?P<path>(?:~|(?:file:/)?/|[A-Za-z]:\\)[^\"'\n]*[/\\][^\"'\n]*)(?P=quote)")
_BARE = re.compile(
    r"(?<![\w.:/~<])(?:~/|(?:file:)?/+)(?:[^\s\"'<>|:,;()/]+/)+[^\s\"'<>|:,;()/]*"  # /home/who/data, ~/data/set
    r"|(?<!\w)[A-Za-z]:\\[^\s\"'<>|:,;()]+"  # C:\data\set
)


def without_paths(content: Any, known: Sequence[Path] = ()) -> Any:
    """The same with every absolute path cut to its last part: in texts, and in what lists and objects hold.

    known: folders that are to be found even where they cannot be told from the words around them.
    """
    if isinstance(content, str):
        for folder in sorted({str(one) for one in known if len(one.parts) > 2}, key=len, reverse=True):
            content = content.replace(folder, f".../{Path(folder).name}")
        content = _QUOTED.sub(lambda found: f"{found['quote']}{_last(found['path'])}{found['quote']}", content)
        return _BARE.sub(lambda found: _last(found[0]), content)
    if isinstance(content, list):
        return [without_paths(one, known) for one in content]
    if isinstance(content, dict):
        return {key: without_paths(one, known) for key, one in content.items()}
    return content


def _last(path: str) -> str:
    return ".../" + re.split(r"[/\\]", path.rstrip("/\\"))[-1]
