"""The phantom set's questions: answers that cannot be guessed, twins of every sort, findings that keep apart."""

from collections import Counter, defaultdict

import numpy as np
import pytest

from discern_vqa.datasets.phantom import anatomy
from discern_vqa.datasets.phantom.candidate import choose, is_closed
from discern_vqa.datasets.phantom.findings import REGIONS, Case, cells, changed, draw_finding, kinds, pair_differences
from discern_vqa.datasets.phantom.questions import candidates

TYPES = set("PRES ABN POS MODALITY PLANE SIZE COUNT ATTRIB COLOR ORGAN OTHER".split())


def test_twins_vary_presence_place_size_number_and_kind():
    differing = Counter()
    for unit in anatomy.plan({"test": 400}, 0, 64, 1.0):
        (first, second), _ = anatomy.invent(unit)
        differing[difference(first, second)] += 1
    assert {"presence", "side", "zone", "size", "count", "kind"} == set(differing)
    assert min(differing.values()) >= 4


def difference(first: Case, second: Case) -> str:
    """The one respect in which two cases differ; fails when there are more."""
    assert (first.region, first.sequence, first.contrast, first.marker) == (
        second.region,
        second.sequence,
        second.contrast,
        second.marker,
    )
    here, there = set(first.findings) - set(second.findings), set(second.findings) - set(first.findings)
    if not here or not there:
        assert len(here | there) == 1
        return "presence"
    (one,), (other,) = here, there
    if one.kind != other.kind:
        return "kind"
    fields = [name for name in ("side", "zone", "size", "count") if getattr(one, name) != getattr(other, name)]
    assert len(fields) == 1
    return fields[0]


def asked(images: int, seed: int, regions: tuple[str, ...] = REGIONS) -> list[tuple[str, str, str]]:
    """(question, answer, type) of many single images, without drawing them."""
    rows = []
    for unit in anatomy.plan({"train": images}, seed, 64, 0.0, regions):
        (case,), _ = anatomy.invent(unit)
        chosen = choose(unit.random(anatomy.TEXT, 1), candidates(case, regions))
        rows += [(text, one.answer, one.type) for one, text in chosen]
    return rows


def test_the_question_alone_does_not_give_the_answer_away():
    train, test = asked(2500, seed=1), asked(800, seed=2)
    answers = defaultdict(Counter)
    for question, answer, _ in train:
        answers[question][answer] += 1
    right = sum(answers[question].most_common(1)[0][0] == answer for question, answer, _ in test if question in answers)
    assert right / len(test) <= 0.52
    by_type = defaultdict(list)
    for question, answer, kind in test:
        by_type[kind].append(question in answers and answers[question].most_common(1)[0][0] == answer)
    assert set(by_type) == TYPES
    assert max(np.mean(found) for found in by_type.values()) <= 0.65
    assert 0.4 < sum(is_closed(question, answer) for question, answer, _ in test) / len(test) < 0.7


@pytest.mark.parametrize("regions", [("chest",), ("head",), ("abdomen",), ("abdomen", "chest")])
def test_a_set_of_fewer_regions_seldom_asks_what_all_its_images_answer_alike(regions):
    answers = defaultdict(Counter)
    for question, answer, _ in asked(700, seed=1, regions=regions):
        answers[question][answer] += 1
    test = asked(300, seed=2, regions=regions)
    right = sum(
        question in answers and answers[question].most_common(1)[0][0] == answer for question, answer, _ in test
    )
    assert right / len(test) <= 0.57
    assert {kind for _, _, kind in test} >= TYPES - {"COLOR"}


def test_every_image_is_asked_something():
    for unit in anatomy.plan({"train": 600}, 1, 64, 0.0, ("chest",)):
        (case,), _ = anatomy.invent(unit)
        assert choose(unit.random(anatomy.TEXT, 1), candidates(case, unit.regions)), unit
    idle = candidates(case)[:2]
    assert choose(np.random.default_rng(0), idle, frozenset({idle[0].key}))[0][0] == idle[1]


def test_answers_are_lower_case_few_and_all_seen_often():
    answers = Counter(answer for _, answer, _ in asked(2500, seed=4))
    assert 40 <= len(answers) <= 65
    assert min(answers.values()) >= 10
    assert all(answer == answer.lower().strip() for answer in answers)


def test_findings_of_one_image_do_not_share_a_place():
    for unit in anatomy.plan({"test": 600}, 7, 64, 1 / 3):
        for case in anatomy.invent(unit)[0]:
            places = [cells(finding) for finding in case.findings]
            assert sum(map(len, places)) == len(set().union(*places)), case


def test_every_way_in_which_twins_may_differ_changes_a_finding():
    random = np.random.default_rng(0)
    available = kinds("head", "ct")
    for kind in available * 20:
        finding = draw_finding(random, kind)
        for way in pair_differences(finding):
            assert changed(random, finding, way, available) != finding


@pytest.mark.parametrize(
    ("question", "answer", "closed"),
    [
        ("Is there a nodule?", "no", True),
        ("Is this t1, t2 or flair?", "t1", True),
        ("Is the nodule on the left or right?", "right", True),
        ("On which side is the nodule?", "right", False),
        ("What color is the aorta, white or gray?", "gray", True),
    ],
)
def test_a_question_is_closed_when_it_names_the_answer_or_wants_yes_or_no(question, answer, closed):
    assert is_closed(question, answer) == closed
