"""Left and right in words: which texts name a side, and what a sample says once its image is mirrored.

An image may be mirrored only when every word about it stays true. In a text that names a side, that side is replaced by
the other. Where this would be wrong, or where the text cannot be read with certainty, the image is not mirrored: a lost
augmentation costs little, a wrong side in an answer may harm a patient.

Swapped: left and right (leftmost, right-sided, LEFT), L and R alone (not L4, not R/O), Lt and Rt, the lobes and
quadrants RUL, RLL, RUQ, RLQ and their left ones, in Chinese the two characters for left and right; in German, French,
Spanish, Italian, Portuguese and Dutch their words with every ending (`data.side_words`). A text whose language is not
known or is another than these is never changed, and its image is not mirrored.
Refused: words that have a hand without naming it (dextrocardia, situs, the middle lobe, which only the right lung has,
chambers of the heart and coronary arteries, named syndromes, o'clock), left and right in another sense (what is left,
all right), and questions about "which side" whose answer names none.
"""

import re
from dataclasses import replace

from discern_vqa.data import side_words
from discern_vqa.data.languages import language_of
from discern_vqa.data.sample import Sample
from discern_vqa.imaging.image_ref import with_choice

COVERED = ("en", "zh", *side_words.OF)
"""The languages whose words for left and right are known."""
_MARK = "#mirror=yes"
_PAIRS = (("left", "right"), ("lt", "rt"), ("rul", "lul"), ("rll", "lll"), ("ruq", "luq"), ("rlq", "llq"))
_OTHER = {one: other for pair in _PAIRS for one, other in (pair, pair[::-1])} | {"l": "r", "r": "l"}
_CHINESE_LEFT, _CHINESE_RIGHT = "\u5de6", "\u53f3"
_CHINESE = str.maketrans(_CHINESE_LEFT + _CHINESE_RIGHT, _CHINESE_RIGHT + _CHINESE_LEFT)

_WORD = re.compile(
    r"(?<![A-Za-z])(left|right)(?=(?:most|wards?|sided?|s)?(?![A-Za-z]))"
    r"|(?<![A-Za-z0-9])(lt|rt|rul|rll|ruq|rlq|lul|lll|luq|llq)(?![A-Za-z0-9])",
    re.IGNORECASE,
)
_LETTER = re.compile(r"(?<![\w/.'-])[LR](?![\w'/]|\s?[0-9]|-(?!sided))")
_SLASHED = re.compile(r"(?<![\w/])(?:L/R|R/L)(?![\w/])")

_HANDED = re.compile(
    r"dextr|levo|sinist|situs|mirror|flip|laterality|o'?\s?clock"
    r"|(?:left|right)[ -](?:ventric|atri|coronary|bundle|circumflex|anterior descending|middle|handed|to[ -])"
    r"|persistent (?:left|right)|(?:left|right)\b[^.;,?]*\bsyndrome"
    r"|\b(?:RML|LAD|LCX|RCA|LCA|LMCA|LV|RV|LA|RA|LVH|RVH|LVOT|RVOT|LBBB|RBBB|OD|OS)\b",
    re.IGNORECASE,
)
_OTHER_SENSE = re.compile(
    r"\b(?:all|is (?:it|this|that)|am i) right\b|\bright (?:now|away|angles?|answers?|diagnosis|before|after|choice)\b"
    r"|,\s*right\s*\?|\bleft (?:over|behind|out|alone|untreated|unchanged|open)\b"
    r"|\b(?:no \w+|what|anything|nothing|much|many|is|are|was|were|be|been|has|have) left\s*(?:[?.,!]|$)",
    re.IGNORECASE,
)
_UNSURE = re.compile(r"(?<![\w'/.-])[lr](?![\w'/-])|(?<![\w.'-])[LR](?=['/]|-(?!sided)|\s?[0-9])")
_ASKED = re.compile(
    r"\b(?:which|what|one|same|other|opposite|either|this|that) (?:body )?side\b|\b(?:uni|ipsi|contra)lateral"
    "|\u54ea.?[\u4fa7\u8fb9]|[\u4e00\u5355\u540c\u5bf9]\u4fa7",
    re.IGNORECASE,
)


def names_side(text: str) -> bool:
    """True when the text names left or right, in words of any covered language, letters or Chinese."""
    return (
        _names_chinese(text)
        or side_words.named_elsewhere(text, "")
        or any(pattern.search(text) for pattern in (_WORD, _LETTER, _SLASHED))
    )


def asks_side(text: str) -> bool:
    """True when the text asks or speaks of a side without naming it ("which side", "unilateral")."""
    return bool(_ASKED.search(text)) or any(sides.asked.search(text) for sides in side_words.OF.values())


def mirrored_text(text: str, language: str = "en") -> str | None:
    """The text about the mirrored image: the same where it names no side; None where no safe text is known. A side that
    is named in another language than the text's own makes it unsafe."""
    if language not in COVERED or side_words.named_elsewhere(text, language):
        return None
    if language in side_words.OF:
        named_otherwise = any(pattern.search(text) for pattern in (_WORD, _SLASHED)) or _names_chinese(text)
        return None if named_otherwise else side_words.swapped(text, language)
    if _HANDED.search(text) or _OTHER_SENSE.search(text) or _UNSURE.search(_SLASHED.sub("", text)):
        return None
    if _CHINESE_LEFT + _CHINESE_RIGHT in text:  # "left-right" also means "about" and "symmetric"
        return None
    swapped = _WORD.sub(_swap, text.translate(_CHINESE))
    return _LETTER.sub(_swap, _SLASHED.sub(lambda match: match[0][::-1], swapped))


def _names_chinese(text: str) -> bool:
    return _CHINESE_LEFT in text or _CHINESE_RIGHT in text


def _swap(match: re.Match[str]) -> str:
    word = match[0]
    other = _OTHER[word.lower()]
    return other.upper() if word.isupper() else other.capitalize() if word[0].isupper() else other


def mirrored(sample: Sample) -> Sample | None:
    """The sample with its image mirrored and its texts changed; None where the image must not be mirrored, as where the
    language of its texts is not covered or not known (`languages.with_languages` finds it for a whole data set).

    The mirrored image gets a name of its own, `<name>#mirror=yes`. The field `extra` is emptied, since boxes would be
    wrong.
    """
    language = sample.language or language_of(sample.text)
    question, answer, caption = (
        mirrored_text(text, language) for text in (sample.question, sample.answer, sample.caption)
    )
    if question is None or answer is None or caption is None or is_mirrored(sample):
        return None
    texts = f"{sample.question} {sample.answer} {sample.caption}"
    if asks_side(texts) and not names_side(texts):
        return None
    return replace(
        sample,
        image=mirrored_name(sample.image),
        path=with_choice(sample.path, mirror=True),
        mask=mirrored_name(sample.mask) if sample.mask else "",
        question=question,
        answer=answer,
        caption=caption,
        extra={},
    )


def is_mirrored(sample: Sample) -> bool:
    """True for what `mirrored` returned."""
    return sample.image.endswith(_MARK)


def mirrored_name(image: str) -> str:
    """The name of an image's mirrored copy."""
    return image + _MARK


def plain_name(image: str) -> str:
    """The name of the image itself, given its mirrored copy's or its own."""
    return image.removesuffix(_MARK)
