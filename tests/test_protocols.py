"""Published protocols as presets: what each takes, how it compares, and the sizes of its parts on VQA-RAD."""

import json
from dataclasses import replace

import pytest

from discern_vqa import cli
from discern_vqa.data.answers import Answer
from discern_vqa.datasets import vqa_rad
from discern_vqa.errors import ConfigError, DataError
from discern_vqa.scoring import predictions
from discern_vqa.scoring.predictions import Prediction
from discern_vqa.scoring.protocols import CLEANING, PROTOCOLS, as_table, chosen, read_answers, score_protocols


def row(number: int, said: str, true: str, kind: str = "closed", phrase: str = "freeform") -> Prediction:
    return Prediction(
        id=str(number), image=f"{number}.png", gold=true, answer_type=kind, prediction=said, phrase_type=phrase
    )


def credit(name: str, said: str, true: str, kind: str = "closed", answers: list[str] | None = None) -> float:
    scored = score_protocols([row(0, said, true, kind)], [name], answers)[name]
    return scored["overall"]["correct"]


@pytest.fixture(scope="module")
def rad(real_data):
    """The usual test split, answered with the truth, and its training answers."""
    root = real_data("vqa_rad")
    test = vqa_rad.read(root, "test")
    rows = predictions.from_answers(test, [Answer(sample.answer, 1.0) for sample in test])
    return rows, [sample.answer for sample in vqa_rad.read(root, "train")]


LISTLESS = [name for name in PROTOCOLS if name not in ("in_vocabulary", "medevalkit_choice")]
"""Those that need no list of answers."""

SIZES = {
    "ours": (451, 179, 272),
    "extracted": (451, 179, 272),
    "m3ae": (451, 179, 272),
    "mevf_all": (451, 179, 272),
    "mevf_freeform": (308, 123, 185),
    "mumc": (451, 179, 272),
    "mumc_contained": (451, 179, 272),
    "yes_no_closed": (451, 200, 251),
    "hub": (451, 200, 251),
    "medevalkit": (451, 200, 251),
    "medevalkit_slake": (451, 179, 272),
    "llava_med": (451, 179, 272),
    "llava_med_candidates": (451, 179, 272),
    "snapped": (451, 179, 272),
    "in_vocabulary": (407, 141, 266),
}


def test_the_parts_of_vqa_rads_test_split_have_the_published_sizes(rad):
    rows, learned = rad
    scores = score_protocols(rows, answers=learned)
    assert "451 of 451 lines have no options" in scores.pop("medevalkit_choice")["skipped"]
    assert {name: (one["n"], one["open"]["n"], one["closed"]["n"]) for name, one in scores.items()} == SIZES
    assert {*SIZES, "medevalkit_choice"} == set(PROTOCOLS)


def test_the_truth_is_right_under_every_protocol_but_one_that_cannot_say_so(rad):
    scores = score_protocols(rad[0], LISTLESS)
    for name, one in scores.items():
        if name.startswith("llava_med"):
            # closed answers other than yes and no are never right there, "normal" and "none" by their letters apart
            assert 251 <= one["closed"]["correct"] < 272
        else:
            assert one["closed"]["accuracy"] == 1
        if name != "llava_med_candidates":
            assert one["open"]["accuracy"] == 1
    # The first candidate whose words were all said wins, so that a shorter answer within the true one takes its place.
    assert scores["llava_med_candidates"]["open"]["accuracy"] < 1


def test_a_protocol_that_needs_what_the_file_does_not_say_is_not_applied_and_says_why(rad):
    bare = [replace(row, phrase_type="") for row in rad[0]]
    scores = score_protocols([*bare[:-2], *rad[0][-2:]], ["ours", "mevf_freeform", "in_vocabulary"])
    assert scores["mevf_freeform"]["skipped"] == "449 of 451 lines have no phrase_type"
    assert "--answers" in scores["in_vocabulary"]["skipped"]
    assert "overall" not in scores["mevf_freeform"]
    text = as_table(scores)
    assert "not applied: mevf_freeform: 449 of 451 lines have no phrase_type" in text
    untyped = [replace(row, answer_type="") for row in rad[0]]
    scores = score_protocols(untyped)
    assert "no answer_type" in scores["llava_med"]["skipped"]
    assert scores["ours"]["unknown"]["n"] == 451
    assert (scores["hub"]["open"]["n"], scores["hub"]["closed"]["n"]) == (200, 251)
    paraphrases = [row for row in rad[0] if row.phrase_type == "para"]
    assert "no line is a question" in score_protocols(paraphrases, ["mevf_freeform"])["mevf_freeform"]["skipped"]


def test_the_owners_spelling_of_phrase_types_is_understood():
    rows = [row(0, "yes", "yes", phrase="test_freeform"), row(1, "yes", "yes", phrase="test_para")]
    assert score_protocols(rows, ["mevf_freeform"])["mevf_freeform"]["n"] == 1


@pytest.mark.parametrize(
    ("name", "said", "true", "kind", "expected"),
    [
        ("ours", "Chest X-ray", "chest xray", "open", 0),
        ("mevf_all", "Chest X-ray", "chest xray", "open", 1),
        ("ours", "the right lung.", "right lung", "open", 1),
        ("hub", "the right lung", "right lung", "open", 0),
        ("mumc", "5.1 cm", "51 cm", "open", 1),
        ("ours", "5.1 cm", "51 cm", "open", 0),
        ("mumc", "t2 - weighted", "T2-weighted", "open", 1),
        ("mumc", "right", "right lung", "open", 0),
        ("mumc_contained", "right", "right lung", "open", 1),
        ("mumc_contained", "right lung", "right", "open", 0),
        ("mumc_contained", "", "right lung", "open", 0),
        ("llava_med", "it is in the right upper lobe", "right lower lobe", "open", 2 / 3),
        ("llava_med", "lobe lobe", "right lobe", "open", 2 / 3),  # a word said twice counts twice there
        ("llava_med", "yes, there is", "yes", "closed", 1),
        ("llava_med", "yes and no", "no", "closed", 1),
        ("llava_med", "mri", "MRI", "closed", 0),
        ("llava_med", "normal", "no", "closed", 1),  # its letters
        ("medevalkit", "normal", "no", "closed", 1),
        ("medevalkit", "yes and no", "no", "closed", 0),
        ("medevalkit", "yes, there is", "yes", "closed", 1),
        ("medevalkit", "mri", "MRI", "closed", 1),  # open there: exact
        ("yes_no_closed", "yes, there is", "yes", "closed", 0),
    ],
)
def test_each_protocol_compares_as_its_program_does(name, said, true, kind, expected):
    assert credit(name, said, true, kind) == pytest.approx(expected)


def test_answers_snap_to_the_nearest_known_one():
    known = ["left lung", "right lung", "liver"]
    assert credit("snapped", "rigth lungs", "right lung", "open", known) == 1
    assert credit("snapped", "rigth lungs", "left lung", "open", known) == 0
    assert credit("llava_med_candidates", "in the liver of this man", "liver", "open", known) == 1
    assert credit("llava_med_candidates", "a lung", "left lung", "open", known) == 1, "of equals the first"
    assert credit("llava_med_candidates", "a lung", "right lung", "open", known) == 0
    rows = [row(0, "left", "left lung", "open"), row(1, "spleen", "liver", "open")]
    assert score_protocols(rows, ["snapped"])["snapped"]["overall"]["correct"] == 1


def test_cleaning_keeps_what_it_made_and_never_makes_nothing():
    for text in ("X-Ray - chest", "?", "a  b", "5.1", "x ray", "...", "T2 - weighted , axial"):
        for clean in CLEANING.values():
            assert clean(clean(text)) == clean(text)
            assert clean(text)


def test_names_are_chosen_and_a_wrong_one_is_said():
    assert chosen("all") == list(PROTOCOLS)
    assert chosen("hub, ours,hub") == ["hub", "ours"]
    for wrong in ("oors", "", "quite another"):
        with pytest.raises(ConfigError) as caught:
            chosen(wrong)
        assert "ours" in caught.value.hint


def test_known_answers_are_read_from_a_run_or_a_text_file(tiny_run, tmp_path):
    from discern_vqa.run import Run

    assert read_answers(tiny_run) == list(Run.open(tiny_run).vocabulary.answers)
    assert read_answers(tiny_run / "vocabulary.json") == read_answers(tiny_run)
    (tmp_path / "answers.txt").write_text("yes\n no \n\n")
    assert read_answers(tmp_path / "answers.txt") == ["yes", "no"]
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "other.json").write_text("[1]")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    wrong = (("gone", "there is no file"), ("empty.txt", "holds no answers"), ("other.json", "no vocabulary"))
    for path, said in (*wrong, ("deep.json", "nested too deep")):
        with pytest.raises(DataError, match=said):
            read_answers(tmp_path / path)


def test_overall_is_the_weighted_mean_of_its_parts_also_where_credit_is_partial():
    rows = [row(i, "right upper lobe", "right lobe" if i % 2 else "left lobe", "open") for i in range(7)]
    rows += [row(7 + i, "yes", "yes" if i % 3 else "no") for i in range(11)]
    for one in score_protocols(rows, LISTLESS).values():
        parts = [one[part] for part in ("open", "closed")]
        mean = sum(part["n"] * part["accuracy"] for part in parts) / one["n"]
        assert one["overall"]["accuracy"] == pytest.approx(mean)
        assert one["overall"]["ci95"][0] <= mean <= one["overall"]["ci95"][1]


def test_the_verb_shows_protocols_free_text_and_tables_and_refuses_what_does_not_go_together(tmp_path, capsys):
    predictions.write(tmp_path / "p.jsonl", [row(i, "yes", "yes" if i % 3 else "no") for i in range(30)])
    (tmp_path / "t.csv").write_text("model,open,closed,overall\na,50,70,80\n")
    file, table, out = str(tmp_path / "p.jsonl"), str(tmp_path / "t.csv"), tmp_path / "out.json"
    assert cli.main(["score", file, "--protocol", "ours,hub", "--free-text", "--json", str(out)]) == 0
    said, content = capsys.readouterr().out, json.loads(out.read_text())
    assert list(content["protocols"]) == ["ours", "hub"]
    assert "ROUGE-L" in said
    assert content["free_text"]["exact"]["overall"]["value"] == pytest.approx(2 / 3)
    assert cli.main(["score", "--check-table", table, "--counts", "10/20", "--json", str(out)]) == 0
    assert "1 impossible" in capsys.readouterr().out
    assert json.loads(out.read_text())["impossible"] == 1
    for wrong, error in (
        ([], "nothing to score"),
        ([file, "--counts", "1/2"], "--counts belongs to --check-table"),
        ([file, "--answers", file], "--answers belongs to --protocol"),
        ([file, "--check-table", table], "checked without predictions"),
        ([file, "--protocol", "mine"], "no protocol 'mine'"),
    ):
        assert cli.main(["score", *wrong]) == 2
        first, second = capsys.readouterr().err.splitlines()
        assert error in first
        assert second.startswith("try: ")
