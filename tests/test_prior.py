"""What is known of an answer before the network looks: wording, votes of similar cases, and how both are weighed."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from _tiny import question
from conftest import TINY_RECIPE

from discern_vqa.config import check_recipe, read_recipe
from discern_vqa.data.batch import PriorScores
from discern_vqa.data.prior.fit import PriorTraining, fit_prior, leave_one_out
from discern_vqa.data.prior.source import PriorSource
from discern_vqa.data.prior.votes import Cases, Prior
from discern_vqa.data.prior.wording import CLUES, Wording, form, offered
from discern_vqa.errors import ConfigError

ANSWERS = ("yes", "no", "left lung", "cystic", "solid", "right")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Is there a mass?", "polar"),
        ("Is/Are there midline shift?", "polar"),
        ("Any evidence of bleeding?", "polar"),
        ("Is there a mass or not?", "polar"),
        ("Is the mass cystic or solid?", "choice"),
        ("Is this pneumonia vs. effusion?", "choice"),
        ("Which is likelier? Cancer or haemorrhage?", "choice"),
        ("Where is the lesion?", "open"),
        ("or", "open"),
        ("?", "open"),
    ],
)
def test_the_form_of_a_question_is_read_from_its_words(text: str, kind: str) -> None:
    assert form(text) == kind


def test_what_a_question_offers_stands_close_to_its_or() -> None:
    assert {"cystic", "solid"} <= offered("In the far left upper corner of it, is the mass cystic or solid?")
    assert "corner" not in offered("In the far left upper corner of it, is the mass cystic or solid?")
    assert offered("Is there a mass?") == frozenset()


def test_clues_belong_to_the_form_of_the_question_alone() -> None:
    clues = Wording(ANSWERS).clues("Is the mass cystic or solid?")
    table = dict(zip(CLUES, clues.T, strict=True))
    assert clues.shape == (len(ANSWERS), len(CLUES))
    assert table["choice: yes or no"].tolist() == [1, 1, 0, 0, 0, 0]
    assert table["choice: offered"].tolist() == [0, 0, 0, 1, 1, 0]
    assert not any(table[clue].any() for clue in CLUES if not clue.startswith("choice"))
    half = Wording(ANSWERS).clues("What is seen in the left hemisphere?")
    assert dict(zip(CLUES, half.T, strict=True))["open: in the question"].tolist() == [0, 0, 0.5, 0, 0, 0]


# -- votes -------------------------------------------------------------------------------------------------------------


def cases(count: int = 12, images: int = 4) -> Cases:
    rng = torch.Generator().manual_seed(0)
    which = torch.arange(count) % images
    answer = torch.randint(-1, len(ANSWERS), (count,), generator=rng)
    question, image = torch.randn(count, 5, generator=rng), torch.randn(images, 7, generator=rng)
    return Cases.of(question, image, which, answer)


def prior(own: Cases | None) -> Prior:
    rng = torch.Generator().manual_seed(1)
    return Prior(
        clues=torch.randn(len(CLUES), generator=rng),
        rate=torch.tensor(-0.5),
        share=torch.rand(len(ANSWERS), generator=rng).log_softmax(0),
        votes=torch.tensor(0.7),
        floor=torch.tensor(0.02),
        reach=torch.tensor([3.0, 2.0, 1.0]),
        cases=own,
    )


def test_the_prior_is_its_formula() -> None:
    own = cases()
    known = prior(own)
    rng = torch.Generator().manual_seed(2)
    q, i, clues = torch.randn(2, 5, generator=rng), torch.randn(2, 7, generator=rng), torch.rand(2, 6, 7, generator=rng)
    found = known.scores(clues, own.closeness(q, i))
    for row in range(2):
        scores = []
        for a in range(len(ANSWERS)):
            total = 0.0
            for n in range(12):
                if int(own.answer[n]) != a:
                    continue
                words = torch.cosine_similarity(q[row] - own.question_mean, own.question[n], dim=0)
                far = torch.cosine_similarity(i[row] - own.image_mean, own.image[own.which[n]], dim=0)
                near = math.exp(-(1 - float(far)) / 0.01)
                total += math.exp(-3 * (1 - float(words)) - 2 * (1 - float(far)) - (1 - near))
            share = float(known.share[a])
            score = float(clues[row, a] @ known.clues) - 0.5 * share
            scores.append(score + 0.7 * math.log(total + 0.02 * math.exp(share)))
        expected = torch.tensor(scores).log_softmax(0)
        torch.testing.assert_close(found[row], expected, rtol=1e-4, atol=1e-4)
    assert torch.allclose(found.exp().sum(-1), torch.ones(2))


def test_a_prior_comes_back_from_its_file_as_it_was() -> None:
    for own in (None, cases()):
        known = prior(own)
        again = Prior.from_state(known.state())
        assert (again.cases is None) == (own is None)
        assert all(torch.equal(value, again.state()[name]) for name, value in known.state().items())


# -- fitting -----------------------------------------------------------------------------------------------------------

ASKED = [
    question(0, "a", "is there a mass", "yes"),
    question(1, "a", "Is there a mass?", "yes"),
    question(2, "b", "is there a mass", "no", group="patient 1"),
    question(3, "c", "is it cystic or solid", "solid", group="patient 1"),
    question(4, "d", "is it left or right", "right"),
]
TABLE = ("yes", "no", "solid", "right", "cystic")


def learned(by: str) -> PriorTraining:
    answers = torch.tensor([TABLE.index(sample.answer) for sample in ASKED])
    return PriorTraining(ASKED, answers, len(TABLE), by)


def test_a_training_question_is_answered_without_itself_and_its_repetitions() -> None:
    hidden = learned("question").hidden(torch.arange(5))
    assert hidden.nonzero().tolist() == [[0, 0], [0, 1], [1, 0], [1, 1], [2, 2], [3, 3], [4, 4]]


def test_paraphrases_are_not_heard_and_template_re_phrasings_are_not_asked() -> None:
    asked = [
        question(0, "a", "is there a mass", "yes", phrase_type="freeform"),
        question(1, "a", "do you see a mass", "yes", phrase_type="para"),
        question(2, "a", "Is/Are there mass?", "yes", phrase_type="frame"),
    ]
    known = PriorTraining(asked, torch.zeros(3, dtype=torch.int64), len(TABLE), "question")
    assert known.hidden(torch.tensor([0])).tolist() == [[True, True, False]]
    assert known.fitted_rows.tolist() == [0, 1]


def test_where_images_are_held_out_nothing_of_the_image_or_the_patient_is_heard() -> None:
    hidden = learned("image").hidden(torch.arange(5))
    assert hidden.nonzero().tolist() == [[0, 0], [0, 1], [1, 0], [1, 1], [2, 2], [2, 3], [3, 2], [3, 3], [4, 4]]


def test_how_often_an_answer_was_given_leaves_the_question_s_own_out() -> None:
    known = learned("question")
    whole, own = known.share().exp(), known.share(torch.tensor([0, 4])).exp()
    assert torch.allclose(whole * 7.5, torch.tensor([2.5, 1.5, 1.5, 1.5, 0.5]))
    assert torch.allclose(own[0] * 6.5, torch.tensor([1.5, 1.5, 1.5, 1.5, 0.5]))
    assert torch.allclose(own[1] * 6.5, torch.tensor([2.5, 1.5, 1.5, 0.5, 0.5]))


def test_a_case_that_is_not_heard_might_as_well_not_be_there() -> None:
    known, own = learned("question"), cases(5, 4)
    own = replace(own, answer=known.answers, which=torch.tensor([0, 0, 1, 2, 3]))
    clues = torch.zeros(1, len(TABLE), len(CLUES))
    wise = replace(prior(own), share=known.share())
    found = leave_one_out(wise, known, clues, torch.tensor([0]))
    left = torch.arange(2, 5)  # 0 and its repetition 1 are gone
    fewer = replace(own, question=own.question[left], which=own.which[left], answer=own.answer[left])
    alone = replace(wise, cases=fewer, share=known.share(torch.tensor([0]))[0])
    torch.testing.assert_close(found, alone.scores(clues, own.own_closeness(torch.tensor([0]))[:, :, left]))


def test_fitting_learns_that_polar_questions_are_answered_by_yes_or_no_and_choices_by_what_they_offer() -> None:
    things = "mass cyst stone bleed nodule effusion".split()
    offers = [("cystic", "solid"), ("left", "right"), ("acute", "chronic"), ("large", "small")]
    asked = [question(n, f"i{n}", f"is there a {things[n % 6]}", ("yes", "no")[n % 2]) for n in range(60)]
    asked += [question(100 + n, f"j{n}", f"is it {a} or {b}", (a, b)[n % 2]) for n, (a, b) in enumerate(offers * 5)]
    table = ("yes", "no", *(word for pair in offers for word in pair))
    answers = torch.tensor([table.index(sample.answer) for sample in asked])
    wording = Wording(table)
    known = PriorTraining(asked, answers, len(table), "question")
    found = fit_prior(known, lambda rows: torch.stack([torch.from_numpy(wording.clues(asked[r].text)) for r in rows]))
    new = ["Is there an infarct?", "Is the lesion acute or chronic?"]
    p = found.scores(torch.stack([torch.from_numpy(wording.clues(text)) for text in new])).exp()
    assert p[0, :2].sum() > 0.95
    assert p[1, [table.index("acute"), table.index("chronic")]].sum() > 0.9
    assert found.cases is None
    again = fit_prior(known, lambda rows: torch.stack([torch.from_numpy(wording.clues(asked[r].text)) for r in rows]))
    assert torch.equal(again.clues, found.clues), "the fit follows from its seed"


# -- what a model gets of it -------------------------------------------------------------------------------------------


def test_the_answer_is_shared_between_the_prior_and_what_the_model_makes_of_it() -> None:
    log_p, scores = torch.randn(3, 4).log_softmax(-1), torch.randn(3, 4)
    share = torch.tensor([0.25, 0.0, 0.9])
    known = PriorScores(log_p, share=share)
    added = known.add_to(scores)
    expected = (1 - share[:, None]) * (scores + log_p).softmax(-1) + share[:, None] * log_p.exp()
    torch.testing.assert_close(known.mix_with(added).exp(), expected)
    assert torch.equal(PriorScores(log_p).mix_with(added), added)


def test_questions_that_expect_yes_or_no_have_a_share_of_their_own() -> None:
    log_p = torch.tensor([[0.5, 0.3, 0.2], [0.2, 0.2, 0.6], [0.0, 0.9, 0.1]]).log()
    source = PriorSource(["no", "yes", "left"], share=0.5, share_yes_no=0.75)
    assert source.shares(log_p).tolist() == [0.75, 0.5, 0.75]
    assert PriorSource(["no", "yes", "left"], share=0.5).shares(log_p).tolist() == [0.5, 0.5, 0.5]
    assert PriorSource(["no", "yes", "left"]).shares(log_p) is None
    assert PriorSource(["a", "b", "left"], share_yes_no=0.5).shares(log_p).tolist() == [0, 0, 0]


def recipe(tmp_path: Path, prior: str, **changes: str) -> Path:
    text = TINY_RECIPE.replace("[objective]", f"[prior]\n{prior}\n\n[objective]")
    for old, new in changes.items():
        text = text.replace(old, new)
    (tmp_path / "prior.toml").write_text(text, encoding="utf-8")
    return tmp_path / "prior.toml"


def test_cases_need_frozen_encoders_and_unmirrored_images(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs frozen encoders"):
        read_recipe(recipe(tmp_path, "cases = true"))
    with pytest.raises(ConfigError, match="mirror = true"):
        read_recipe(recipe(tmp_path, "cases = true"), ["data.mirror=true"])
    with pytest.raises(ConfigError, match="share"):
        read_recipe(recipe(tmp_path, "wording = true\nshare = 1.0"))


def test_a_baseline_has_no_prior() -> None:
    tables = {"data": {"dataset": "vqa_rad"}, "model": {"name": "baselines.majority"}, "prior": {}, "run": {}}
    with pytest.raises(ConfigError, match=r"\[prior\]: a baseline is fitted without"):
        check_recipe(tables, "here")
