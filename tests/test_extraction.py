"""The answer in a text, rule by rule, and MedEvalKit's judges, whose verdicts were taken from the program itself."""

import pytest

from discern_vqa.scoring import medevalkit
from discern_vqa.scoring.extraction import extract, is_free_text
from discern_vqa.scoring.predictions import Prediction


def row(text: str, gold: str = "yes", kind: str = "closed", options: tuple[str, ...] = ()) -> Prediction:
    return Prediction(id="1", image="a", gold=gold, answer_type=kind, prediction=text, options=options)


@pytest.mark.parametrize(
    ("text", "gold", "kind", "answer"),
    [
        ("<think>No, no.</think>\nYes", "yes", "closed", "Yes"),
        ("it may be no</think> Yes.", "yes", "closed", "Yes."),  # a template that opens the tag itself
        ("<think>Yes, it is, since", "yes", "closed", ""),  # cut off while thinking
        ("<think>Hm. <answer>liver</answer>", "liver", "open", "liver"),
        ("<answer>spleen</answer> or <answer>liver</answer>", "liver", "open", "liver"),
        ("<ANSWER> liver", "liver", "open", "liver"),
        (r"So \boxed{\text{left lobe}}.", "left lobe", "open", "left lobe"),
        (r"<answer>\boxed{a {b} c}</answer>", "x", "open", "a {b} c"),
        (r"\boxed{never ends", "x", "open", r"\boxed{never ends"),
        ("It is dark.\n**Final Answer:** liver. It is large.", "liver", "open", "liver"),
        ("The answer is 5.1 cm", "5.1 cm", "open", "5.1 cm"),
        ("Answer:\nliver", "liver", "open", "liver"),
        ("No answer", "x", "open", "No answer"),
        ("The plane is axial", "axial", "open", "The plane is axial"),
        ("**Yes**", "yes", "closed", "Yes"),
        ("No, there is not.", "no", "closed", "No"),
        ("No there is none", "no", "closed", "No"),
        ("Yes there is a mass", "no", "closed", "Yes"),
        ("No acute finding", "no", "closed", "No acute finding"),  # of "Is it normal?" that is a yes
        ("Normal", "no", "closed", "Normal"),
        ("Yes and no", "no", "closed", "Yes and no"),
        ("Nein, nicht sichtbar", "nein", "", "Nein"),
        ("No, the left one", "left", "open", "No, the left one"),
        ("(B) it is dark", "B", "", "B"),
        ("A mass", "A", "", "A mass"),
    ],
)
def test_the_answer_is_taken_out_of_a_text(text, gold, kind, answer):
    assert extract([row(text, gold, kind)]).rows[0].prediction == answer


OPTIONS = ("CT", "MRI", "MRI with contrast", "X-ray")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("B", "MRI"),
        ("b.", "MRI"),
        ("(D)", "X-ray"),
        ("Option C: MRI with contrast", "MRI with contrast"),
        ("B MRI", "MRI"),
        ("x-ray", "X-ray"),
        ("This is an MRI with contrast.", "MRI with contrast"),
        ("A CT or an X-ray", "A CT or an X-ray"),
        ("E", "E"),
        ("The answer is (A).", "CT"),
    ],
)
def test_an_option_is_its_letter_its_text_or_the_only_one_that_occurs(text, answer):
    taken = extract([row(text, "B", "choice", OPTIONS)])
    assert taken.rows[0].prediction == answer
    assert taken.rows[0].gold == "MRI"


def test_an_option_that_is_a_letter_itself_is_no_place():
    taken = extract([row("C", "B", "choice", ("B", "C", "A"))])
    assert (taken.rows[0].prediction, taken.rows[0].gold) == ("C", "B")


def test_what_was_done_is_counted_once_for_each_answer():
    counts = extract([row("<think>x</think>Answer: No."), row("yes"), row("")]).counts
    assert {rule for rule, count in counts.items() if count} == {"reasoning", "phrase", "touched", "empty"}
    assert counts["touched"] == counts["empty"] == 1


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([row("yes"), row("right lung", "left lung", "open")], False),
        ([row("Yes, it is")], True),
        ([row("The plane is axial", "axial", "open")], True),
        ([row("There is a large round mass there", "cyst", "open")], True),
        ([row("right lung", "lung", "open"), *[row("yes")] * 19], False),
    ],
)
def test_free_text_is_known_by_what_has_to_be_taken_out_or_is_too_long(rows, expected):
    assert is_free_text(rows, extract(rows)) is expected


@pytest.mark.parametrize(
    ("text", "gold", "right"),
    [
        ("<answer>Yes</answer> no", "yes", 1),
        ("<answer>y</answer><answer>es</answer>", "yes", 0),  # joined by a blank
        (r"no no \boxed{YES}", "Yes ", 1),
        (r"\Boxed{yes}", "yes", 1),  # small letters come first in the second reading
        ("the boxed region: yes", "yes", 0),  # a box that is none is the answer "None"
        (r"\boxed{yes", "yes", 0),
        ("Answer: No", "no", 1),
        ("No, there is not. Yes?", "no", 0),  # both occur
        ("normal", "no", 1),  # its letters
        ("yes answer: no", "no", 1),
        ("Answer: liver", "liver", 0),  # the blank stays
        ("answer:liver", "Liver", 1),
        ("liver.", "liver", 0),  # full stops stay in open answers
        ("final answer is liver", "liver", 0),
        ("the answer is:yes.", "yes", 1),
        ("liver answer", "liver", 0),
    ],
)
def test_medevalkits_verdict_on_vqa_rad_is_repeated(text, gold, right):
    assert medevalkit.judge(row(text, gold), gold) == right


@pytest.mark.parametrize(
    ("text", "gold", "kind", "right"),
    [
        ("Yes", "Yes", "closed", 1),
        ("Yes, it is", "Yes", "closed", 0),  # exact, since SLAKE's "Yes" has a capital letter
        ("Yes, it is", "yes", "closed", 1),
        ("Y.e.s.", "Yes", "closed", 1),
        ("Liver ", "Liver", "open", 0),
        ("LIVER", "Liver", "open", 1),
    ],
)
def test_medevalkits_verdict_on_slake_is_repeated(text, gold, kind, right):
    assert medevalkit.judge_slake(row(text, gold, kind), gold) == right


@pytest.mark.parametrize(
    ("text", "gold", "right"),
    [
        ("B", "B", 1),
        ("b. it is", "MRI", 1),
        ("Reasoning here.\n\nb", "B", 1),
        ("MRI", "B", 1),
        ("(B)", "A", 1),  # no letter by itself: the most similar option, of equal ones the first
        ("the x-rays", "D", 1),
        ("Answer: C", "C", 1),
    ],
)
def test_medevalkits_verdict_on_multiple_choice_is_repeated(text, gold, right):
    assert medevalkit.judge_choice(row(text, gold, "choice", OPTIONS), gold) == right
