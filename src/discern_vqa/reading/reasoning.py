"""Answers of reasoning models: what they thought stands before the answer, in tags, and is no part of it.

<think>The left lung is dark.</think> Yes.      answer "Yes.", thought "The left lung is dark."
The left lung is dark.</think> Yes.             the same: some programs leave the first tag out
<think>The left lung                            no answer: it was cut off
"""

import re

_OPENED, _CLOSED = (re.compile(rf"<{sign}(?:think|thinking|thought|reasoning)>", re.IGNORECASE) for sign in ("", "/"))


def without_reasoning(text: str) -> tuple[str, str]:
    """(the answer, what was thought before it). Without a tag the text is the answer, and the thought is ""."""
    opened, closed = _OPENED.search(text), list(_CLOSED.finditer(text))
    if closed:
        before, answer = text[: closed[-1].start()], text[closed[-1].end() :]
        if opened is not None and opened.start() < closed[-1].start():
            before, answer = before[opened.end() :], text[: opened.start()] + answer
    elif opened is not None:
        before, answer = text[opened.end() :], text[: opened.start()]
    else:
        return text, ""
    return " ".join(answer.split()), " ".join(before.split())
