"""Readers of public multiple-choice sets and of re-phrased questions: their layouts, traps and broken records."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from _readers import own_folders

from discern_vqa.datasets import omnimedvqa, radimagenet_vqa, rexvqa, romed
from discern_vqa.errors import ConfigError, DataError
from discern_vqa.reading.offered import listed_options, options_in_columns, true_option
from discern_vqa.reading.records import Record

__all__ = ["own_folders"]  # the fixture


def record(**values: object) -> Record:
    return Record(values, "a.json:item 1", 1)


@pytest.mark.parametrize(
    ("written", "taken"),
    [
        ("cyst", "Cyst"),
        ("CYST.", "Cyst"),
        ("a", "Cyst"),
        ("(B)", "Air"),
        ("B. air", "Air"),
        ("C) A", "A"),
        ("A", "A"),  # an option's text comes before a letter
    ],
)
def test_the_true_option_is_named_by_text_letter_or_both(written, taken):
    options = ("Cyst", "Air", "A") if "A" in (written, taken) else ("Cyst", "Air")
    assert true_option(record(answer=written), "answer", options) == taken


@pytest.mark.parametrize("written", ["D", "mass", "B. cyst", "AB", "1"])
def test_an_answer_that_names_no_option_is_refused(written):
    with pytest.raises(DataError, match="a.json:item 1: 'answer' is .*A. Cyst; B. Air"):
        true_option(record(answer=written), "answer", ("Cyst", "Air"))


def test_letters_before_options_go_where_all_have_them_in_order():
    assert listed_options(record(options=["A. x  y", "(B) z"]), "options") == ("x y", "z")
    assert listed_options(record(options=["B. x", "A. z"]), "options") == ("B. x", "A. z")
    assert listed_options(record(options={"A": "x", "B": "z"}), "options") == ("x", "z")
    columns = record(option_A="x", option_B=None, option_C=3, option_D="")
    assert options_in_columns(columns, [f"option_{name}" for name in "ABCD"]) == ("x", "3")
    for broken in (["x"], ["x", "x"], ["x", ""], ["x", 3], "x", None):
        with pytest.raises(DataError, match="a.json:item 1: 'options'"):
            listed_options(record(options=broken), "options")


def changed(file: Path, change: Callable[[list | dict], None]) -> None:
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


# OmniMedVQA


def test_omnimedvqa_is_read_file_by_file_with_options_and_repairs(tmp_path):
    omnimedvqa.write_tiny(tmp_path / "OmniMedVQA")
    rows = omnimedvqa.read(tmp_path, "test")
    assert omnimedvqa.read(tmp_path / "OmniMedVQA", "test")[0].image == "Images/ACRIMA/Im1.png"
    assert [row.id for row in rows[:3]] == ["ACRIMA_0000", "ACRIMA_0001", "ACRIMA_0002"]
    assert (rows[0].image, rows[0].path.is_file()) == ("OmniMedVQA/Images/ACRIMA/Im1.png", True)
    assert rows[0].choices == ("PET scan", "CT scan", "Blood test", "Fundus imaging")
    assert {row.answer_type for row in rows} == {"choice"}
    assert [row.answer for row in rows] == ["Fundus imaging", "No", "Glaucoma", "Lung", "II", "Left"]
    assert [row.extra.get("published_answer") for row in rows] == [None, "no", "glaucoma.", None, "B", None]
    assert (rows[4].modality, rows[4].question_type) == ("ct", ("LESION GRADING",))
    assert (rows[4].source, rows[4].extra["dataset"]) == ("Chest CT Scan.json:item 2", "Chest CT Scan")


def test_the_restricted_part_of_omnimedvqa_is_read_where_it_is_asked_for(tmp_path):
    omnimedvqa.write_tiny(tmp_path)
    with pytest.raises(DataError, match=r"AIDA.json:item 1: the image 'Images/AIDA/c.png'"):
        omnimedvqa.read(tmp_path, "test", access="all")
    assert len(omnimedvqa.read(tmp_path, "test", access="all", missing="leave_out")) == 6
    (tmp_path / "Images" / "AIDA").mkdir()
    (tmp_path / "Images" / "AIDA" / "c.png").write_bytes((tmp_path / "Images/ACRIMA/Im1.png").read_bytes())
    assert [row.answer for row in omnimedvqa.read(tmp_path, "test", access="restricted")] == ["Polyp"]
    for options, said in (({"access": "some"}, "access is 'some'"), ({"missing": "no"}, "missing is 'no'")):
        with pytest.raises(ConfigError, match=said):
            omnimedvqa.read(tmp_path, "test", **options)
    with pytest.raises(DataError, match="no split 'train'"):
        omnimedvqa.read(tmp_path, "train")
    with pytest.raises(DataError, match=r"holds no OmniMedVQA: no .json file in QA_information/Open-access") as caught:
        omnimedvqa.read(tmp_path / "Images", "test")
    assert caught.value.hint


def test_broken_records_of_omnimedvqa_are_named_by_file_and_item(tmp_path):
    omnimedvqa.write_tiny(tmp_path)
    file = tmp_path / "QA_information" / "Open-access" / "ACRIMA.json"
    changed(file, lambda rows: rows[1].update(gt_answer="Perhaps"))
    changed(file, lambda rows: rows[2].update(question_id="ACRIMA_0000"))
    with pytest.raises(DataError, match=r"ACRIMA.json:item 2: 'gt_answer' is 'Perhaps'.*1 more problem"):
        omnimedvqa.read(tmp_path, "test")
    skipped: list[str] = []
    assert len(omnimedvqa.read(tmp_path, "test", skipped=skipped)) == 4
    assert [text.partition(": ")[0] for text in skipped] == ["ACRIMA.json:item 2", "ACRIMA.json:item 3"]


# ReXVQA


def test_rexvqa_takes_the_frontal_view_and_no_text_of_the_report(tmp_path):
    rexvqa.write_tiny(tmp_path)
    first, second, third = rexvqa.read(tmp_path, "train")
    assert (first.id, first.answer, first.choices) == ("train_0", "Pneumonia", ("Normal", "Pneumonia", "Mass"))
    assert (first.answer_type, first.organ, first.modality) == ("choice", "chest", "x-ray")
    assert (first.patient, first.study, first.question_type) == ("GRDN1", "s1", ("PRESENCE_ASSESSMENT",))
    assert (second.answer, third.answer) == ("Left lung", "Nodule")
    assert third.image == "deid_png/GRDN2/studies/s2/1.2.png"
    assert [Path(name).name for name in third.extra["images"]] == ["1.20.png", "1.2.png"]
    assert not any("The answer." in str(row) for row in (first, second, third))
    changed(tmp_path / "metadata" / "train_vqa_data.json", lambda rows: rows["train_2"].pop("ImageViewPosition"))
    assert rexvqa.read(tmp_path, "train")[2].image == "deid_png/GRDN2/studies/s2/1.20.png"


def test_rexvqa_is_found_where_its_downloads_lie(tmp_path):
    rexvqa.write_tiny(tmp_path / "ReXVQA")
    (tmp_path / "ReXGradient-160K").mkdir()
    (tmp_path / "ReXVQA" / "deid_png").rename(tmp_path / "ReXGradient-160K" / "deid_png")
    (tmp_path / "ReXVQA" / "metadata" / "train_vqa_data.json").unlink()
    assert rexvqa.present(tmp_path) == ("validation", "test")
    assert rexvqa.read(tmp_path, "test")[0].image == "ReXGradient-160K/deid_png/GRDN4/studies/s4/1.4.png"
    with pytest.raises(DataError, match=r"train_vqa_data.json is not there"):
        rexvqa.read(tmp_path, "train")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"correct_answer": "E"}, "'correct_answer' is 'E'; expected the text or the letter"),
        ({"options": None}, "'options' is None; expected a list of texts"),
        ({"ImagePath": []}, r"'ImagePath' is \[\]; expected a list of image files"),
        ({"ImagePath": ["../elsewhere/1.png"]}, "expected a file below deid_png/"),
        ({"ImagePath": ["../deid_png/none.png"]}, "the image 'deid_png/none.png' is not there"),
        ({"task_name": ""}, "'task_name' is empty"),
    ],
)
def test_broken_records_of_rexvqa_are_named_by_file_item_and_id(tmp_path, change, said):
    rexvqa.write_tiny(tmp_path)
    changed(tmp_path / "metadata" / "test_vqa_data.json", lambda rows: rows["test_1"].update(change))
    with pytest.raises(DataError, match=rf"test_vqa_data.json:item 2 \('test_1'\): .*{said}"):
        rexvqa.read(tmp_path, "test")
    skipped: list[str] = []
    assert [row.id for row in rexvqa.read(tmp_path, "test", skipped=skipped)] == ["test_0"]
    assert len(skipped) == 1


def test_a_list_in_place_of_rexvqas_object_is_refused(tmp_path):
    rexvqa.write_tiny(tmp_path)
    (tmp_path / "metadata" / "test_vqa_data.json").write_text("[]")
    with pytest.raises(DataError, match=r"holds \[\]; expected an object"):
        rexvqa.read(tmp_path, "test")


# RadImageNet-VQA


def test_radimagenet_vqas_benchmark_has_three_answer_types(tmp_path):
    radimagenet_vqa.write_tiny(tmp_path)
    rows = radimagenet_vqa.read(tmp_path, "test")
    assert [(row.id, row.answer, row.answer_type, row.choices) for row in rows] == [
        ("b0", "yes", "closed", ()),
        ("b1", "cyst", "open", ()),
        ("b2", "tumour", "choice", ("cyst", "abscess", "tumour")),
        ("b2-4", "cyst", "choice", ("cyst", "abscess")),
    ]
    assert rows[0].image == rows[1].image != rows[2].image
    assert (rows[0].organ, rows[0].modality, rows[0].question_type) == ("brain", "mri", ("PATHOLOGY",))
    assert rows[0].source == "test-00000-of-00001.parquet:row 1"
    assert "derived" not in rows[0].extra


def test_conversations_of_radimagenet_vqa_are_captions_and_questions(tmp_path):
    radimagenet_vqa.write_tiny(tmp_path)
    assert [row.caption for row in radimagenet_vqa.read(tmp_path, "pretrain")] == ["An MR image with a cyst."]
    rows = radimagenet_vqa.read(tmp_path, "train")
    assert [(row.question, row.answer, row.answer_type, row.choices) for row in rows] == [
        ("Is it abnormal?", "Yes", "closed", ()),
        ("Which organ is it?", "Brain", "open", ()),
        ("What is shown?", "abscess", "choice", ("cyst", "abscess", "tumour")),
        ("What is it?", "cyst", "choice", ("cyst", "tumour")),
    ]
    assert all(row.extra["derived"] == ["answer_type"] for row in rows)


def test_radimagenet_vqa_says_what_is_missing_and_what_is_broken(tmp_path):
    import pyarrow
    import pyarrow.parquet

    radimagenet_vqa.write_tiny(tmp_path)
    file = tmp_path / "benchmark" / "test-00000-of-00001.parquet"
    rows = pyarrow.parquet.read_table(file).to_pylist()
    rows[0]["question_type"], rows[2]["answer"], rows[3]["choices"] = "essay", "D", None
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    skipped: list[str] = []
    assert [row.id for row in radimagenet_vqa.read(tmp_path, "test", skipped=skipped)] == ["b1"]
    assert [text.partition(": ")[2][:23] for text in skipped] == [
        "'question_type' is 'ess",
        "'answer' is 'D'; expect",
        "'choices' is None; expe",
    ]
    assert [text.partition(": ")[0][-5:] for text in skipped] == ["row 1", "row 3", "row 4"]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([row | {"metadata": "CT"} for row in rows]), file)
    with pytest.raises(DataError, match="'metadata' is 'CT'; expected a struct of facts"):
        radimagenet_vqa.read(tmp_path, "test")
    file.unlink()
    assert radimagenet_vqa.present(tmp_path) == ("pretrain", "train", "validation")
    with pytest.raises(DataError, match="no Parquet file of the split 'test'"):
        radimagenet_vqa.read(tmp_path, "test")
    with pytest.raises(DataError, match="no folder benchmark, instruct or alignment"):
        radimagenet_vqa.read(tmp_path / "benchmark", "test")


def test_a_letter_that_is_not_the_correct_text_is_refused(tmp_path):
    import pyarrow
    import pyarrow.parquet

    radimagenet_vqa.write_tiny(tmp_path)
    file = tmp_path / "instruct" / "train-00001-of-00002.parquet"
    rows = pyarrow.parquet.read_table(file).to_pylist()
    rows[0]["metadata"]["correct_text"] = "tumour"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    with pytest.raises(DataError, match=r"row 1: the answer 'A.' is 'cyst', but correct_text is 'tumour'"):
        radimagenet_vqa.read(tmp_path, "train")


# RoMed


def test_romed_links_re_phrasings_by_the_originals_id_or_by_its_text(tmp_path):
    romed.write_tiny(tmp_path)
    rows = romed.read(tmp_path, "test")
    assert [row.extra["linked"] for row in rows] == ["7", "7", "7", "8", "8", "8", "9"]
    assert [row.phrase_type for row in rows] == ["freeform", "para", "para", "freeform", "para", "para", "freeform"]
    assert [row.extra.get("level") for row in rows] == [None, "word", "sentence", None, "semantic", "word", None]
    texts = {7: "is there a mass", 8: "Which organ is it?", 9: "Which plane?"}
    changed(
        tmp_path / "romed.json",
        lambda records: [
            row.update(source_question=texts[row.pop("original_id")]) for row in records if "original_id" in row
        ],
    )
    assert [row.extra["linked"] for row in romed.read(tmp_path, "test")] == [row.extra["linked"] for row in rows]


def test_romed_is_read_from_lines_for_each_split_under_other_keys(tmp_path):
    romed.write_tiny(tmp_path)
    records = json.loads((tmp_path / "romed.json").read_text())
    (tmp_path / "romed.json").unlink()
    for name in ("train", "test"):
        lines = [
            {"img": row["image"], "id": row["question_id"], "question": row["question"], "answer": row["answer"]}
            | ({"of": row["original_id"]} if "original_id" in row else {})
            for row in records
        ]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(DataError, match="image"):
        romed.read(tmp_path, "test")
    with pytest.raises(DataError, match="name no question that they re-phrase .*further keys: of") as caught:
        romed.read(tmp_path, "test", columns={"image": "img"})
    assert "--option link=KEY" in caught.value.hint
    rows = romed.read(tmp_path, "test", columns={"image": "img"}, link="of")
    assert [row.extra["linked"] for row in rows] == ["7", "7", "7", "8", "8", "8", "9"]
    assert rows[0].id == "test-7"
    assert romed.present(tmp_path) == ("train", "test")


def test_romed_refuses_an_id_that_occurs_twice_and_a_link_that_is_none(tmp_path):
    romed.write_tiny(tmp_path)
    changed(tmp_path / "romed.json", lambda rows: rows[1].update(question_id=7))
    with pytest.raises(DataError, match=r"romed.json:item 2: the id '7' was used before, by romed.json:item 1"):
        romed.read(tmp_path, "test")
    changed(tmp_path / "romed.json", lambda rows: rows[1].update(question_id=70, original_id=[7]))
    with pytest.raises(DataError, match=r"romed.json:item 2: 'original_id' is \[7\]; expected an id or a question"):
        romed.read(tmp_path, "test")
