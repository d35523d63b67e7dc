"""Languages: which is told and which is not, sides in eight of them, and what a tokenizer cannot read."""

from dataclasses import replace
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from discern_vqa.data.languages import OTHER, language_of, with_languages
from discern_vqa.data.laterality import mirrored, mirrored_text, names_side
from discern_vqa.data.pieces import ENGLISH, hardly_read, pieces_of, warning
from discern_vqa.data.sample import Sample

SAMPLE = Sample(id="1", split="train", image="a.png", path=Path("a.png"), question="Is there a mass?", answer="no")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Is there a mass?", "en"), ("Ist eine Raumforderung sichtbar?", "de"), ("Quelle est l\u2019anomalie ?", "fr"),
        ("\u00bfHay una masa?", "es"), ("C'\u00e8 una massa?", "it"), ("H\u00e1 uma massa?", "pt"),
        ("Is er een massa zichtbaar?", "nl"), ("\u6709\u80bf\u5757\u5417\uff1f", "zh"),
        ("Er der en tumor i h\u00f8jre lunge?", OTHER), ("Czy widoczna jest odma?", OTHER),
        ("\u0415\u0441\u0442\u044c \u043b\u0438 \u043c\u0430\u0441\u0441\u0430?", OTHER),
        ("\u816b\u760d\u306f\u3042\u308a\u307e\u3059\u304b\uff1f", OTHER), ("Modality?", ""), ("Prawa strona?", ""),
    ],
)  # fmt: skip
def test_a_language_is_told_by_its_words_or_not_at_all(text, code):
    assert language_of(text) == code


def test_a_short_text_has_the_language_of_its_set_only_where_that_has_one():
    english = [replace(SAMPLE, id=str(n)) for n in range(9)] + [replace(SAMPLE, question="Left lung?")]
    assert {sample.language for sample in with_languages(english)} == {"en"}
    mixed = [*english, *(replace(SAMPLE, question="Wo ist die L\u00e4sion?") for _ in range(3))]
    assert [sample.language for sample in with_languages(mixed)][9:] == ["", "de", "de", "de"]
    assert with_languages([replace(SAMPLE, language="fr")])[0].language == "fr"


@pytest.mark.parametrize(
    ("code", "text", "other"),
    [
        ("de", "Ist die rechte Lunge \u00fcberbl\u00e4ht?", "Ist die linke Lunge \u00fcberbl\u00e4ht?"),
        ("de", "Linksseitiger Erguss, im RECHTEN Lappen", "Rechtsseitiger Erguss, im LINKEN Lappen"),
        ("de", "Rechts", "Links"),
        ("de", "Ist der Tumor recht gro\u00df?", None),
        ("de", "Linksherzinsuffizienz", None),
        ("de", "li. Niere", None),
        ("de", "right lung", None),
        ("de", "Ist ein Tumor zu sehen?", "Ist ein Tumor zu sehen?"),
        ("fr", "poumon droit", "poumon gauche"),
        ("fr", "Poumon gauche", "Poumon droit"),
        ("fr", "main gauche", "main droite"),
        ("fr", "\u00e0 gauche", "\u00e0 droite"),
        ("fr", "lobe sup\u00e9rieur gauche", "lobe sup\u00e9rieur droit"),
        ("fr", "gauche", None),
        ("es", "costillas derechas", "costillas izquierdas"),
        ("es", "Pulm\u00f3n izquierdo", "Pulm\u00f3n derecho"),
        ("es", "ventr\u00edculo izquierdo", None),
        ("it", "a sinistra", "a destra"),
        ("it", "polmone destro", "polmone sinistro"),
        ("pt", "pulm\u00e3o esquerdo", "pulm\u00e3o direito"),
        ("nl", "linkerlong", "rechterlong"),
        ("nl", "rechts onder", "links onder"),
        ("en", "rechts", None),
        ("pl", "prawa strona", None),
        ("", "left lung", None),
    ],
)
def test_sides_change_in_their_language_or_the_text_is_refused(code, text, other):
    assert mirrored_text(text, code) == other
    if other and other != text:
        assert mirrored_text(other, code) == text
        assert names_side(text)


def test_an_image_is_not_mirrored_where_the_language_is_not_known_or_not_covered():
    assert mirrored(SAMPLE) is not None
    assert mirrored(replace(SAMPLE, question="Prawa strona?", answer="tak")) is None
    assert mirrored(replace(SAMPLE, question="Er der en tumor i h\u00f8jre lunge?", answer="ja")) is None
    assert mirrored(replace(SAMPLE, question="Ist der Tumor rechts?", answer="ja")).question == "Ist der Tumor links?"
    assert mirrored(replace(SAMPLE, question="Which lung is it?", answer="rechts")) is None
    assert mirrored(replace(SAMPLE, question="Auf welcher Seite ist er?", answer="ja")) is None


def english_tokenizer() -> Tokenizer:
    """Words of `ENGLISH` whole, all else as single letters: what pieces of an English vocabulary do at worst."""
    pre = pre_tokenizers.Whitespace()
    words = sorted({word for text in ENGLISH for word, _ in pre.pre_tokenize_str(text)})
    letters = sorted({letter for word in words for letter in word})
    vocabulary = {word: n for n, word in enumerate(["[UNK]", *words, *(x for x in letters if x not in words)])}
    vocabulary |= {f"##{letter}": len(vocabulary) + n for n, letter in enumerate(letters)}
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=50))
    made.pre_tokenizer = pre
    return made


def test_what_a_tokenizer_cannot_read_is_measured_beside_english():
    made = english_tokenizer()
    assert pieces_of(made, list(ENGLISH)).share == 0
    german = ["Welche Raumforderung ist hier erkennbar?", "\u4ed6"]
    found = pieces_of(made, german)
    assert found.share > 0.9
    assert "can hardly read the questions" in warning(made, german, "the questions")
    assert warning(made, list(ENGLISH), "the questions") == ""


def test_each_language_of_a_set_is_told_by_itself():
    texts = [*ENGLISH, "Wo ist die Stelle im Bild?"]
    rows = [replace(SAMPLE, question=text) for text in texts]
    told = hardly_read(english_tokenizer(), rows)
    assert len(told) == 1
    assert "the texts in 'de'" in told[0]
    assert "Nothing is translated" in told[0]
