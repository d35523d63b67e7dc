"""The answer taken out of what a model wrote: "<think>...</think><answer>Yes</answer>" is "Yes". No torch here.

The rules, in their order; docs/score.md has examples. None of them looks at whether the answer is right: of the true
answer they use only its kind (yes or no, a letter).

    reasoning   what stands in <think> (<thinking>, <reasoning>) is left out; where it never ends there is no answer
    answer tag  what stands in the last <answer> ... </answer>
    box         what stands in the last \\boxed{...}
    phrase      what follows the last "Answer:" or "the answer is", up to the end of the line or of the sentence
    option      where options are offered: a letter before the text or alone, an option's own text, or the only option
                that occurs; the true answer may be a letter, too
    yes or no   of a question that is closed or answered by yes or no: a yes or no with which the answer begins. "No
                acute finding" does not count: it may well mean yes

What no rule touches is compared as it was written.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from discern_vqa.data.normalisers import NORMALISERS, SAFE
from discern_vqa.data.sample import CLOSED
from discern_vqa.reading.spellings import is_yes_or_no
from discern_vqa.scoring.predictions import Prediction

RULES = ("reasoning", "answer tag", "box", "phrase", "option", "yes or no")

_REASONING = re.compile(r"<(think|thinking|thought|reasoning)>.*?</\1>", re.DOTALL | re.IGNORECASE)
_ENDED = re.compile(r"^.*</(?:think|thinking|thought|reasoning)>", re.DOTALL | re.IGNORECASE)
_ENDLESS = re.compile(r"<(?:think|thinking|thought|reasoning)>(?:(?!<answer>).)*", re.DOTALL | re.IGNORECASE)
_TAG = re.compile(r"<answer>(.*?)(?:</answer>|\Z)", re.DOTALL | re.IGNORECASE)
_BOX, _BOX_STYLE = "\\boxed{", re.compile(r"\\(?:text|textbf|mathrm|mathbf|texttt)\{([^{}]*)\}")
_PHRASE = re.compile(
    r"\banswer[*_ ]*(?:\bis\b)?[*_ ]*[:\uff1a][*_ ]*|\banswer[*_ ]+is\b[*_ ]*|\u7b54\u6848(?:\u662f)?[:\uff1a]?",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"(?<=\w)[.;](?=\s)")
_MARKS = " \t\n*_`\"'\u201c\u201d$"
_LETTER = re.compile(
    r"(?:option|choice)?\s*\(?([A-Za-z])(?:\s*[.):,\]]|\s+[-\u2013\u2014]\s|\s*$|\s*\n)", re.IGNORECASE
)
_LETTER_AND_TEXT = re.compile(r"([A-Z])\s+(\S.*)", re.DOTALL)
_FIRST_WORD = re.compile(r"[\W_]*([^\W\d_]+)(.*)", re.DOTALL)
_CLAUSE = re.compile(
    r"(?:there|it|its|they|this|that|these|those|the|he|she|i|we|not|because|since|as)\b", re.IGNORECASE
)
"""Words that begin a sentence of its own behind "no": "No there is none", but not "No mass"."""


_MANY = 0.1


@dataclass(frozen=True)
class Extraction:
    """Predictions with the answers that were taken out; the true answer of a choice is the option's text."""

    rows: list[Prediction]
    counts: dict[str, int]  # rule -> answers that it changed; "touched": that any of them changed; "empty": none left

    @property
    def touched(self) -> int:
        """How many answers are not compared as they were written."""
        return self.counts["touched"]


def extract(rows: Sequence[Prediction]) -> Extraction:
    """Takes the answer out of every row; the rows keep their order and all their other fields."""
    counts: Counter[str] = Counter()
    taken = []
    for row in rows:
        answer, rules = _answer(row)
        counts.update(rules)
        counts["touched"] += bool(rules)
        counts["empty"] += not answer.strip()
        truths = [_offered(true, row.options) for true in row.truths]
        taken.append(replace(row, prediction=answer, gold=truths[0], accepted=tuple(truths[1:])))
    return Extraction(taken, {rule: counts[rule] for rule in (*RULES, "touched", "empty")})


def is_free_text(rows: Sequence[Prediction], extraction: Extraction) -> bool:
    """Whether the answers are a language model's: some have to be taken out of a text, they are much longer than the
    true ones, or one in ten holds the true answer within more words. A model that chooses from a list (its rows have
    alternatives) never writes."""
    if any(row.alternatives for row in rows):
        return False
    words = sum(len(row.prediction.split()) for row in rows)
    wanted = sum(len(row.gold.split()) for row in rows)
    longer = sum(
        len(row.prediction.split()) > len(row.gold.split()) and _occurs(row.gold, row.prediction) for row in rows
    )
    return extraction.touched > 0 or words > 2 * wanted + len(rows) or longer >= _MANY * len(rows)


def in_words(counts: dict[str, int], n: int) -> str:
    """One line: how many answers were taken out of a text, and by which rules."""
    used = ", ".join(f"{rule} {counts[rule]:,}" for rule in RULES if counts[rule])
    text = f"taken out of a text: {counts['touched']:,} of {n:,} answers" + (f" ({used})" if used else "")
    return text + (f"; {counts['empty']:,} are empty" if counts["empty"] else "")


def boxed(text: str) -> str | None:
    """What stands in the last \\boxed{...}, white space trimmed; None where there is none or it does not end."""
    start = text.rfind(_BOX)
    if start < 0:
        return None
    inside, depth = text[start + len(_BOX) :], 0
    for place, sign in enumerate(inside):
        depth += (sign == "{") - (sign == "}")
        if depth < 0:
            return inside[:place].strip()
    return None


def _answer(row: Prediction) -> tuple[str, list[str]]:
    """The answer in a row's text, and the rules that were used."""
    text, rules = row.prediction, []
    for rule, shorten in (("reasoning", _without_reasoning), ("answer tag", _tagged), ("box", _box), ("phrase", _said)):
        shorter = shorten(text)
        if shorter is not None:
            text = shorter
            rules.append(rule)
    text = text.strip(_MARKS) or text.strip()
    if row.options:
        chosen = _choice(text, row.options)
        if chosen is not None:
            return chosen, rules if chosen == text else [*rules, "option"]
    elif _is_letter(row.gold):
        letter = _LETTER.match(text)
        if letter and letter[1] != text:
            return letter[1].upper(), [*rules, "option"]
    if row.answer_type == CLOSED or is_yes_or_no(row.gold):
        word = _yes_or_no(text)
        if word and word != text.strip(" .!"):  # "No." is no sentence
            return word, [*rules, "yes or no"]
    return text, rules


def _without_reasoning(text: str) -> str | None:
    shorter = _ENDLESS.sub("", _ENDED.sub("", _REASONING.sub("", text)))
    return shorter.strip() if shorter != text else None


def _tagged(text: str) -> str | None:
    tagged = [inside.strip() for inside in _TAG.findall(text)]
    return next((inside for inside in reversed(tagged) if inside), "") if tagged else None


def _box(text: str) -> str | None:
    inside = boxed(text)
    return None if inside is None else _BOX_STYLE.sub(r"\1", inside).strip()


def _said(text: str) -> str | None:
    phrases = list(_PHRASE.finditer(text))
    behind = text[phrases[-1].end() :].strip() if phrases else ""
    if not behind:
        return None
    return _SENTENCE_END.split(behind.split("\n")[0].strip(), maxsplit=1)[0].strip()


def _yes_or_no(text: str) -> str:
    """The yes or no with which a text begins, as it is written there; "" where that cannot be told."""
    first = _FIRST_WORD.match(text)
    if not first or not is_yes_or_no(first[1]):
        return ""
    word, rest = first[1], first[2]
    if re.match(r"\s*(?:and|or|/|,)\s*(?:yes|no)\b", rest, re.IGNORECASE):
        return ""
    if not rest.strip(_MARKS) or re.match(r"[*_\"']*(?:[.,;:!)]|\s+[-\u2013\u2014(]|\s*\n|\u3002|\uff0c)", rest):
        return word
    begins = rest[:1].isspace() and (word.lower() == "yes" or (word.lower() == "no" and _CLAUSE.match(rest.strip())))
    return word if begins else ""


def _is_letter(gold: str) -> bool:
    return bool(re.fullmatch(r"\s*[A-J]\s*", gold))


def _choice(text: str, options: Sequence[str]) -> str | None:
    """The option that a text chooses; None where that cannot be told."""
    plain = NORMALISERS[SAFE]
    same = [option for option in options if plain(option) == plain(text)]
    if same:
        return same[0]
    letter = _LETTER.match(text)
    if letter and (option := _at(letter[1], options)) is not None:
        return option
    both = _LETTER_AND_TEXT.match(text)
    if both and (option := _at(both[1], options)) is not None and plain(both[2]) == plain(option):
        return option
    occurring = [option for option in options if _occurs(option, text)]
    longest = [one for one in occurring if not any(one != other and _occurs(one, other) for other in occurring)]
    return longest[0] if len(longest) == 1 else None


def _offered(true: str, options: Sequence[str]) -> str:
    """A true answer that is the letter of an option, as that option's text."""
    is_text = any(NORMALISERS[SAFE](option) == NORMALISERS[SAFE](true) for option in options)
    letter = re.fullmatch(r"\s*\(?([A-Za-z])[.):]?\s*", true)
    option = _at(letter[1], options) if letter and not is_text else None
    return true if option is None else option


def _at(letter: str, options: Sequence[str]) -> str | None:
    place = ord(letter.upper()) - ord("A")
    return options[place] if 0 <= place < len(options) else None


def _occurs(part: str, text: str) -> bool:
    """Whether words occur in a text, as whole words and without regard to case."""
    return bool(re.search(rf"(?<!\w){re.escape(part.strip())}(?!\w)", text, re.IGNORECASE))
