"""The baseline *thumbnail*: the image decides where words do not, and an image that is not there decides nothing."""

import dataclasses

import numpy as np
import pytest
from _pictures import picture, question, save
from PIL import ImageOps

from discern_vqa.baselines import thumbnail
from discern_vqa.data.answers import AnswerVocabulary


@pytest.fixture
def train(tmp_path):
    """Six images, each with the same question and an answer of its own, and one with other words."""
    paths = [save(tmp_path, f"t{number}.png", picture(number)) for number in range(6)]
    rows = [
        question(number, "train", path, question="which organ is shown", answer=f"organ {number}")
        for number, path in enumerate(paths)
    ]
    return [*rows, question(9, "train", paths[0], question="is there a mass", answer="no")]


def answers(train, test, **options) -> list[str]:
    vocabulary = AnswerVocabulary.from_answers([row.answer for row in train], "m3ae")
    return [said.text for said in thumbnail.answer(train, test, vocabulary=vocabulary, **options)]


def asked(tmp_path, number: int, name: str, drawn) -> object:
    return question(number, "test", save(tmp_path, name, drawn), question="which organ is shown", answer="")


def test_of_equal_questions_the_one_about_the_most_alike_picture_answers(train, tmp_path):
    test = [
        asked(tmp_path, 0, "a.png", picture(4).resize((50, 50))),
        asked(tmp_path, 1, "b.png", picture(2).point(lambda grey: round(0.7 * grey))),
        asked(tmp_path, 2, "c.jpg", picture(5)),
    ]
    assert answers(train, test) == ["organ 4", "organ 2", "organ 5"]


def test_other_words_are_answered_by_the_nearest_words(train, tmp_path):
    row = dataclasses.replace(asked(tmp_path, 0, "a.png", picture(50)), question="is there any mass")
    assert answers(train, [row]) == ["no"]


def test_pictures_that_cannot_be_opened_leave_the_words(train, tmp_path):
    broken = asked(tmp_path, 0, "a.png", picture(4))
    broken.path.write_bytes(b"no image")
    missing = dataclasses.replace(broken, image="none.png", path=tmp_path / "none.png")
    assert answers(train, [broken, missing]) == ["organ 0", "organ 0"]  # the earliest of equals


def test_thumbnails_that_were_made_before_are_taken(train, tmp_path):
    test = [asked(tmp_path, 0, "a.png", picture(1))]
    given = {row.image: np.asarray(ImageOps.fit(picture(9), (32, 32))) for row in train}
    given |= {"t3.png": np.asarray(picture(1).resize((32, 32))), "a.png": np.asarray(picture(1).resize((32, 32)))}
    assert answers(train, test, thumbs=given) == ["organ 3"]


def test_the_score_is_the_mean_of_the_two_cosines(train, tmp_path):
    vocabulary = AnswerVocabulary.from_answers([row.answer for row in train], "m3ae")
    (said,) = thumbnail.answer(train, [asked(tmp_path, 0, "a.png", picture(3))], vocabulary=vocabulary)
    assert (said.text, said.score) == ("organ 3", pytest.approx(1.0, abs=1e-5))
    assert [text for text, _ in said.alternatives][0] == "organ 3"
    assert all(0 <= score <= 1 for _, score in said.alternatives)
