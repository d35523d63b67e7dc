"""Answers: what each normaliser keeps and merges, what a vocabulary promises, and the published counts."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from discern_vqa.data.answers import NORMALISERS, Answer, AnswerVocabulary, normaliser
from discern_vqa.errors import ConfigError, DataError

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # machines may be busy

AWKWARD = st.text(alphabet="aAthe onxry-/.,;?!'\"()5<>_\t\n1023dsmİΣ", max_size=24) | st.text(max_size=24)


@pytest.mark.parametrize("name", NORMALISERS)
@unhurried
@given(answer=AWKWARD)
def test_normalising_twice_is_normalising_once(name, answer):
    once = normaliser(name)(answer)
    assert normaliser(name)(once) == once


@pytest.mark.parametrize("name", NORMALISERS)
@unhurried
@given(answer=AWKWARD)
def test_no_answer_is_normalised_away(name, answer):
    assert bool(normaliser(name)(answer)) == bool(answer.strip() if name != "none" else answer)


@pytest.mark.parametrize(
    ("given_answer", "m3ae"),
    [
        ("Yes", "yes"),
        ("  The  Left\tlung. ", "left lung"),
        ("5.1 cm", "5.1 cm"),
        ("51 cm", "51 cm"),
        ("two", "2"),
        ("None", "0"),
        ("1,000", "1000"),
        ("x-ray", "x ray"),
        ("CT/MRI", "ct mri"),
        ("MR - FLAIR", "mr flair"),
        ("ring-enhancing", "ring enhancing"),
        ("Air?", "air"),
        ("dont know", "don't know"),
        ("ill-defined", "ill defined"),
        ("A", "a"),
    ],
)
def test_m3ae_follows_the_published_rule(given_answer, m3ae):
    assert normaliser("m3ae")(given_answer) == m3ae


def test_mevf_makes_one_word_of_every_x_ray_and_m3ae_does_not():
    spellings = ["x-ray", "X ray", "xray"]
    assert {normaliser("mevf")(spelling) for spelling in spellings} == {"xray"}
    assert len({normaliser("m3ae")(spelling) for spelling in spellings}) == 2
    assert normaliser("mevf")("Chest X-rays") == "chest xrays"


@pytest.mark.parametrize("name", NORMALISERS)
def test_a_decimal_point_is_kept(name):
    assert normaliser(name)("5.1 cm") != normaliser(name)("51 cm")


def test_an_unknown_normaliser_is_refused_with_a_suggestion():
    with pytest.raises(ConfigError, match="no answer normaliser 'm3a'") as caught:
        normaliser("m3a")
    assert caught.value.hint == "did you mean 'm3ae'?"
    with pytest.raises(ConfigError):
        AnswerVocabulary.from_answers(["yes"], "quite-another")


def test_a_vocabulary_is_sorted_by_frequency_and_then_alphabet_whatever_the_order():
    answers = ["No", "yes", "liver", "no", "Yes.", "brain"]
    vocabulary = AnswerVocabulary.from_answers(answers, "m3ae")
    assert vocabulary.answers == ("no", "yes", "brain", "liver")
    assert AnswerVocabulary.from_answers(reversed(answers), "m3ae") == vocabulary
    assert AnswerVocabulary.from_answers(answers, "m3ae", min_count=2).answers == ("no", "yes")


def test_a_vocabulary_finds_answers_after_normalising_and_says_minus_one_for_strangers():
    vocabulary = AnswerVocabulary.from_answers(["No", "yes", "The liver"], "m3ae")
    assert [vocabulary.index(answer) for answer in ["LIVER.", "spleen"]] == [vocabulary.answers.index("liver"), -1]
    assert vocabulary.coverage(["no", "liver", "spleen", "yes"]) == 0.75
    assert vocabulary.coverage([]) == 0.0


def test_a_vocabulary_survives_its_file():
    vocabulary = AnswerVocabulary.from_answers(["No", "yes", "5.1 cm"], "mevf")
    again = AnswerVocabulary.from_json(json.loads(json.dumps(vocabulary.to_json())))
    assert again == vocabulary
    assert again.index("5.1 cm") == vocabulary.index("5.1 cm") >= 0


@pytest.mark.parametrize("content", [{}, {"answers": ["no"]}, {"normaliser": "m3ae", "answers": ["no", 1]}])
def test_a_file_that_holds_no_vocabulary_is_refused(content):
    with pytest.raises(DataError, match="not an answer vocabulary"):
        AnswerVocabulary.from_json(content)


def test_an_empty_vocabulary_is_refused():
    with pytest.raises(DataError, match="the training split has no question"):
        AnswerVocabulary.from_answers([], "m3ae")
    with pytest.raises(DataError, match="none of the 2 answers occurs at least 5 times"):
        AnswerVocabulary.from_answers(["yes", "yes"], "m3ae", min_count=5)


def test_an_answer_is_made_of_scores_best_first_and_ties_go_to_the_more_frequent():
    vocabulary = AnswerVocabulary(("no", "yes", "liver"), "m3ae")
    answer = Answer.from_scores([0.2, 0.4, 0.4], vocabulary, k=2)
    assert answer == Answer("yes", 0.4, (("yes", 0.4), ("liver", 0.4)), others=1)
    with pytest.raises(ValueError, match="2 scores for a vocabulary of 3"):
        Answer.from_scores([0.5, 0.5], vocabulary)


@pytest.mark.parametrize(
    ("name", "of_train", "of_both", "covered"),
    [("none", 514, 557, 403), ("lower", 476, 517, 404), ("m3ae", 461, 498, 407), ("mevf", 458, 494, 408)],
)
def test_the_published_counts_of_vqa_rad_come_out(real_data, name, of_train, of_both, covered):
    root: Path = real_data("vqa_rad")
    train, test = (
        [str(row["answer"]) for row in json.loads((root / f"{part}set.json").read_text("utf-8"))]
        for part in ("train", "test")
    )
    vocabulary = AnswerVocabulary.from_answers(train, name)
    assert (len(vocabulary), len(AnswerVocabulary.from_answers(train + test, name))) == (of_train, of_both)
    assert sum(vocabulary.index(answer) >= 0 for answer in test) == covered


def test_a_table_of_no_answers_at_all_says_that_nothing_is_asked():
    with pytest.raises(DataError, match="has no question"):
        AnswerVocabulary.from_answers([], "lower")
