"""Wordings of one question that the data link, what the answers to them are worth, and the controls by other names."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from discern_vqa.data.normalisers import normaliser
from discern_vqa.data.rephrased import LINKED, PARAPHRASES, Rephrased, rephrased
from discern_vqa.data.sample import Sample
from discern_vqa.data.splits import question_units
from discern_vqa.datasets import vqa_rad
from discern_vqa.measurements import Context, visual_reliance
from discern_vqa.measurements import rephrased as measurement
from discern_vqa.scoring.predictions import Prediction

plain = normaliser("plain")


def question(number: int, image: str, answer: str, **more: object) -> Sample:
    extra = {key: more.pop(key) for key in ("linked", "level") if key in more}
    told = {"id": str(number), "split": "test", "image": image, "path": Path(image), "question": f"Question {number}?"}
    return Sample(**{**told, "answer": answer, "extra": extra, **more})  # type: ignore[arg-type]


def answered(samples: list[Sample], answers: list[str]) -> list[Prediction]:
    return [
        Prediction(id=row.id, image=row.image, gold=row.answer, answer_type="open", prediction=answer)
        for row, answer in zip(samples, answers, strict=True)
    ]


LINKED_SAMPLES = [
    question(1, "a", "yes", linked="x", phrase_type="freeform"),
    question(2, "a", "Yes.", linked="x", phrase_type="para", level="word"),
    question(3, "a", "no", linked="x", phrase_type="para"),  # linked, and its true answer is another one
    question(4, "b", "left", linked="y", phrase_type="freeform"),
    question(5, "b", "left", linked="y", phrase_type="para", level="word"),
    question(6, "b", "left", linked="y", phrase_type="para", level="sentence"),
    question(7, "c", "left", linked="z", phrase_type="freeform"),  # nothing else is linked to it
    question(8, "d", "left", linked="y", phrase_type="para"),  # of another image
]


def test_links_of_the_data_make_groups_of_one_image_and_one_true_answer():
    assert rephrased(LINKED_SAMPLES, plain) == Rephrased(((0, 1), (3, 4, 5)), LINKED, 2)
    assert rephrased([LINKED_SAMPLES[0], LINKED_SAMPLES[6]], plain).groups == ()
    numbered = [question(number, "a", "yes", linked=number // 2) for number in range(4)]
    assert rephrased(numbered, plain).groups == ((0, 1), (2, 3)), "a link may be the number 0"
    assert question_units(numbered) == [[0, 1], [2, 3]]


def test_paraphrases_without_links_are_taken_where_there_is_no_doubt():
    pair = [question(1, "a", "yes", phrase_type="freeform"), question(2, "a", "Yes", phrase_type="para")]
    assert rephrased(pair, plain) == Rephrased(((0, 1),), PARAPHRASES)
    for third in (
        question(3, "a", "yes", phrase_type="freeform"),
        question(3, "a", "yes", phrase_type="para"),
    ):
        assert rephrased([*pair, third], plain) == Rephrased()
    frame = question(3, "a", "yes", phrase_type="frame")
    assert rephrased([*pair, frame], plain).groups == ((0, 1),)
    for other in ({"answer": "no"}, {"image": "b"}, {"question_type": ("POS",)}, {"phrase_type": "freeform"}):
        assert rephrased([pair[0], replace(pair[1], **other)], plain).groups == ()


@pytest.mark.parametrize(("edition", "groups", "asked"), [("owner", 127, 259), ("common", 111, 222)])
def test_vqa_rads_paraphrases_are_found_in_either_edition(real_data, edition, groups, asked):
    rows = vqa_rad.read(real_data("vqa_rad"), "test", edition=edition)
    found = rephrased(rows, normaliser("m3ae"))
    assert (len(found.groups), sum(map(len, found.groups))) == (groups, asked)
    if edition == "common":
        owners = vqa_rad.read(real_data("vqa_rad"), "test", edition="owner")
        links = {(row.image, row.question): row.extra["linked"] for row in owners}
        pairs = [[links[rows[place].image, rows[place].question] for place in places] for places in found.groups]
        assert sum(len(set(pair)) == 1 for pair in pairs) == 110


def test_the_answers_to_all_wordings_are_counted():
    found = rephrased(LINKED_SAMPLES, plain)
    rows = answered(LINKED_SAMPLES, ["yes", "YES", "no", "left", "right", "left", "left", "left"])
    figures = measurement.compared(LINKED_SAMPLES, rows, found, "plain")
    counts = {key: (figures[key]["correct"], figures[key]["n"]) for key in ("same", "always", "ever")}
    assert counts == {"same": (1, 2), "always": (1, 2), "ever": (2, 2)}
    assert (figures["questions"], figures["left_out"], figures["linked_by"]) == (5, 2, LINKED)
    by = {name: (one["correct"], one["n"]) for name, one in figures["by"]["phrase_type"].items()}
    assert by == {"freeform": (2, 2), "para": (2, 3)}
    changed = {name: (one["correct"], one["n"]) for name, one in figures["changed"].items()}
    assert changed == {"word": (1, 2), "sentence": (0, 1)}


def test_the_same_wrong_answer_is_the_same_and_no_answer_is_not():
    found = rephrased(LINKED_SAMPLES, plain)
    rows = answered(LINKED_SAMPLES, ["", " ", "no", "up", "up", "up", "", ""])
    figures = measurement.compared(LINKED_SAMPLES, rows, found, "plain")
    assert [(figures[key]["correct"], figures[key]["n"]) for key in ("same", "always", "ever")] == [
        (1, 2),
        (0, 2),
        (0, 2),
    ]


def context_of(samples: list[Sample], rows: list[Prediction], **controls: list[Prediction]) -> Context:
    recipe = SimpleNamespace(data=SimpleNamespace(normaliser="plain"))
    run = SimpleNamespace(recipe=recipe, folder=Path())
    return Context(cast("object", None), cast("object", run), "test", samples, rows, controls=controls)  # type: ignore[arg-type]


def test_the_report_says_what_was_measured_and_warns_where_the_wording_decides():
    samples = [
        question(10 * place + number, f"image {place}", "yes", linked=f"l{place}", phrase_type=kind)
        for place in range(40)
        for number, kind in enumerate(("freeform", "para"))
    ]
    rows = answered(samples, ["yes", "no"] * 20 + ["yes", "yes"] * 20)
    scores = dict(measurement.measure(context_of(samples, rows)))
    (line,) = measurement.lines(scores)
    assert line.startswith("re-phrasings, 40 groups of 80 questions (the data's own links): 50.0")
    assert measurement.warnings(scores) == [
        "answers hang on the wording: 20 of 40 questions that the data ask in several wordings do not get the same "
        "answer in all of them"
    ]
    (table,) = measurement.tables(scores)
    assert [(row[0], row[1]) for row in table.rows] == [
        ("groups with the same answer in all wordings", 40),
        ("groups with all wordings right", 40),
        ("groups with any wording right", 40),
        ("right: the original question", 40),
        ("right: a paraphrase", 40),
    ]
    steady = dict(measurement.measure(context_of(samples, answered(samples, ["yes"] * 80))))
    assert measurement.warnings(steady) == []
    assert measurement.measure(context_of(samples[:1], rows[:1])) == {}
    assert measurement.lines({}) == measurement.tables({}) == measurement.warnings({}) == []


def test_reliance_and_sensitivity_by_the_names_of_others_are_those_of_planted_answers():
    samples = [question(number, f"image {number}", "yes") for number in range(20)]
    rows = answered(samples, ["yes"] * 16 + ["no"] * 4)
    other = answered(samples, ["yes"] * 10 + ["no"] * 6 + ["maybe"] * 4)  # 6 right answers lost, 10 changed
    blank = answered(samples, ["yes"] * 12 + ["no"] * 8)
    found = visual_reliance.measure(context_of(samples, rows, shuffled_image=other, blank_image=blank))
    scores = found["visual_reliance"]
    assert scores["vrs"]["points"] == pytest.approx(0.3)
    assert scores["vrs"]["ci95"][0] < 0.3 < scores["vrs"]["ci95"][1]
    assert scores["image_sensitivity"]["accuracy"] == pytest.approx(0.5)
    assert scores["kept_with_blank"]["share"] == pytest.approx(0.75)
    assert scores["kept_with_blank"]["ci95"][0] < 0.75 < scores["kept_with_blank"]["ci95"][1]
    (table,) = visual_reliance.tables(found)
    assert [row[0] for row in table.rows] == [
        "Visual Reliance Score (VRS)",
        "Image Sensitivity (IS)",
        "accuracy kept with an empty image",
    ]
    assert visual_reliance.measure(context_of(samples, rows)) == {}
