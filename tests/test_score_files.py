"""Predictions files of other programs: what docs/score.md promises, how they are joined, and what is refused."""

import json
import re
import shlex
import shutil
from pathlib import Path

import _other_programs as other
import pytest

from discern_vqa import cli
from discern_vqa.errors import ConfigError, DataError, DiscernError
from discern_vqa.scoring import given_files, tools
from discern_vqa.scoring.how_given import HowGiven, pairs

PAGE = (Path(__file__).parents[1] / "docs" / "score.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^(?:\|.*\| `)?(discern score [^`|\n]+?)`?(?: \|)?$", PAGE, re.MULTILINE)
# file -> right answers, questions, images, and the protocol of the headline
FIGURES = {
    "predictions.test.jsonl": (6, 6, 3, None),
    "mine.jsonl": (3, 6, 3, "extracted"),
    "reasoning.jsonl": (6, 6, 6, "extracted"),
    "predictions.csv": (3, 6, 3, "extracted"),
    "slake_samples.jsonl": (3, 6, 3, "extracted"),
    "results.json": (3, 6, 3, "extracted"),
    "answers.jsonl": (3, 6, 3, "extracted"),
    "MyModel_VQA.xlsx": (3, 4, 4, "extracted"),
    "log.eval": (3, 6, 3, "extracted"),
    "log.json": (3, 6, 3, "extracted"),
    "scenario_state.json": (3, 6, 3, "extracted"),
    "answers.csv": (4, 7, 3, "extracted"),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    other.write_all(folder)
    return folder


def run(command: str, capsys) -> tuple[int, str, str]:
    code = cli.main(shlex.split(command)[1:])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_of_the_page_gives_the_figures_of_its_file(command, files, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(files)
    code, out, err = run(f"{command} --json {tmp_path / 'scores.json'}", capsys)
    assert code == 0, err
    scores = json.loads((tmp_path / "scores.json").read_text())
    right, n, images, protocol = FIGURES[shlex.split(command)[2]]
    assert (scores["overall"]["correct"], scores["n"], scores["images"]) == (right, n, images)
    assert scores.get("protocol") == protocol
    if "--data" in command:
        assert "6 of 6 lines were joined" in out
        assert (scores["open"]["n"], scores["closed"]["n"]) == (4, 2)
    again = next(line for line in out.splitlines() if line.startswith("next: "))
    if command == COMMANDS[4]:
        assert run(again.removeprefix("next: "), capsys)[0] == 0


def test_the_page_has_a_command_for_every_program():
    assert {shlex.split(command)[2] for command in COMMANDS} == set(FIGURES)
    assert all(f"`{name}`" in PAGE.replace("`--from lmms-eval`", "`lmms-eval`") for name in tools.names())


def test_free_text_is_shown_protocol_beside_protocol_and_what_was_taken_out_is_counted(files, tmp_path, capsys):
    out = tmp_path / "scores.json"
    _, said, _ = run(f"discern score {files}/reasoning.jsonl --json {out}", capsys)
    scores = json.loads(out.read_text())
    assert {name: figure["overall"]["correct"] for name, figure in scores["protocols"].items()} == {
        "extracted": 6, "ours": 1, "medevalkit": 6, "medevalkit_slake": 6, "llava_med": 6,
    }  # fmt: skip
    rules = {"reasoning": 1, "answer tag": 2, "box": 1, "phrase": 1, "option": 0, "yes or no": 1}
    assert scores["extraction"] == rules | {"touched": 5, "empty": 0}
    assert "WARNING: the same answers are worth 16.7 % by ours and 100.0 % by extracted" in said
    _, said, _ = run(f"discern score {files}/reasoning.jsonl --protocol m3ae,medevalkit", capsys)
    assert "Whole texts are compared by m3ae, which" in said
    _, said, _ = run(f"discern score {files}/reasoning.jsonl --protocol medevalkit", capsys)
    assert "WARNING" not in said


def test_an_answer_with_another_sign_is_not_right_in_the_headline(tmp_path, capsys):
    other.as_json(
        tmp_path / "p.json", [{"gold": "<5 mm", "response": "Answer: >5 mm"}, {"gold": "ct", "response": "CT."}]
    )
    said = run(f"discern score {tmp_path}/p.json", capsys)[1]
    assert "answers are compared by 'plain', since 'm3ae' takes '>5 mm' for '<5 mm'" in said
    assert re.search(r"^extracted +50\.0 ", said, re.MULTILINE)
    assert "compares in its own way" in said
    said = run(f"discern score {tmp_path}/p.json --normalise m3ae", capsys)[1]
    assert re.search(r"^extracted +100\.0 ", said, re.MULTILINE)
    assert "WARNING: 1 of the answers that count as right say something else" in said


def test_answers_that_are_chosen_from_a_list_are_scored_as_they_stand(files, tmp_path, capsys):
    said = run(f"discern score {files}/predictions.test.jsonl", capsys)[1]
    assert "extracted" not in said
    lines = [record | {"id": str(record["id"]), "prediction": "No, none."} for record in other.ours()]
    for name, more in (("a", {"alternatives": [["No, none.", 0.9]]}), ("b", {})):
        (tmp_path / name).mkdir()
        other.lines(tmp_path / name / "predictions.test.jsonl", [line | more for line in lines])
    (tmp_path / "b" / "config.json").write_text("{}")
    for name in "ab":  # a model that names alternatives, and a file in a run folder
        assert "extracted" not in run(f"discern score {tmp_path / name / 'predictions.test.jsonl'}", capsys)[1]


def test_answers_in_a_run_folder_are_compared_as_they_stand(tmp_path):
    from discern_vqa.scoring.compare import read_answerers

    rows = [record | {"id": str(record["id"]), "prediction": "No, none."} for record in other.ours()]
    for name in "ab":
        (tmp_path / name).mkdir()
        other.lines(tmp_path / name / "predictions.test.jsonl", rows)
        (tmp_path / name / "config.json").write_text("{}")
    other.lines(tmp_path / "c.jsonl", rows)
    runs = [str(tmp_path / name) for name in "ab"]
    assert {row.prediction for model in read_answerers(runs) for row in model.seeds[0]} == {"No, none."}
    with_text = read_answerers([*runs, str(tmp_path / "c.jsonl")])
    assert [model.seeds[0][0].prediction for model in with_text] == ["No"] * 3


def test_what_is_written_out_is_compared_with_the_file_itself(files, tmp_path, capsys):
    out = tmp_path / "p.jsonl"
    assert run(f"discern score {files}/results.json --data csv {files}/hospital.csv --out {out}", capsys)[0] == 0
    first = json.loads(out.read_text().split("\n")[0])
    assert (first["image"], first["organ"], first["gold"], first["prediction"]) == (
        "p0.png",
        "abdomen",
        "yes",
        "Yes, there is.",
    )
    code, said, _ = run(f"discern compare {out} {files}/MyModel_VQA.xlsx", capsys)
    assert code == 2
    shutil.copy(out, tmp_path / "q.jsonl")
    code, said, _ = run(f"discern compare {out} {tmp_path / 'q.jsonl'}", capsys)
    assert code == 0
    assert "after they were taken out of free text" in said
    assert re.search(r"^p +50\.0 ", said, re.MULTILINE)
    assert run(f"discern score {files}/mine.jsonl --out {files}/mine.jsonl", capsys)[0] == 2


@pytest.mark.parametrize(
    ("command", "error", "right"),
    [
        ("answers.csv", "it looks like cp1252", None),
        ("answers.csv --option encoding=cp1252", "columns are: Nr, Bild, Frage, Wahrheit, Modell, Typ, Sicherheit", 4),
        ("answers.csv --option encoding=cp1252 --columns prediction=Modell", "true answers (gold)", 4),
        ("typed.csv", "answer_type is 'frei', 'zu'", 2),
        ("answers.csv --from helm --option encoding=cp1252", "is no file of helm", None),
        ("two_sheets.xlsx", "2 sheets that hold something", 1),
    ],
)
def test_an_error_hints_at_a_command_that_works(command, error, right, files, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(files)
    other.lines(files / "typed.csv", [])
    (files / "typed.csv").write_text("id,answer_type,gold,prediction\n1,frei,liver,liver\n2,zu,no,No\n")
    book = other.Workbook()
    for sheet in (book.active, book.create_sheet("notes")):
        for row in (["id", "gold", "prediction"], ["1", "yes", "yes"]):
            sheet.append(row)
    book.save(files / "two_sheets.xlsx")
    code, _, err = run(f"discern score {command}", capsys)
    assert code == 2
    assert error in err
    hinted = err.splitlines()[1]
    again = hinted[hinted.index("discern score") :]
    code, _, err = run(f"{again} --json {tmp_path / 's.json'}", capsys)
    if right is None:  # one thing is put right, and the next is said
        assert code == 2
        assert error not in err
        assert "discern score answers.csv --columns gold=Wahrheit,prediction=Modell" in err
    else:
        assert code == 0, err
        assert json.loads((tmp_path / "s.json").read_text())["overall"]["correct"] == right


GOOD = {"id": "1", "image": "a", "gold": "yes", "answer_type": "closed", "prediction": "yes"}


@pytest.mark.parametrize(
    ("records", "error"),
    [
        ([GOOD, GOOD], r"p.jsonl:2: the id '1' stands already in p.jsonl:1"),
        (
            [GOOD, {**GOOD, "id": "2", "prediction": ["a", "b"]}],
            r"p.jsonl:2: 'prediction' is \['a', 'b'\]; expected text",
        ),
        ([GOOD, {key: GOOD[key] for key in ("image", "gold")} | {"id": "2"}], r"p.jsonl:2: missing prediction"),
        ([{**GOOD, "gold": ""}], r"1 of 1 questions have no true answer"),
        ([{**GOOD, "score": 0.5}, {**GOOD, "id": "2", "score": 120}], r"p.jsonl:2: score must be a number"),
        ([{**GOOD, "score": "sure"}], r"p.jsonl:1: score must be"),
        ([{**GOOD, "alternatives": [["no"]]}], r"alternatives must be a list"),
        ([{"doc_id": 0, "target": "1", "filtered_resps": [[-3.0, False]]}], r"a log-likelihood, no text"),
        ([{"question_id": 1, "text": "yes", "prompt": "?"}], r"have no true answer"),
        ([], r"holds no predictions"),
        ([[1]], r"expected an object"),
    ],
)
def test_a_line_that_cannot_be_scored_is_named(records, error, tmp_path):
    file = tmp_path / "p.jsonl"
    other.lines(file, records)
    with pytest.raises(DataError, match=error) as caught:
        given_files.require_truths(file, given_files.read(file, HowGiven(file)).rows)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("content", "answers"),
    [
        ([{"answer": "no", "response": "No"}], ["No"]),
        ([{"gt_answer": "no", "answer": "yes"}], ["yes"]),
        ({"model": "m", "results": [{"label": "no", "output": "yes", "confidence": "93 %"}]}, ["yes"]),
        ({"17": {"target": 2, "pred": 2.0}, "18": {"target": 3, "pred": None}}, ["2", ""]),
    ],
)
def test_lists_and_objects_with_usual_names_are_read(content, answers, tmp_path):
    other.as_json(tmp_path / "p.json", content)
    given = given_files.read(tmp_path / "p.json", HowGiven(tmp_path / "p.json"))
    assert [row.prediction for row in given.rows] == answers
    if "results" in content:
        assert given.rows[0].score == 0.93
        assert not given.has_ids


def test_epochs_and_filters_are_told_apart_and_nothing_is_lost_in_silence(tmp_path):
    samples = [{**sample, "epoch": epoch} for epoch in (1, 2) for sample in other.inspect()[:2]]
    other.archive(tmp_path / "log.eval", samples)
    given = given_files.read(tmp_path / "log.eval", HowGiven(tmp_path / "log.eval"))
    assert {row.id for row in given.rows} == {f"{i} (epoch {epoch})" for i in (11, 12) for epoch in (1, 2)}
    assert "every question was asked in 2 epochs, and each answer counts" in given.notes
    lines = [{**line, "filter": name} for line in other.lmms_eval() for name in ("strict", "loose")]
    other.lines(tmp_path / "s.jsonl", lines)
    given = given_files.read(tmp_path / "s.jsonl", HowGiven(tmp_path / "s.jsonl"))
    assert len(given.rows) == 6
    assert "the answers of the filter 'strict' are taken; 6 lines of loose are left out" in given.notes
    (tmp_path / "broken.eval").write_bytes(b"PK")
    with pytest.raises(DataError, match="no log of Inspect"):
        given_files.read(tmp_path / "broken.eval", HowGiven(tmp_path / "broken.eval"))


def test_options_of_the_command_line_are_read_as_pairs_and_wrong_ones_are_said(tmp_path):
    assert pairs(["a=b,c=d, e", "f=g"], "--columns", "x=y") == {"a": "b", "c": "d, e", "f": "g"}
    with pytest.raises(ConfigError, match="does not have the form"):
        pairs(["gold"], "--columns", "gold=answer")
    file = tmp_path / "p.jsonl"
    other.lines(file, [GOOD])
    for how, error in (
        ({"columns": {"golden": "gold"}}, "no field 'golden'"),
        ({"columns": {"gold": "goId"}}, "no column 'goId'"),
        ({"values": {"closed": "shut"}}, "no answer type 'shut'"),
        ({"options": {"comma": ";"}}, "no option 'comma'"),
        ({"tool": "lmms_eva"}, "no program 'lmms_eva'"),
    ):
        with pytest.raises(DiscernError, match=error) as caught:
            given_files.read(file, HowGiven(file, **how))
        assert caught.value.hint


def test_multiple_choice_goes_from_a_data_set_to_the_figures(tmp_path, capsys):
    other.Image.new("L", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "set.csv").write_text(
        "id,image,question,answer,answer_type,choices\n1,a.png,What?,MRI,Multiple choice,CT | MRI\n"
    )
    other.as_json(tmp_path / "p.json", {"1": "(B)"})
    out = tmp_path / "out.jsonl"
    code, said, _ = run(f"discern score {tmp_path}/p.json --data csv {tmp_path}/set.csv --out {out}", capsys)
    assert code == 0
    assert "joined with csv (1 by id, unchecked" in said
    (record,) = map(json.loads, out.read_text().splitlines())
    assert (record["answer_type"], record["options"], record["gold"]) == ("choice", ["CT", "MRI"], "MRI")
    code, said, _ = run(f"discern score {out} --protocol extracted,medevalkit_choice,ours", capsys)
    assert re.findall(r"^(\w+) +1  +([\d.]+) ", said, re.MULTILINE) == [
        ("extracted", "100.0"), ("medevalkit_choice", "0.0"), ("ours", "0.0"),
    ]  # fmt: skip
