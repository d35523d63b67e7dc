"""Where a data set accepts several answers, giving any of them is right: in every figure, and in the file between."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from discern_vqa.data.answers import Answer
from discern_vqa.datasets import vqa_med_2019
from discern_vqa.errors import DataError
from discern_vqa.scoring import predictions, protocols
from discern_vqa.scoring.compare import read_answerers
from discern_vqa.scoring.free_text import free_text
from discern_vqa.scoring.metrics import rights, score
from discern_vqa.scoring.predictions import Prediction
from discern_vqa.trust import confidence
from discern_vqa.trust.calibration import Calibration

ONE = Prediction(id="1", image="a", gold="astrocytoma", answer_type="open", prediction="Glioma.", score=0.6)
TWO = replace(ONE, accepted=("glioma", "brain tumour"), alternatives=(("Glioma.", 0.6), ("astrocytoma", 0.3)))


def test_any_accepted_answer_is_right_and_no_other() -> None:
    other, empty = replace(TWO, id="2", prediction="cyst"), replace(TWO, id="3", prediction=" ")
    assert rights([TWO, other, empty, replace(ONE, id="4")]).tolist() == [True, False, False, False]
    assert score([TWO, replace(ONE, id="4")])["overall"]["correct"] == 1


def test_vqa_med_test_questions_carry_them_into_the_predictions(tmp_path: Path) -> None:
    vqa_med_2019.write_tiny(tmp_path)
    samples = vqa_med_2019.read(tmp_path, "test")
    (several,) = [sample for sample in samples if len(sample.extra.get("accepted", ())) > 1][:1]
    for said in several.extra["accepted"]:
        (row,) = predictions.from_answers([several], [Answer(said, 0.5)])
        assert rights([row]).all(), said
    plain = [sample for sample in samples if "accepted" not in sample.extra]
    assert all(row.accepted == () for row in predictions.from_answers(plain, [Answer("x", 0.5)] * len(plain)))


def test_the_file_holds_them_only_where_there_are_several(tmp_path: Path) -> None:
    rows = [TWO, replace(ONE, id="2")]
    predictions.write(tmp_path / "p.jsonl", rows)
    first, second = map(json.loads, (tmp_path / "p.jsonl").read_text().splitlines())
    assert first["accepted"] == ["glioma", "brain tumour"]
    assert "accepted" not in second
    assert predictions.read(tmp_path / "p.jsonl") == rows


@pytest.mark.parametrize("wrong", ["glioma", [3], [""], {"a": 1}])
def test_a_list_that_is_none_is_refused_with_its_line(wrong: object, tmp_path: Path) -> None:
    line = {"id": "1", "image": "a", "gold": "x", "answer_type": "open", "prediction": "y", "accepted": wrong}
    (tmp_path / "p.jsonl").write_text(json.dumps(line))
    with pytest.raises(DataError, match=r"p.jsonl:1: accepted must be a list of answers"):
        predictions.read(tmp_path / "p.jsonl")


def test_protocols_and_free_text_take_the_best_of_them() -> None:
    scores = protocols.score_protocols([TWO], ["ours"])
    assert scores["ours"]["overall"]["correct"] == 1
    text = free_text([TWO])
    assert text["exact"]["overall"]["value"] == 1.0
    assert free_text([ONE])["exact"]["overall"]["value"] == 0.0


def test_calibration_gives_the_true_answer_the_best_score_of_them() -> None:
    kind = confidence.DISTRIBUTION
    assert confidence.truth_scores([TWO], "m3ae", 1.0, kind).tolist() == [0.6]
    assert confidence.truth_scores([replace(TWO, accepted=())], "m3ae", 1.0, kind).tolist() == [0.3]
    said = ["cyst" if number % 4 == 0 else "glioma" for number in range(80)]
    many = [
        replace(TWO, id=str(number), prediction=text, alternatives=((text, 0.6), ("ct", 0.2)))
        for number, text in enumerate(said)
    ]
    assert Calibration.fit(many, "m3ae").fitted_on["accuracy"] == 0.75


def test_files_that_accept_different_answers_are_not_compared(tmp_path: Path) -> None:
    from discern_vqa.scoring.compare import compare

    for name, row in (("a", TWO), ("b", replace(TWO, accepted=("cyst",)))):
        predictions.write(tmp_path / f"{name}.jsonl", [row])
    answerers = read_answerers([str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl")], "test")
    with pytest.raises(DataError, match="another true answer"):
        compare(answerers, "m3ae")
