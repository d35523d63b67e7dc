"""The answer in what a model wrote: it is told to be short, and often is not. No torch here.

The first rule that fits decides:

    thoughts         what stands in <think>...</think>, and before a lone </think>, is left out
    a mark           the content of the last <answer>...</answer>, or of the last \\boxed{...}
    a line           what stands behind the last "Answer:" or "Final answer:" at the start of a line
    a letter         "B", "(B)", "B. effusion", where the question offers answers: the answer of that letter
    yes or no        a text that begins with yes or no, followed by a comma, a full stop or the end
    as it stands     else the first line, without quotes, emphasis and a full stop at its end

What a model wrote is kept as it came (`asking.replies`), so that any other rule can be applied afterwards.
"""

import re
import string
from collections.abc import Sequence

from discern_vqa.asking.wording import without_confidence

_TAGGED = re.compile(r"<answer>(.*?)(?:</answer>|\Z)", re.DOTALL | re.IGNORECASE)
_BOXED = re.compile(r"\\boxed\{((?:[^{}]|\{[^{}]*\})*)\}")
_TEXT = re.compile(r"\A\\text\{(.*)\}\Z", re.DOTALL)
_LINE = re.compile(r"^[ \t>*_#-]*(?:final |the )?answer[ \t*_]*(?::|is[: \t])[ \t*_]*(\S[^\n]*)$", re.I | re.M)
_LETTER = re.compile(r"\A\(?([A-Z])(?:[).:]|\)?\Z)")
_YES_NO = re.compile(r"\A(yes|no)(?=\s*(?:[,.;:!\u2013\u2014]|-\s|\(|\Z|\n))", re.IGNORECASE)
_AROUND = " \t\r\n\"'`*_\u201c\u201d\u2018\u2019"


def extracted(text: str, choices: Sequence[str] = ()) -> str:
    """The answer; "" of an empty text. choices: the answers that the question offers, in the order of their letters."""
    text = without_confidence(text)
    for pattern in (_TAGGED, _BOXED, _LINE):
        if found := pattern.findall(text):
            text = found[-1]
            break
    text = text.strip(_AROUND)
    if inner := _TEXT.match(text):
        text = inner[1].strip(_AROUND)
    if choices and (letter := _LETTER.match(text)):
        place = string.ascii_uppercase.index(letter[1])
        if place < len(choices):
            return choices[place]
    if said := _YES_NO.match(text):
        return said[1]
    first = text.partition("\n")[0].strip(_AROUND)
    return first.rstrip(".").rstrip(_AROUND) if not first.endswith("...") else first
