"""Every figure by hand, intervals against what theory says, and no torch on the way."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discern_vqa.errors import DataError
from discern_vqa.measurements import warnings
from discern_vqa.measurements.vocabulary import ceiling
from discern_vqa.report.terminal import as_table, score_rows
from discern_vqa.scoring import predictions
from discern_vqa.scoring.intervals import clustered_bootstrap, interval, wilson
from discern_vqa.scoring.metrics import check_parts, figure, score
from discern_vqa.scoring.predictions import Prediction


def row(number: int, right: bool, answer_type: str = "closed", **more: str) -> Prediction:
    fields = {"image": f"{number}.png", "organ": "head", "question_type": "PRES"} | more
    return Prediction(
        id=str(number), gold="yes", prediction="yes" if right else "no", answer_type=answer_type, **fields
    )


def test_figures_equal_what_is_counted_by_hand() -> None:
    rows = [row(i, i < 3) for i in range(4)] + [row(4 + i, i < 1, "open", organ="chest") for i in range(6)]
    scores = score(rows)
    assert (scores["n"], scores["images"]) == (10, 10)
    assert scores["overall"]["correct"] == 4
    assert scores["overall"]["accuracy"] == 0.4
    assert scores["closed"]["accuracy"] == 0.75
    assert scores["open"]["accuracy"] == pytest.approx(1 / 6)
    assert list(scores["by"]["organ"]) == ["chest", "head"]
    assert scores["by"]["question_type"]["PRES"]["n"] == 10
    assert "unknown" not in scores
    assert "twins" not in scores
    assert "phrase_type" not in scores["by"]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.booleans(), st.sampled_from(["open", "closed", ""])), min_size=1, max_size=40))
def test_overall_is_the_exact_weighted_mean_of_its_parts(kinds: list[tuple[bool, str]]) -> None:
    scores = score([row(i, right, kind) for i, (right, kind) in enumerate(kinds)])
    parts = [scores[name] for name in ("open", "closed", "unknown") if name in scores and scores[name]["n"]]
    assert scores["overall"]["n"] == sum(part["n"] for part in parts)
    assert scores["overall"]["accuracy"] * len(kinds) == pytest.approx(
        sum(part["accuracy"] * part["n"] for part in parts)
    )
    check_parts(scores, "here")


def test_a_table_that_does_not_add_up_is_refused() -> None:
    scores = score([row(0, True), row(1, False, "open")])
    scores["overall"]["correct"] = 2
    with pytest.raises(DataError, match="scores.json: overall says 2 of 2"):
        check_parts(scores, "scores.json")


def test_a_part_without_questions_has_no_accuracy() -> None:
    assert score([row(0, True)])["open"] == {"n": 0, "correct": 0, "accuracy": None, "ci95": None}


def test_the_normaliser_decides_what_is_the_same_and_an_empty_answer_is_never_right() -> None:
    def one(prediction: str, gold: str, normalise: str) -> int:
        made = Prediction(id="1", image="a", gold=gold, answer_type="open", prediction=prediction)
        return int(score([made], normalise)["overall"]["correct"])

    assert one("Right  lung", "right lung", "lower") == 1
    assert one("Yes", "yes", "none") == 0
    assert one("", "the", "m3ae") == 0


def test_a_pair_of_twins_counts_only_when_both_are_right() -> None:
    rows = [
        row(0, True, twin="a"),
        row(1, True, twin="a"),
        row(2, True, twin="b"),
        row(3, False, twin="b"),
        row(4, True, twin="alone"),
        row(5, True),
    ]
    twins = score(rows)["twins"]
    assert (twins["n"], twins["correct"], twins["accuracy"]) == (2, 1, 0.5)


def test_no_rows_and_doubled_rows_are_refused() -> None:
    with pytest.raises(DataError, match="no predictions"):
        score([])
    with pytest.raises(DataError, match="same id"):
        score([row(1, True), row(1, True)])


def test_wilson_gives_the_printed_values() -> None:
    assert wilson(355, 451) == pytest.approx((0.747, 0.822), abs=5e-4)
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(10, 10)[1] == pytest.approx(1.0)
    with pytest.raises(ValueError, match="correct=1, n=0"):
        wilson(1, 0)


def test_with_one_question_per_image_the_bootstrap_is_the_binomial_interval() -> None:
    n, share = 400, 0.7
    right = np.arange(n) < share * n
    low, high = clustered_bootstrap(right, [str(i) for i in range(n)])
    half = 1.96 * (share * (1 - share) / n) ** 0.5
    assert low == pytest.approx(share - half, abs=0.006)
    assert high == pytest.approx(share + half, abs=0.006)


def test_when_images_decide_the_interval_is_as_wide_as_if_only_images_counted() -> None:
    images, each = 100, 9
    right = np.repeat(np.arange(images) < 60, each)
    low, high = clustered_bootstrap(right, [str(i) for i in np.repeat(np.arange(images), each)])
    half = 1.96 * (0.6 * 0.4 / images) ** 0.5
    assert low == pytest.approx(0.6 - half, abs=0.015)
    assert high == pytest.approx(0.6 + half, abs=0.015)


def test_the_bootstrap_repeats_itself_and_does_not_depend_on_the_order_of_rows() -> None:
    rng = np.random.default_rng(3)
    right, images = rng.random(60) < 0.5, [str(i) for i in rng.integers(0, 25, 60)]
    order = rng.permutation(60)
    again = clustered_bootstrap(right[order], [images[i] for i in order])
    assert clustered_bootstrap(right, images) == again
    assert clustered_bootstrap(right, images, seed=1) != again


def test_all_right_and_few_images_still_leave_room_for_doubt() -> None:
    assert interval([True] * 40, ["a"] * 20 + ["b"] * 20) == wilson(2, 2)
    assert interval([True] * 40, [str(i) for i in range(40)]) == wilson(40, 40)
    low, high = interval([True, False, True, True], ["a", "a", "b", "c"])
    assert (low, high) == wilson(0.75 * 3, 3)


def test_scoring_does_not_wake_torch() -> None:
    code = (
        "import sys; from discern_vqa.scoring import predictions, metrics, intervals; "
        "from discern_vqa.report import terminal; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_file_is_scored_and_printed_with_baselines_controls_and_a_warning(tmp_path: Path) -> None:
    predictions.write(tmp_path / "p.jsonl", [row(i, i % 4 != 0, twin=f"t{i // 2}") for i in range(80)])
    scores = score_rows(predictions.read(tmp_path / "p.jsonl"), tmp_path / "p.jsonl")
    assert scores["overall"]["accuracy"] == 0.75
    assert "WARNING" not in as_table(scores)
    weak, strong = {"overall": figure(np.arange(80) < 20, [str(i) for i in range(80)])}, {"overall": scores["overall"]}
    scores |= {"split": "test", "baselines": {"majority": weak, "image_identity": strong}, "controls": {"blank": weak}}
    scores["vocabulary"] = {"size": 2, "coverage": 0.9}
    table = as_table(scores, "cmdpi")
    assert table.splitlines()[0].startswith("test: 80 questions about 80 images, answers compared by 'm3ae'")
    assert "cmdpi" in table
    assert table.index("image_identity") < table.index("majority") < table.index("blank")
    assert "25.0 [" in table
    assert "vocabulary: 2 answers can be given; they cover 90.0 % of the questions, and no score can be higher" in table
    warned = [line for line in table.splitlines() if line.startswith("WARNING")]
    assert len(warned) == 1
    assert "not shown to be better than a model that sees no pixels: image_identity reaches 75.0 [" in warned[0]
    assert warned[0].endswith("; the intervals overlap")
    paired = {"image_identity": {"verdict": "better", "p": 0.01, "tests": 1}}
    assert not warnings(scores | {"paired": paired}), "a paired test knows better"


@pytest.mark.parametrize(
    ("mode", "own", "told"),
    [
        ("classify", {}, "no score can be higher"),
        ("classify_typed", {}, "no score can be higher"),
        ("generate", {"free_text": {}}, "no ceiling for 'generate', which writes others too"),
        ("hybrid", {"free_text": {}}, "no ceiling for 'hybrid', which writes others too"),
        ("rank", {"candidates": {"n": 7}}, "'rank' takes one of the 7 training answers in their own words"),
    ],
)
def test_the_answer_table_is_a_ceiling_for_a_classifier_alone(mode, own, told) -> None:
    scores = {"mode": mode, "modes": {mode: own}, "vocabulary": {"size": 2, "coverage": 0.9}}
    assert told in ceiling(scores)
    assert ("no score can be higher" in ceiling(scores)) == (not own)
    assert "cover 90.0 % of the questions" in ceiling(scores)
    assert ceiling({"mode": mode}) == ""


def test_a_model_that_does_not_need_its_image_is_warned_of() -> None:
    scores = score([row(i, i % 2 == 0) for i in range(40)])
    scores["controls"] = {"blank_image": {"overall": scores["overall"]}}
    assert "the image hardly matters to this model: blank_image" in warnings(scores)[0]


def test_multiple_choice_is_a_part_of_its_own_and_overall_counts_it():
    rows = [row(1, True, "open"), row(2, True, "choice"), row(3, False, "choice"), row(4, True, "")]
    scores = score(rows)
    assert {part: scores[part]["n"] for part in ("open", "closed", "choice", "unknown")} == {
        "open": 1, "closed": 0, "choice": 2, "unknown": 1,
    }  # fmt: skip
    assert scores["choice"]["accuracy"] == 0.5
    check_parts(scores, "these")
    assert "choice" not in score(rows[:1])
