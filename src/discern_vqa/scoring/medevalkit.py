"""MedEvalKit's judges without a language model (alibaba-damo-academy/MedEvalKit, utils/utils.py and the data sets' own
files): what they take out of an answer, and what counts as right. No torch here.

Rewritten from their behaviour, oddities included, since figures are only comparable where these are the same:

- an answer that holds the letters "boxed" without a whole \\boxed{...} is the text "None", which is wrong;
- the phrases below are cut at in this order, each at its last place, so "final answer" comes too late to matter;
- a blank behind "answer:" stays, so that an open answer behind it is wrong, while closed ones are only searched;
- full stops are taken out of closed answers and not of open ones.

An empty answer, at which the program stops, is wrong.
"""

import re
from difflib import SequenceMatcher

from discern_vqa.scoring.extraction import boxed
from discern_vqa.scoring.predictions import Prediction

_PHRASES = (
    "**answer**:", "**answer**", "*answer*:", "**answer:**", "answer is", "answer:", "\u7b54\u6848:", "final answer",
    "final answer is",
)  # fmt: skip
_TAG = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)


def judge(row: Prediction, true: str) -> float:
    """VQA-RAD and PathVQA: closed is what yes or no answers; there just one of the letters "yes" and "no" occurs, and
    it is the true one. Open: exact."""
    wanted, given = true.lower().strip(), _unwrapped(row.prediction).lower().strip()
    return float(_is_judged_right(wanted, given) if wanted in ("yes", "no") else _parsed(given) == wanted)


def judge_slake(row: Prediction, true: str) -> float:
    """SLAKE: open and closed as the data set says. A closed answer is searched only where the true one is "yes" or
    "no" in small letters (SLAKE has "Yes" and "No"), else it is exact but for full stops."""
    given = _unwrapped(row.prediction)
    if row.answer_type == "open":
        return float(_parsed(given) == true.lower())
    if true in ("yes", "no"):
        return float(_is_judged_right(true, given))
    return float(_plain(_parsed(given)) == true.lower())


def judge_choice(row: Prediction, true: str) -> float:
    """Multiple choice: the letter, the option's text, or else the option that is most like the answer."""
    letters = [chr(ord("a") + place) for place in range(len(row.options))]
    options, wanted = [option.lower() for option in row.options], true.strip().lower()
    text = row.prediction.lower()
    blocks = text.split("\n\n")
    if blocks[0] in letters:
        text = blocks[0]
    elif blocks[-1].split(".")[0] in letters:
        text = blocks[-1].split(".")[0]
    text = _parsed(text).strip().lower().replace("\n", "")
    short = text.split(".")[0].split(":")[-1]
    if short == wanted:
        return 1.0
    if short in letters:
        return float(options[letters.index(short)] == wanted)
    if short in options:
        return float(wanted in letters and options[letters.index(wanted)] == short)
    ratios = [SequenceMatcher(None, option, text).ratio() for option in options]
    nearest = ratios.index(max(ratios))
    return float(wanted in (letters[nearest], options[nearest]))


def is_yes_or_no(row: Prediction) -> bool:
    """What counts as closed on VQA-RAD and PathVQA."""
    return row.gold.lower().strip() in ("yes", "no")


def _unwrapped(text: str) -> str:
    """What the data sets' own files take out before they judge."""
    inside = boxed(text)
    if inside is not None and inside != "None":
        return inside
    return _tagged(text) if "<answer>" in text else text


def _parsed(text: str) -> str:
    text = text.lower()
    if "boxed" in text:
        inside = boxed(text)
        text = "None" if inside is None else inside
    elif "<answer>" in text:
        text = _tagged(text)
    for phrase in _PHRASES:
        text = text.split(phrase)[-1]
    return text


def _tagged(text: str) -> str:
    """What stands between the tags, of several one after the other; the whole text where there is nothing."""
    return " ".join(_TAG.findall(text)).strip() or text


def _plain(text: str) -> str:
    return text.replace("\n", "").replace(".", "")


def _is_judged_right(true: str, given: str) -> bool:
    text = _plain(_parsed(given))
    return ("yes" in text) != ("no" in text) and true in text
