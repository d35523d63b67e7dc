"""Predictions joined with the data set that was asked: by id, place or question, and what is left is counted."""

from pathlib import Path

import _other_programs as other
import pytest

from discern_vqa.data.sample import Sample
from discern_vqa.errors import DataError
from discern_vqa.scoring import given_files
from discern_vqa.scoring.given_files import Given
from discern_vqa.scoring.how_given import HowGiven
from discern_vqa.scoring.joining import join


def sample(number: str, image: str, question: str, answer: str) -> Sample:
    return Sample(
        id=number, split="test", image=image, path=Path(image), question=question, answer=answer, answer_type="open"
    )


SET = {
    "train": [sample("7", "z.png", "Which plane?", "coronal")],
    "test": [
        sample("1", "a.png", "Which organ?", "liver"),
        sample("2", "b.png", "Which organ?", "liver"),
        sample("3", "b.png", "Which organ?", "lung"),
        sample("4", "b.png", "How many?", "2"),
    ],
}


def given(tmp_path: Path, *records: dict[str, object]) -> Given:
    other.lines(tmp_path / "g.jsonl", [{"prediction": "x", **record} for record in records])
    return given_files.read(tmp_path / "g.jsonl", HowGiven(tmp_path / "g.jsonl"), is_joined=True)


@pytest.mark.parametrize(
    ("records", "images", "note"),
    [
        # ids alone
        ([{"id": 3}, {"id": 1}], ["b.png", "a.png"], "joined with rad (2 by id, unchecked: the file repeats neither"),
        # ids of something else: by the question, as far as it is one
        (
            [{"id": 1, "question": "How many?", "gold": "2"}, {"id": 2, "question": "Which organ?", "gold": "lung"}],
            ["b.png", "b.png"],
            "(2 by question)",
        ),
        # two questions alike, both in the file: in their order
        ([{"question": "Which organ?", "gold": "Liver"}] * 2, ["a.png", "b.png"], "(2 by question)"),
        # one of them alone could be either; with the image's name it cannot
        (
            [{"question": "Which organ?", "gold": "liver"}, {"question": "How many?", "gold": "2"}],
            ["question 1", "b.png"],
            "lines that could not be joined: 1",
        ),
        ([{"question": "Which organ?", "gold": "liver", "image": "x/a.png"}], ["a.png"], "(1 by question)"),
        # no true answer of its own: left out, and said
        (
            [{"question": "Is it?"}, {"question": "<image>\nHow many?\nOne word."}],
            ["b.png"],
            "lines that could not be joined: 1; of these are left out, since they have no true answer: 1",
        ),
        # every question of the split, in its order
        (
            [{"gold": gold} for gold in ("liver", "liver", "lung", "2")],
            ["a.png", "b.png", "b.png", "b.png"],
            "(4 by place)",
        ),
        # the data set's true answer counts
        ([{"id": 4, "question": "How many?", "gold": "3"}], ["b.png"], "true answer than rad, whose answer counts: 1"),
    ],
)  # fmt: skip
def test_lines_are_joined_by_id_place_or_question_and_the_rest_is_counted(records, images, note, tmp_path):
    joined = join(given(tmp_path, *records), SET, "rad")
    assert [row.image for row in joined.rows] == images
    assert note in "; ".join(joined.notes)
    assert all(row.gold for row in joined.rows)


def test_a_file_of_another_set_is_refused(tmp_path):
    with pytest.raises(DataError, match="none of its 1 lines is a question of rad"):
        join(given(tmp_path, {"id": "99", "question": "Why?", "gold": "so"}), SET, "rad")
