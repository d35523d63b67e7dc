"""Every reader's tiny set through neutral JSON Lines and Parquet and back: no known field is lost."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest
from _readers import JSON, VERBATIM, WORDS, every_layout, own_folders, readable, tiny, without_place, without_source
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from discern_vqa import cli, registry
from discern_vqa.data.sample import Sample
from discern_vqa.datasets import jsonl, parquet, slake
from discern_vqa.errors import ConfigError, DataError
from discern_vqa.reading.neutral import root_of

__all__ = ["own_folders", "tiny"]  # fixtures

unhurried = settings(deadline=None, max_examples=30, suppress_health_check=list(HealthCheck))


@every_layout
@pytest.mark.parametrize("beside", [True, False], ids=["beside the images", "in another folder"])
def test_a_set_converted_to_jsonl_reads_back_the_same(tiny, tmp_path, beside):
    reader, root = tiny
    parts = readable(reader, root)
    file = (root if beside else tmp_path / "elsewhere") / "converted.jsonl"
    samples = [sample for part in parts.values() for sample in part]
    jsonl.write(samples, file)
    for split, part in parts.items():
        again = jsonl.read(file, split)
        assert [without_source(sample) for sample in again] == [without_source(sample) for sample in part]
    moved = {sample.id for sample in samples if (file.parent / sample.image).resolve() != sample.path.resolve()}
    assert moved == {line["id"] for line in map(json.loads, file.read_text("utf-8").splitlines()) if "path" in line}


@every_layout
@pytest.mark.parametrize("name", ["converted.parquet", "folder"])
def test_a_set_converted_to_parquet_reads_back_the_same_with_its_pictures(tiny, tmp_path, name):
    reader, root = tiny
    is_dicom = reader.__name__.endswith("dicom_folder")
    if is_dicom and importlib.util.find_spec("discern_vqa.imaging.dicom") is None:
        pytest.skip("this version opens no DICOM files, and so embeds none")
    parts = readable(reader, root)
    parquet.write([sample for part in parts.values() for sample in part], tmp_path / "out" / name)
    for split, part in parts.items():
        again = parquet.read(tmp_path / "out" / name, split)
        assert [without_place(sample) for sample in again] == [without_place(sample) for sample in part]
        for there, here in zip(again, part, strict=True):
            written = there.path.read_bytes()
            assert written.startswith(b"\x89PNG") if is_dicom else written == here.path.read_bytes()
            assert there.path.is_relative_to(tmp_path / "cache")


def test_parquet_without_pictures_says_where_they_lie(tmp_path):
    slake.write_tiny(tmp_path / "tiny")
    samples = slake.read(tmp_path / "tiny", "train")
    parquet.write(samples, tmp_path / "out.parquet", embed=False)
    again = parquet.read(tmp_path / "out.parquet", "train")
    assert [without_source(sample) for sample in again] == [without_source(sample) for sample in samples]
    samples[0].path.unlink()
    with pytest.raises(DataError, match=r"out.parquet:row 1: the image 'imgs/xmlab1/source.jpg' is not at"):
        parquet.read(tmp_path / "out.parquet", "train")


def test_masks_and_label_maps_travel_with_parquet(tmp_path):
    slake.write_tiny(tmp_path / "slake")
    phantom = registry.load("datasets", "phantom")
    phantom.write_tiny(tmp_path / "phantom")
    for name, root in (("label_map", tmp_path / "slake"), ("mask", tmp_path / "phantom")):
        reader = slake if name == "label_map" else phantom
        samples = reader.read(root, "train")
        parquet.write(samples, tmp_path / f"{name}.parquet")
        seen = 0
        for sample in parquet.read(tmp_path / f"{name}.parquet", "train"):
            mask = sample.mask or sample.extra.get("label_map", "")
            if mask:
                seen += 1
                at = root_of(sample.path, sample.image) / mask
                assert at.read_bytes() == (root / mask).read_bytes()
        assert seen


def test_the_hubs_library_loads_what_is_written(tmp_path):
    slake.write_tiny(tmp_path / "slake")
    assert cli.main(["data", "convert", "slake", str(tmp_path / "slake"), str(tmp_path / "out")]) == 0
    code = """
import json, sys
from datasets import load_dataset
sets = load_dataset(sys.argv[1])
row = sets["train"][0]
print(json.dumps([sorted(sets), len(sets["train"]), row["image"].size, row["question"], row["question_type"],
                  json.loads(row["extra"])["label_map"]]))
"""
    home = {"HF_HOME": str(tmp_path / "hub"), "HF_DATASETS_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "out")], env=os.environ | home, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1]) == [
        ["test", "train", "validation"],
        5,
        [48, 40],
        "Where is the liver?",
        ["POSITION"],
        "imgs/xmlab1/mask.png",
    ]


def test_a_picture_that_many_questions_are_about_is_stored_once(tmp_path):
    picture = tmp_path / "a.png"
    Image.effect_noise((400, 400), 80).save(picture)
    samples = [
        Sample(id=str(number), split="train", image="a.png", path=picture, question="What?", answer="this")
        for number in range(200)
    ]
    parquet.write(samples, tmp_path / "out.parquet")
    assert (tmp_path / "out.parquet").stat().st_size < 2 * picture.stat().st_size
    assert len(parquet.read(tmp_path / "out.parquet", "train")) == 200


@unhurried
@given(
    rows=st.lists(
        st.builds(
            dict,
            question=WORDS,
            answer=WORDS,
            question_type=st.lists(WORDS.filter(lambda text: "," not in text), max_size=2).map(tuple),
            choices=st.lists(WORDS, max_size=2).map(tuple),
            group=VERBATIM,
            language=VERBATIM,
            extra=st.dictionaries(WORDS.map("x{}".format), JSON, max_size=2),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_any_sample_survives_the_parquet_file(tmp_path_factory, rows):
    root = tmp_path_factory.mktemp("any")
    Image.new("L", (4, 4)).save(root / "a  picture.png")
    samples = [
        Sample(id=str(number), split="train", image="a  picture.png", path=root / "a  picture.png", **row)
        for number, row in enumerate(rows)
    ]
    parquet.write(samples, root / "out.parquet")
    again = parquet.read(root / "out.parquet", "train")
    assert [without_place(sample) for sample in again] == [without_place(sample) for sample in samples]


def test_a_parquet_file_of_other_columns_is_taken_as_far_as_it_goes(tmp_path):
    import pyarrow
    import pyarrow.parquet

    image = {"path": "a.png", "bytes": b"\x89PNG\r\n\x1a\n"}
    row = {"image": image, "split": "test", "question": "What?", "answer": "x", "ward": 7, "blob": b"\0"}
    table = pyarrow.Table.from_pylist([row])
    pyarrow.parquet.write_table(table, tmp_path / "mine.parquet")
    (sample,) = parquet.read(tmp_path, "test")
    assert (sample.id, sample.answer, sample.extra) == ("1", "x", {"ward": 7})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": {"path": None, "bytes": b"x"}}, "row 1: the embedded image (1 bytes) is not a PNG, JPEG"),
        ({"image": {"path": "../a.png", "bytes": b"x"}}, "row 1: '../a.png' is not a valid file name"),
        ({"image": {"path": "/a.png", "bytes": b"x"}}, "row 1: '/a.png' is not a valid file name"),
        ({"image": {"path": "a.png", "bytes": b""}}, "row 1: the image is not embedded"),
        ({"image": {"path": "a.png", "bytes": None}}, "row 1: the image 'a.png' is not there; expected"),
        ({"extra": "{"}, "row 1: 'extra': broken JSON"),
        ({"extra": "[1]"}, "row 1: 'extra' is [1]; expected a JSON object"),
        ({"extra": '{"answer": 1}'}, "row 1: 'extra' has the name of a field, 'answer'"),
        ({"split": "tset"}, "row 1: 'split' is 'tset'"),
        ({"answer": ""}, "row 1: 'answer' is missing"),
    ],
    ids=str,
)
def test_a_broken_row_of_parquet_stops_with_its_number(tmp_path, changes, message):
    import pyarrow
    import pyarrow.parquet

    row = {"image": {"path": "a.png", "bytes": b"x"}, "split": "train", "question": "What?", "answer": "x", "extra": ""}
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([row | changes]), tmp_path / "mine.parquet")
    with pytest.raises(DataError) as caught:
        parquet.read(tmp_path / "mine.parquet", "train")
    assert message in str(caught.value)
    assert caught.value.hint


def test_what_is_no_parquet_is_said(tmp_path):
    (tmp_path / "mine.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(DataError, match="the Parquet file is damaged"):
        parquet.read(tmp_path / "mine.parquet", "train")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no Parquet file"):
        parquet.read(tmp_path / "empty", "train")
    with pytest.raises(DataError, match="other.parquet is not there"):
        parquet.read(tmp_path / "other.parquet", "train")
    with pytest.raises(ConfigError, match="ends in .txt"):
        parquet.write([], tmp_path / "out.txt")


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "a.parquet").write_bytes(b"")
    with pytest.raises(ConfigError, match="need pyarrow") as caught:
        parquet.read(tmp_path, "train")
    assert "discern-vqa[data]" in caught.value.hint
