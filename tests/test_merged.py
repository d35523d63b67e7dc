"""Answers that a normaliser takes for one: which lose something that matters, who says so, and what is shown to
people."""

import json

import pytest
from PIL import Image

from discern_vqa import audit, cli
from discern_vqa.config import DataConfig
from discern_vqa.data.answers import AnswerVocabulary
from discern_vqa.data.merged import LETTER, NONE, NUMBER, SIGN, lost, merged, warning
from discern_vqa.data.normalisers import NORMALISERS, SAFE, normaliser
from discern_vqa.data.sample import Sample
from discern_vqa.measurements.merged import counted
from discern_vqa.scoring.predictions import Prediction

LOSING = [
    ("<5 mm", ">5 mm", SIGN), ("HER2+", "HER2-", SIGN), ("1+", "1-", SIGN), ("-2", "2", SIGN), ("\u22122", "2", SIGN),
    ("p16 (+)", "p16 (-)", SIGN), ("None", "0", NONE), ("grade A", "grade", LETTER), ("Type A dissection",
    "type dissection", LETTER), ("1,5 cm", "15 cm", NUMBER), ("1/2", "1 2", NUMBER),
]  # fmt: skip
HARMLESS = [
    ("x-ray", "x ray"), ("L4-L5", "L4, L5"), ("T2 - weighted", "T2 weighted"), ("the liver", "liver"), ("two", "2"),
    ("1,000", "1000"), ("(left)", "left"), ("Yes!", "yes"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other", "kind"), LOSING)
def test_what_is_lost_is_named_and_the_safe_normaliser_keeps_it(one, other, kind):
    assert kind in lost([one, other])
    assert normaliser(SAFE)(one) != normaliser(SAFE)(other)
    for text in warning(merged([one, one, other], "m3ae"), "m3ae"), warning(merged([one, other], "mevf"), "mevf"):
        assert (kind in text) == (normaliser("m3ae")(one) == normaliser("m3ae")(other))


@pytest.mark.parametrize(("one", "other"), HARMLESS)
def test_a_difference_of_spelling_alone_is_no_warning(one, other):
    assert lost([one, other]) == ()
    assert warning(merged([one, other], "m3ae"), "m3ae") == ""


def test_every_class_is_counted_those_that_lose_something_first():
    found = merged(["x-ray"] * 9 + ["x ray", "<5 mm", ">5 mm", ">5 mm", "yes", "Yes."], "m3ae")
    assert [(one.key, one.spellings, bool(one.loses)) for one in found] == [
        ("5 mm", ((">5 mm", 2), ("<5 mm", 1)), True),
        ("x ray", (("x-ray", 9), ("x ray", 1)), False),
    ]


def test_the_safe_normaliser_drops_case_blanks_and_a_full_stop_and_nothing_else():
    assert {normaliser(SAFE)(text) for text in ("Yes", " yes. ", "YES", "yes .")} == {"yes"}
    assert normaliser(SAFE)(".") == "."
    for text in ("<5 mm", "her2+", "-2", "none", "grade a", "1,5", "(left)", "x-ray?"):
        assert normaliser(SAFE)(text) == text
    assert normaliser(SAFE)("e\u0301cho") == normaliser(SAFE)("\u00e9cho")


def test_the_default_is_safe_for_own_data_and_the_published_rule_for_published_sets():
    named = ("csv", "jsonl", "dicom_folder", "vqa_rad", "ovqa")
    usual = {name: DataConfig(dataset=name).normaliser for name in named}
    assert usual == {"csv": "plain", "jsonl": "plain", "dicom_folder": "plain", "vqa_rad": "m3ae", "ovqa": "m3ae"}


def test_a_vocabulary_shows_the_most_frequent_spelling_and_never_its_key():
    made = AnswerVocabulary.from_answers(["None", "None", "none", "HER2-", "Left  lung"], "m3ae")
    assert (made.answers, made.shown) == (("0", "her2", "left lung"), ("None", "HER2-", "Left lung"))
    again = AnswerVocabulary.from_json(json.loads(json.dumps(made.to_json())))
    assert again == made
    assert [again.index(text) for text in made.shown] == [0, 1, 2]
    assert made.respelled(["none", "NONE", "NONE"]).shown == ("NONE", "HER2-", "Left lung")
    before = {key: value for key, value in made.to_json().items() if key != "spellings"}  # as version 0.1.0 wrote it
    assert AnswerVocabulary.from_json(before).shown == made.answers


def test_a_score_counts_answers_that_are_right_although_they_say_something_else():
    pairs = [("<5 mm", ">5 mm"), ("HER2-", "HER2+"), ("x ray", "x-ray"), ("yes", "Yes"), ("no", "yes")]
    rows = [
        Prediction(id=str(n), image=str(n), gold=gold, answer_type="open", prediction=given)
        for n, (given, gold) in enumerate(pairs)
    ]
    found = counted(rows, "m3ae")
    assert (found["n"], found["losing"]) == (3, 2)
    assert found["examples"][:2] == [["<5 mm", ">5 mm"], ["HER2-", "HER2+"]]
    assert counted(rows, SAFE)["n"] == 0


def test_the_command_score_warns_and_the_safe_normaliser_tells_them_apart(tmp_path, capsys):
    file = tmp_path / "rows.jsonl"
    row = {"image": "a", "gold": "HER2+", "answer_type": "open", "prediction": "HER2-"}
    file.write_text("".join(json.dumps({"id": str(n)} | row) + "\n" for n in range(3)))
    assert cli.main(["score", str(file)]) == 0
    told = capsys.readouterr().out
    assert "100.0" in told
    assert "WARNING: 3 of the answers that count as right say something else than the true one" in told
    assert "'HER2-' for 'HER2+'" in told
    assert cli.main(["score", str(file), "--normalise", "plain"]) == 0
    told = capsys.readouterr().out
    assert "WARNING" not in told
    assert " 0.0 [" in told


def test_the_audit_names_the_classes_and_leaves_signs_alone_with_the_safe_normaliser(tmp_path):
    Image.effect_noise((40, 40), 30).save(tmp_path / "a.png")
    rows = [
        Sample(id=str(n), split="train", image="a.png", path=tmp_path / "a.png", question="HER2 status?", answer=answer)
        for n, answer in enumerate(["HER2+", "HER2-", "HER2-", "None", "0"])
    ]
    found = audit.audit({"train": rows}, normalise="m3ae")
    assert found["merged"]["losing"] == 2
    assert any("'HER2-' = 'HER2+'" in sentence and 'normaliser = "plain"' in sentence for sentence in found["verdict"])
    assert found["balance"]["train"]["most_frequent"] == [["HER2-", 3], ["0", 2]]
    safe = audit.audit({"train": rows}, normalise=SAFE)
    assert safe["merged"] == {"normaliser": SAFE, "classes": 0, "losing": 0, "listed": [], "warning": ""}
    assert set(NORMALISERS) == {"none", "plain", "lower", "m3ae", "mevf"}
