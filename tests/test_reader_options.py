"""Options of readers on the command line and in recipes: one of another kind than its reader says is a mistake."""

import pytest

from discern_vqa import cli
from discern_vqa.config import DataConfig
from discern_vqa.datasets import csv, jsonl
from discern_vqa.errors import ConfigError
from discern_vqa.recipe_samples import Samples


def said(line: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    assert cli.main(line) == 2
    first, second = capsys.readouterr().err.splitlines()
    return first, second


@pytest.mark.parametrize(
    ("option", "error"),
    [
        ("delimiter=ab", "the delimiter is 'ab'; expected one character"),
        ("delimiter=5", "--option delimiter=5: Input should be a valid string"),
        ("encoding=5", "--option encoding=5: Input should be a valid string"),
        ("encoding=null", "--option encoding=null: Input should be a valid string"),
        ("images=2023", "--option images=2023: Input should be a valid string"),
        ("columns=5", "--option columns=5: Input should be a valid"),
        ('columns={"question": 5}', "Input should be a valid string"),
        ("skipped=[]", "csv has no option 'skipped'"),
    ],
)
def test_an_option_of_another_kind_is_refused(tmp_path, capsys, option, error):
    csv.write_tiny(tmp_path)
    first, second = said(["data", "audit", "csv", str(tmp_path), "--option", option], capsys)
    assert error in first
    assert second.startswith("try: ")
    assert "skipped" not in second


def test_a_number_in_quotes_is_text(tmp_path, capsys):
    csv.write_tiny(tmp_path)
    (tmp_path / "2023").mkdir()
    (tmp_path / "scans").rename(tmp_path / "2023" / "scans")
    out = str(tmp_path / "out.jsonl")
    assert cli.main(["data", "convert", "csv", str(tmp_path), out, "--option", 'images="2023"']) == 0


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"delimiter": 5}, r"\[data\] options: delimiter=5: Input should be a valid string"),
        ({"columns": {"question": 5}}, r"\[data\] options: columns=.*: Input should be a valid string"),
        ({"skipped": []}, "csv has no option 'skipped'"),
        ({"delimitr": ","}, "csv has no option 'delimitr'"),
    ],
)
def test_a_recipes_options_are_held_to_the_same(tmp_path, options, error):
    csv.write_tiny(tmp_path)
    with pytest.raises(ConfigError, match=error) as caught:
        Samples(DataConfig(dataset="csv", options=options), tmp_path, 0).held_out()
    assert caught.value.hint
    assert "index" not in caught.value.hint


@pytest.mark.parametrize(
    "options",
    [{"delimiter": 5}, {"delimiter": chr(34)}, {"encoding": None}, {"columns": 5}, {"columns": {"image": 5}}],
    ids=str,
)
def test_who_calls_a_reader_hears_of_it_too(tmp_path, options):
    csv.write_tiny(tmp_path)
    with pytest.raises(ConfigError, match="expected") as caught:
        csv.read(tmp_path, "train", **options)
    assert caught.value.hint


def test_an_id_with_a_line_separator_survives_a_split(tmp_path, capsys):
    jsonl.write_tiny(tmp_path)
    lines = (tmp_path / jsonl.FILE).read_text().replace('"id": "3"', '"id": "3\\u2028b"')
    (tmp_path / jsonl.FILE).write_text(lines)
    out = str(tmp_path / "split")
    set_ = ["jsonl", str(tmp_path)]
    assert cli.main(["data", "split", *set_, "--out", out, "--test", "0.3", "--validation", "0"]) == 0
    assert cli.main(["data", "convert", *set_, str(tmp_path / "o.jsonl"), "--option", f"index={out}"]) == 0


def test_a_split_cannot_be_written_where_a_file_is(tmp_path, capsys):
    jsonl.write_tiny(tmp_path)
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        line = ["data", "split", "jsonl", str(tmp_path), "--out", str(out), "--test", "0.3", "--validation", "0"]
        first, second = said(line, capsys)
        assert f"cannot write {out}" in first
        assert second.startswith("try: ")
    assert (tmp_path / "file").read_text() == "mine"
