"""The readers: a contract that each on disk must keep, the traps of each format, and the published counts."""

import json
from collections import Counter
from pathlib import Path, PurePosixPath

import pytest
from _readers import JSON, NAMES, VERBATIM, WORDS, every_layout, own_folders, readable, tiny, without_source
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from discern_vqa import registry
from discern_vqa.data.sample import SPLITS, Sample
from discern_vqa.datasets import jsonl, vqa_rad
from discern_vqa.errors import ConfigError, DataError
from discern_vqa.reading.records import present_splits

__all__ = ["own_folders", "tiny"]  # fixtures

unhurried = settings(deadline=None, suppress_health_check=list(HealthCheck))  # machines may be busy

ELSEWHERE = {"dicom_folder"}
"""Readers whose images are not called as their files are: file names may hold names of patients."""


def test_there_are_the_readers_that_the_documentation_names():
    public = {"omnimedvqa", "ovqa", "pathvqa", "pmc_vqa", "radimagenet_vqa", "rexvqa", "roco", "slake"}
    public |= {"vqa_med_2019", "vqa_rad"}
    assert {"csv", "dicom_folder", "jsonl", "llava", "parquet", "phantom", "romed"} | public <= set(NAMES)
    assert all(registry.load("datasets", name).SOURCE for name in public)


@every_layout
def test_a_reader_says_what_it_reads_and_under_which_licence(tiny):
    reader, _ = tiny
    assert reader.SUMMARY
    assert "\n" not in reader.SUMMARY
    assert reader.LICENCE
    assert set(reader.SPLITS) <= set(SPLITS)
    assert set(reader.PUBLISHED) <= set(reader.SPLITS)
    assert len(reader.__doc__) > 300


@every_layout
def test_a_tiny_set_has_six_samples_that_keep_the_rules_of_a_sample(tiny):
    reader, root = tiny
    samples = [sample for part in readable(reader, root).values() for sample in part]
    assert len(samples) >= 6
    for sample in samples:
        assert sample.is_caption or (sample.question and sample.answer), sample
        assert sample.text == " ".join(sample.text.split())
        assert sample.answer_type in ("open", "closed", "choice", "")
        assert sample.answer_type != "choice" or sample.answer in sample.choices
        assert sample.organ == sample.organ.lower()
        assert ":" in sample.source
        if reader.__name__.rsplit(".", 1)[1] in ELSEWHERE:
            continue
        assert sample.path.parts[-len(PurePosixPath(sample.image).parts) :] == PurePosixPath(sample.image).parts
        with Image.open(sample.path) as picture:
            picture.load()


@every_layout
def test_ids_are_unique_over_all_splits(tiny):
    reader, root = tiny
    ids = Counter(sample.id for part in readable(reader, root).values() for sample in part)
    assert max(ids.values()) == 1


@every_layout
def test_reading_twice_gives_the_same_samples(tiny):
    reader, root = tiny
    assert readable(reader, root) == readable(reader, root)


@every_layout
def test_the_splits_that_are_there_are_those_of_the_tiny_set(tiny):
    reader, root = tiny
    assert present_splits(reader, root) == reader.SPLITS


@every_layout
def test_an_unknown_split_is_refused(tiny):
    reader, root = tiny
    with pytest.raises(DataError, match="no split 'tset'") as caught:
        reader.read(root, "tset")
    assert reader.SPLITS[0] in caught.value.hint


# VQA-RAD


@pytest.mark.parametrize(
    ("edition", "split", "questions", "images", "closed", "phrases"),
    [
        ("common", "train", 3064, 314, 1823, {"freeform": 1206, "para": 591, "frame": 1267}),
        ("common", "test", 451, 203, 272, {"freeform": 308, "para": 143}),
        ("owner", "train", 1797, 313, 1027, {"freeform": 1206, "para": 591}),
        ("owner", "test", 451, 203, 272, {"freeform": 308, "para": 143}),
    ],
)
def test_vqa_rad_has_the_published_counts(real_data, edition, split, questions, images, closed, phrases):
    samples = vqa_rad.read(real_data("vqa_rad"), split, edition=edition)
    assert len(samples) == questions
    assert len({sample.image for sample in samples}) == images
    assert sum(sample.answer_type == "closed" for sample in samples) == closed
    assert Counter(sample.phrase_type for sample in samples) == phrases
    assert {sample.organ for sample in samples} == {"head", "chest", "abd"}
    types = set("PRES ABN POS MODALITY PLANE SIZE COUNT ATTRIB COLOR ORGAN OTHER".split())
    assert {kind for sample in samples for kind in sample.question_type} == types
    assert not any("\t" in sample.question + sample.answer for sample in samples)
    assert not any(sample.question.lower().endswith("-open") for sample in samples)


def test_the_owners_edition_and_the_common_pair_hold_the_same_test_questions(real_data):
    def asked(edition):
        rows = vqa_rad.read(real_data("vqa_rad"), "test", edition=edition)
        return Counter((row.image, row.question, row.answer, row.answer_type) for row in rows)

    assert asked("owner") == asked("common")


def test_the_owners_edition_names_the_case_and_the_paraphrase(real_data):
    samples = vqa_rad.read(real_data("vqa_rad"), "train", edition="owner")
    assert all(sample.group == sample.extra["case_url"] != "" for sample in samples)
    links = Counter(sample.extra["linked"] for sample in samples)
    assert sum(count > 1 for count in links.values()) > 500


def test_the_common_pair_is_read_where_it_is_there_and_the_owners_file_otherwise(tmp_path):
    vqa_rad.write_tiny(tmp_path, edition="owner")
    assert len(vqa_rad.read(tmp_path, "train")) == 6
    assert vqa_rad.read(tmp_path, "train")[0].image == "VQA_RAD Image Folder/synpic101.jpg"
    (tmp_path / "VQA_RAD Dataset Public.json").rename(tmp_path / "VQA_RAD_Dataset_Public.json")
    assert len(vqa_rad.read(tmp_path, "test", edition="owner")) == 4
    vqa_rad.write_tiny(tmp_path)
    assert len(vqa_rad.read(tmp_path, "train")) == 8
    with pytest.raises(ConfigError, match="no edition 'third'"):
        vqa_rad.read(tmp_path, "train", edition="third")


def test_the_owners_table_is_read_whatever_lies_beside_it(tmp_path):
    vqa_rad.write_tiny(tmp_path, edition="owner")
    name = "VQA_RAD Dataset Public"
    for beside in (f"{name}.xlsx", f"{name}.xml", f"{name} (1).json", f"{name}.json.zip", f"{name}.json.bak"):
        (tmp_path / beside).write_bytes(b"PK\x03\x04\xff")
    (tmp_path / "images.zip").write_bytes(b"PK")
    assert len(vqa_rad.read(tmp_path, "train")) == 6
    (tmp_path / f"{name}.json").unlink()
    with pytest.raises(DataError, match="holds no VQA-RAD"):
        vqa_rad.read(tmp_path, "train")
    vqa_rad.write_tiny(tmp_path, edition="hub")
    shard = next((tmp_path / "data").glob("test-*.parquet"))
    (shard.parent / f"{shard.stem} (1).parquet").write_bytes(shard.read_bytes())
    assert len(vqa_rad.read(tmp_path, "test")) == 4


def test_a_split_made_anew_keeps_the_owners_word_for_its_test_questions(tmp_path):
    vqa_rad.write_tiny(tmp_path)
    rows = json.loads((tmp_path / "trainset.json").read_text())
    rows[0]["phrase_type"], rows[1]["phrase_type"] = "test_freeform", "test_para"
    (tmp_path / "trainset.json").write_text(json.dumps(rows))
    train = vqa_rad.read(tmp_path, "train")
    assert [row.phrase_type for row in train[:3]] == ["freeform", "para", "freeform"]
    assert [row.extra.get("published_split") for row in train[:3]] == ["test", "test", None]


def test_the_traps_of_vqa_rad_are_repaired(tmp_path):
    vqa_rad.write_tiny(tmp_path)
    train = vqa_rad.read(tmp_path, "train")
    assert train[1].answer_type == "closed"
    assert train[1].question_type == ("PRES",)
    assert train[2].answer == "Left frontal lobe"
    assert train[2].question_type == ("POS", "PRES")
    assert (train[3].question, train[3].answer) == ("How many nodules are visible?", "2")
    assert train[4].question == "How big is/are the nodule?"
    assert train[7].question_type == ("OTHER",)
    assert train[3].source == "trainset.json:item 4"


def test_a_question_that_ends_in_the_word_open_keeps_it(tmp_path):
    vqa_rad.write_tiny(tmp_path)
    rows = json.loads((tmp_path / "trainset.json").read_text())
    rows[0]["question"] = "Is the celiac trunk open?"
    rows[1]["question"] = "Is the trunk wide - open"
    (tmp_path / "trainset.json").write_text(json.dumps(rows))
    assert [row.question for row in vqa_rad.read(tmp_path, "train")[:2]] == [
        "Is the celiac trunk open?",
        "Is the trunk wide",
    ]


# Neutral JSON Lines

TEXT = WORDS | st.just("")


@unhurried
@given(
    rows=st.lists(
        st.builds(
            dict,
            question=WORDS,
            answer=WORDS,
            caption=TEXT,
            answer_type=st.sampled_from(["open", "closed", ""]),
            question_type=st.lists(st.sampled_from(["PRES", "POS", "quantity (of organs)"]), max_size=2).map(tuple),
            organ=VERBATIM,
            language=VERBATIM,
            choices=st.lists(WORDS, max_size=3).map(tuple),
            patient=VERBATIM,
            study=VERBATIM,
            group=VERBATIM,
            twin=VERBATIM,
            extra=st.dictionaries(WORDS.map("x{}".format), JSON, max_size=2),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_any_sample_survives_the_jsonl_file(tmp_path_factory, rows):
    root = tmp_path_factory.mktemp("any")
    (root / "a  picture.png").write_bytes(b"")
    samples = [
        Sample(id=str(number), split="train", image="a  picture.png", path=root / "a  picture.png", **row)
        for number, row in enumerate(rows)
    ]
    jsonl.write(samples, root / "out.jsonl")
    assert [without_source(sample) for sample in jsonl.read(root / "out.jsonl", "train")] == [
        without_source(sample) for sample in samples
    ]


def test_a_line_of_ones_own_needs_no_more_than_image_split_question_and_answer(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    line = {"image": "a.png", "split": "train", "question": "What?", "answer": 3, "question_type": "PRES, POS"}
    (tmp_path / "samples.jsonl").write_text("\n" + json.dumps(line | {"ward": 7}) + "\n\n")
    (sample,) = jsonl.read(tmp_path, "train")
    assert (sample.id, sample.answer, sample.question_type) == ("2", "3", ("PRES", "POS"))
    assert sample.extra == {"ward": 7}
    assert sample.source == "samples.jsonl:2"


def test_a_split_may_be_empty_but_a_file_may_not(tmp_path):
    jsonl.write_tiny(tmp_path)
    kept = [line for line in (tmp_path / "samples.jsonl").read_text().splitlines() if '"test"' not in line]
    (tmp_path / "samples.jsonl").write_text("\n".join(kept))
    assert jsonl.read(tmp_path, "test") == []
    assert len(jsonl.read(tmp_path, "train")) == 3
    (tmp_path / "samples.jsonl").write_text("\n\n")
    with pytest.raises(DataError, match="no usable record"):
        jsonl.read(tmp_path, "test")


def test_a_mask_is_looked_for_from_the_folder_that_the_image_is_named_from(tmp_path):
    root = tmp_path / "set"
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    for name in ("images/a.png", "masks/a.png"):
        (root / name).write_bytes(b"")
    sample = Sample(
        id="1",
        split="train",
        image="images/a.png",
        path=root / "images/a.png",
        question="Where?",
        answer="left",
        mask="masks/a.png",
    )
    jsonl.write([sample], tmp_path / "elsewhere.jsonl")
    (again,) = jsonl.read(tmp_path / "elsewhere.jsonl", "train")
    assert jsonl.root_of(again.path, again.image) / again.mask == root / "masks/a.png"
    (root / "masks/a.png").unlink()
    with pytest.raises(DataError, match=r"elsewhere.jsonl:1: the mask 'masks/a.png' is not there"):
        jsonl.read(tmp_path / "elsewhere.jsonl", "train")


def test_a_drawn_phantom_set_is_a_jsonl_set(tmp_path):
    phantom = registry.load("datasets", "phantom")
    phantom.write_tiny(tmp_path)
    for split in phantom.SPLITS:
        drawn = [without_source(row) for row in phantom.read(tmp_path, split)]
        assert [without_source(row) for row in jsonl.read(tmp_path, split)] == drawn


def test_an_extra_key_named_like_a_field_is_our_own_mistake(tmp_path):
    sample = Sample(id="1", split="train", image="a", path=tmp_path / "a", caption="c", extra={"answer": "x"})
    with pytest.raises(ValueError, match="extra has the name of a field: answer"):
        jsonl.write([sample], tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()


def test_the_page_of_published_sets_has_every_one_with_its_licence_and_source():
    page = (Path(__file__).parents[1] / "docs" / "data.md").read_text(encoding="utf-8")
    for name in NAMES:
        reader = registry.load("datasets", name)
        if source := getattr(reader, "SOURCE", ""):
            row = f"| `{name}` | {reader.SUMMARY} | {', '.join(reader.SPLITS)} | {reader.LICENCE} | {source} |"
            assert row in page
