"""Readers of public sets beyond VQA-RAD and SLAKE: their layouts, traps and broken records."""

import json
from collections import Counter
from pathlib import Path

import pytest
from _readers import own_folders
from PIL import Image

from discern_vqa.datasets import ovqa, pathvqa, phantom, pmc_vqa, roco, vqa_med_2019, vqa_rad
from discern_vqa.errors import ConfigError, DataError
from discern_vqa.reading import hub
from discern_vqa.reading.records import derived_answer_type

__all__ = ["own_folders"]  # the fixture


def change(file: Path, item: int, **values) -> None:
    """Changes one record of a JSON list."""
    rows = json.loads(file.read_text())
    rows[item - 1] |= values
    file.write_text(json.dumps(rows))


# Copies on the hub


def test_the_hubs_vqa_rad_derives_answer_types_and_says_so(tmp_path):
    vqa_rad.write_tiny(tmp_path, edition="hub")
    rows = vqa_rad.read(tmp_path, "train")
    assert [(row.question, row.answer_type) for row in rows if row.answer_type == "closed"] == [
        ("is there a mass?", "closed"),
        ("are the kidneys normal? ".strip(), "closed"),
        ("is the heart enlarged?", "closed"),
    ]
    assert all(row.extra == {"derived": ["answer_type"]} for row in rows)
    assert all(not row.question_type and not row.organ for row in rows)
    test = vqa_rad.read(tmp_path, "test", edition="hub")
    assert [row.answer_type for row in test] == ["closed", "open", "open", "closed"]
    assert {row.image for row in rows} == {row.image for row in test}


def test_derived_answer_types_are_the_owners_on_vqa_rads_test_split(real_data, tmp_path):
    owner = vqa_rad.read(real_data("vqa_rad"), "test", edition="owner")
    assert all(derived_answer_type(row.question, row.answer) == row.answer_type for row in owner)
    train = vqa_rad.read(real_data("vqa_rad"), "train", edition="owner")
    assert sum(derived_answer_type(row.question, row.answer) == row.answer_type for row in train) == 1784


def test_equal_pictures_of_a_hub_copy_are_one_image_that_is_written_once(tmp_path):
    pathvqa.write_tiny(tmp_path)
    rows = pathvqa.read(tmp_path, "train")
    assert len(rows) == 4
    assert len({row.image for row in rows}) == len({row.path for row in rows}) == 2
    before = rows[0].path.stat().st_mtime_ns
    assert pathvqa.read(tmp_path, "train")[0].path.stat().st_mtime_ns == before
    rows[0].path.write_bytes(b"cut")
    with Image.open(pathvqa.read(tmp_path, "train")[0].path) as picture:
        picture.load()


def test_a_hub_copy_must_be_whole_and_its_pictures_pictures(tmp_path):
    pathvqa.write_tiny(tmp_path)
    first, second = sorted((tmp_path / "data").glob("train-*"))
    whole = second.read_bytes()
    second.unlink()
    with pytest.raises(DataError, match="has 1 of the 2 Parquet files of the split 'train'"):
        pathvqa.read(tmp_path, "train")
    second.write_bytes(whole[:-9])
    with pytest.raises(DataError, match="the Parquet file is damaged"):
        pathvqa.read(tmp_path, "train")
    import pyarrow
    import pyarrow.parquet

    rows = [{"image": {"bytes": b"no picture", "path": None}, "question": "What?", "answer": "x"}]
    rows.append({"image": None, "question": "What?", "answer": "x"})
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), second)
    skipped: list[str] = []
    assert len(pathvqa.read(tmp_path, "train", skipped=skipped)) == 2
    assert skipped[0].endswith("row 1: the embedded image (10 bytes) is not a PNG, JPEG, TIFF, BMP, GIF or WebP")
    assert skipped[1].endswith("row 2: the image is not embedded")
    pyarrow.parquet.write_table(pyarrow.table({"picture": [1]}), first)
    with pytest.raises(DataError, match="has no column 'image'; there are: picture"):
        pathvqa.read(tmp_path, "train")
    assert hub.COLUMNS == ("image", "question", "answer")


# PathVQA


def test_the_owners_pathvqa_is_read_from_json_and_its_pickles_are_not_opened(tmp_path):
    pathvqa.write_tiny(tmp_path, edition="owner")
    rows = pathvqa.read(tmp_path, "train")
    assert rows[0].image == "images/train/train_0001.jpg"
    assert rows[0].question_type == ("WHERE",)
    assert [row.answer_type for row in rows] == ["open", "closed", "open", "open"]
    assert rows[1].extra == {"published_answer_type": "yes/no"}
    change(tmp_path / "qas" / "train_vqa.json", 2, label={"yes": 1, "no": 1})
    with pytest.raises(DataError, match="item 2: 'label' is .*expected one answer"):
        pathvqa.read(tmp_path, "train")
    change(tmp_path / "qas" / "train_vqa.json", 2, label={"yes": 1}, answer_type="none")
    with pytest.raises(DataError, match="item 2: 'answer_type' is 'none'; expected one of yes/no"):
        pathvqa.read(tmp_path, "train")
    (tmp_path / "qas" / "train_vqa.json").rename(tmp_path / "qas" / "train_vqa.pkl")
    with pytest.raises(DataError, match="is a pickle, which can run any program") as caught:
        pathvqa.read(tmp_path, "train")
    assert "discern data get pathvqa" in caught.value.hint
    assert pathvqa.present(tmp_path) == ("train", "validation", "test")
    with pytest.raises(ConfigError, match="no edition 'third'"):
        pathvqa.read(tmp_path, "train", edition="third")


# OVQA


def test_ovqa_is_found_in_its_folder_or_above_and_types_are_repaired(tmp_path):
    ovqa.write_tiny(tmp_path / "OVQA_publish")
    rows = ovqa.read(tmp_path, "train")
    assert rows[0].image == "OVQA_publish/img/a1.jpg"
    assert [row.answer_type for row in rows] == ["closed", "open", "open", "open", "closed"]
    assert (rows[2].question, rows[3].answer) == ("Which bone is abnormal?", "2")
    assert rows[0].question_type == ("CONDITION PRESENCE",)
    assert ovqa.read(tmp_path / "OVQA_publish", "test")[0].id == "test-1"
    (tmp_path / "OVQA_publish" / "valset.json").unlink()
    assert ovqa.present(tmp_path) == ("train", "test")
    change(tmp_path / "OVQA_publish" / "trainset.json", 2, qid=1)
    with pytest.raises(DataError, match="item 2: the id 'train-1' was used before"):
        ovqa.read(tmp_path, "train")
    with pytest.raises(DataError, match="holds no OVQA"):
        ovqa.read(tmp_path / "OVQA_publish" / "img", "train")


# PMC-VQA


@pytest.mark.parametrize("version", ["v2", "v1"])
def test_pmc_vqa_gives_the_choices_without_letters_and_the_right_ones_text(tmp_path, version):
    pmc_vqa.write_tiny(tmp_path, version=version)
    rows = pmc_vqa.read(tmp_path, "train")
    assert rows[0].choices == ("Diffuse", "Focal, left", "None", "Both")
    assert [row.answer for row in rows] == ["Focal, left", "Breast", "A clip", "Giemsa"]
    assert all(row.answer in row.choices for row in rows)
    assert [row.group for row in rows] == ["PMC11", "PMC11", "PMC11", "PMC22"]
    assert rows[3].extra.get("published_answer", "") == ("Gram stain" if version == "v1" else "")
    assert ("figure_caption" in rows[0].extra) == (version == "v2")
    assert all(row.answer_type == "" for row in rows)


def test_pmc_vqas_versions_folders_and_missing_figures(tmp_path):
    pmc_vqa.write_tiny(tmp_path, version="v1")
    pmc_vqa.write_tiny(tmp_path, version="v2")
    assert pmc_vqa.read(tmp_path, "test")[0].id == "test-0"
    assert pmc_vqa.read(tmp_path, "test", version="v1")[0].id == "test-2"
    (tmp_path / "test.csv").rename(tmp_path / "test_clean.csv")
    assert len(pmc_vqa.read(tmp_path, "test", version="v1_clean")) == 3
    (tmp_path / "images_2").rename(tmp_path / "figures")
    assert pmc_vqa.read(tmp_path, "train")[0].image == "figures/PMC11_F1.jpg"
    (tmp_path / "figures" / "PMC11_F2.jpg").unlink()
    with pytest.raises(DataError, match="train_2.csv:4: the image 'figures/PMC11_F2.jpg' is not there"):
        pmc_vqa.read(tmp_path, "train")
    assert len(pmc_vqa.read(tmp_path, "train", missing="leave_out")) == 3
    for option in ({"missing": "maybe"}, {"version": "v3"}):
        with pytest.raises(ConfigError, match=next(iter(option.values()))):
            pmc_vqa.read(tmp_path, "train", **option)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("7,PMC11_F1.jpg,c,What?,a,b,c,d,E,train", "'Answer' is 'E'; expected one of A, B, C, D"),
        ("7,PMC11_F1.jpg,c,What?,a,b,c", "'Choice D' is empty"),
        ("7,PMC11_F1.jpg,c,,a,b,c,d,A,train", "'Question' is empty"),
        ("7,PMC11_F1.jpg,c,What?,a,b,c,d,A,train,more", "11 cells for 10 columns"),
        ("0,PMC11_F1.jpg,c,What?,a,b,c,d,A,train", "the id 'train-0' was used before"),
    ],
)
def test_a_broken_row_of_pmc_vqa_stops_with_its_line(tmp_path, line, message):
    pmc_vqa.write_tiny(tmp_path)
    with open(tmp_path / "train_2.csv", "a") as file:
        file.write(line + "\n")
    with pytest.raises(DataError, match="^train_2.csv:6: ") as caught:
        pmc_vqa.read(tmp_path, "train")
    assert message in str(caught.value)
    skipped: list[str] = []
    assert len(pmc_vqa.read(tmp_path, "train", skipped=skipped)) == 4
    assert len(skipped) == 1


# ROCO


def test_roco_names_images_as_the_owners_script_does_and_lists_what_is_known(tmp_path):
    roco.write_tiny(tmp_path, version="v1")
    rows = roco.read(tmp_path, "pretrain")
    assert [Path(row.image).name for row in rows] == ["ROCO_00001.jpg", "PMC200_g002.jpg", "ROCO_00003.jpg"]
    assert [row.group for row in rows] == ["PMC100", "PMC200", "PMC300"]
    assert rows[0].extra == {"keywords": ["scan", "left"]}
    assert rows[0].caption == "Head CT demonstrating left parotiditis."
    assert len(roco.read(tmp_path, "pretrain", least_words=3)) == 2
    (tmp_path / rows[2].image).unlink()
    with pytest.raises(DataError, match="captions.txt:3: the image .* is not there"):
        roco.read(tmp_path, "pretrain")
    assert len(roco.read(tmp_path, "pretrain", missing="leave_out")) == 2
    folder = tmp_path / "data" / "train" / "radiology"
    (folder / "dlinks.txt").rename(folder / "dlinks_tp_train_revised.txt")
    assert roco.read(tmp_path, "pretrain", missing="leave_out")[1].group == "PMC200"
    with pytest.raises(DataError, match="captions.txt is not there"):
        roco.read(tmp_path, "pretrain", part="non-radiology")


def test_rocov2_says_the_modality_by_its_concepts(tmp_path):
    roco.write_tiny(tmp_path)
    rows = roco.read(tmp_path, "pretrain")
    assert [row.modality for row in rows] == ["ct", "x-ray", "x-ray"]
    assert rows[0].extra == {"cuis": ["C0040405", "C0030580"]}
    (tmp_path / "train").rename(tmp_path / "train_images")
    assert roco.read(tmp_path, "pretrain")[0].image == "train_images/ROCOv2_2023_train_000001.jpg"
    (tmp_path / "valid_captions.csv").unlink()
    assert roco.present(tmp_path) == ("pretrain", "test")
    for option in ({"version": "v3"}, {"part": "both"}, {"missing": "maybe"}):
        with pytest.raises(ConfigError, match=next(iter(option.values()))):
            roco.read(tmp_path, "pretrain", **option)
    with pytest.raises(DataError, match="holds no ROCO"):
        roco.read(tmp_path / "test", "test")


def test_a_broken_caption_stops_with_its_line(tmp_path):
    roco.write_tiny(tmp_path / "v1", version="v1")
    file = tmp_path / "v1" / "data" / "test" / "radiology" / "captions.txt"
    for line, message in (
        ("ROCO_00005 no tab", "expected name, tab, caption"),
        ("ROCO_00005\t ", "'caption' is empty"),
    ):
        file.write_text(f"{line}\n")
        with pytest.raises(DataError, match=f"^captions.txt:1: .*{message}"):
            roco.read(tmp_path / "v1", "test")


# VQA-Med 2019, validation and test


def test_vqa_med_2019_has_validation_and_test_in_the_owners_folders_too(tmp_path):
    vqa_med_2019.write_tiny(tmp_path)
    for short, long in (
        ("train", "ImageClef-2019-VQA-Med-Training"),
        ("val", "ImageClef-2019-VQA-Med-Validation"),
        ("test", "VQAMed2019Test"),
    ):
        (tmp_path / short).rename(tmp_path / long)
    rows = vqa_med_2019.read(tmp_path, "validation")
    assert [row.id for row in rows] == [f"validation-{number}" for number in (1, 2, 3, 4)]
    assert {(row.organ, row.modality) for row in rows} == {("genitourinary", "ultrasound")}
    assert Counter(row.kind for row in rows) == {"MODALITY": 1, "PLANE": 1, "ORGAN": 1, "ABN": 1}
    test = vqa_med_2019.read(tmp_path, "test")
    assert test[0].image == "VQAMed2019Test/VQAMed2019_Test_Images/synpic6.jpg"
    inner = tmp_path / "VQAMed2019Test" / "VQAMed2019_Test_Images"
    inner.rename(tmp_path / "moved")
    inner.mkdir()
    (tmp_path / "moved").rename(inner / "VQAMed2019_Test_Images")
    assert len(vqa_med_2019.read(tmp_path, "test")) == 4


def test_a_test_answer_of_vqa_med_2019_may_be_several(tmp_path):
    vqa_med_2019.write_tiny(tmp_path)
    rows = vqa_med_2019.read(tmp_path, "test")
    assert [row.answer for row in rows] == [
        "yes",
        "ct w/contrast (iv)",
        "glioma",
        "(angioinvasive aspergillosis with) septic emboli",
    ]
    assert [row.extra.get("accepted") for row in rows] == [
        None,
        None,
        ["glioma", "multi-cystic complex mass"],
        ["(angioinvasive aspergillosis with) septic emboli", "septic emboli"],
    ]
    assert all(row.extra["derived"] == ["answer_type", "organ", "modality"] for row in rows)


def test_what_is_not_there_of_vqa_med_2019_is_said(real_data, tmp_path):
    assert vqa_med_2019.present(real_data("vqa_med_2019")) == ("pretrain", "train")
    vqa_med_2019.write_tiny(tmp_path)
    file = tmp_path / "test" / "VQAMed2019_Test_Questions_w_Ref_Answers.txt"
    file.write_text(file.read_text().replace("|modality|", "|colour|", 1))
    with pytest.raises(DataError, match="Ref_Answers.txt:1: .* has none of the categories modality"):
        vqa_med_2019.read(tmp_path, "test")
    file.unlink()
    assert vqa_med_2019.present(tmp_path) == ("pretrain", "train", "validation")
    with pytest.raises(DataError, match=r"holds no VQA-Med 2019 \(test\)"):
        vqa_med_2019.read(tmp_path, "test")


# Regions of the phantoms


def test_the_regions_of_a_phantom_are_its_findings_with_their_masks(tmp_path):
    phantom.write_tiny(tmp_path)
    rows = [row for row in phantom.read(tmp_path, "train") if row.mask]
    assert rows
    for row in rows:
        found = {region.mask: region for region in phantom.regions(tmp_path, row.image)}
        assert all(region.is_finding for region in found.values())
        assert found[tmp_path / row.mask].pixels(32, 32).any()
    with pytest.raises(DataError, match="has no image 'images/none.png'"):
        phantom.regions(tmp_path, "images/none.png")
