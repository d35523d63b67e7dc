"""VQA-Med 2019: the published counts, what is left out, captions put together from answers, and broken lines."""

import dataclasses
import re
from collections import Counter
from pathlib import Path

import pytest

from discern_vqa.data.sample import Sample
from discern_vqa.datasets import vqa_med_2019
from discern_vqa.errors import DataError


def test_vqa_med_2019_has_the_published_counts_and_leaves_the_pictures_of_vqa_rad_out(real_data):
    root = real_data("vqa_med_2019")
    every = vqa_med_2019.read(root, "train", exclude="")
    assert len(every) == vqa_med_2019.PUBLISHED["train"]
    assert len({row.image for row in every}) == 3200
    assert Counter(row.kind for row in every) == {"MODALITY": 3200, "PLANE": 3200, "ORGAN": 3200, "ABN": 3192}
    kept = vqa_med_2019.read(root, "train")
    hidden = vqa_med_2019.left_out(root)
    assert len(hidden) == 43
    assert {Path(row.image).name for row in every} - {Path(row.image).name for row in kept} == hidden
    assert all(row.organ for row in kept)
    assert sum(not row.modality for row in kept) / len(kept) < 0.03


def test_vqa_med_2019_pretraining_has_a_caption_for_each_image_beside_the_questions(real_data):
    samples = vqa_med_2019.read(real_data("vqa_med_2019"), "pretrain")
    captions = [row for row in samples if row.is_caption]
    assert len(captions) == len({row.image for row in captions}) == 3157
    assert len(samples) - len(captions) == 12620
    by_image = {Path(row.image).stem: row.caption for row in captions}
    assert by_image["synpic43984"] == (
        "mri, axial plane, of the skull and contents, showing arteriovenous malformation (avm)"
    )
    assert by_image["synpic38930"] == (
        "ultrasound, longitudinal plane, of the genitourinary system, showing ectopic pregnancy"
    )
    assert not any(re.search(r"\b(yes|no)\b$|, ,|  ", caption) for caption in by_image.values())


@pytest.mark.parametrize(
    ("answer", "modality", "words"),
    [
        ("mr - flair", "mri", "mri, flair"),
        ("t2", "mri", "mri, t2 weighted"),
        ("mr - t1w - noncontrast", "mri", "mri, t1 weighted, without contrast"),
        ("cta - ct angiography", "ct", "ct scan, angiography"),
        ("ct w/contrast (iv)", "ct", "ct scan, with iv contrast"),
        ("gi and iv", "ct", "ct scan, with gi and iv contrast"),
        ("ct noncontrast", "ct", "ct scan, without contrast"),
        ("xr - plain film", "x-ray", "x-ray, plain film"),
        ("us-d - doppler ultrasound", "ultrasound", "doppler ultrasound"),
        ("be - barium enema", "fluoroscopy", "fluoroscopy, barium enema"),
        ("", "pet", "pet scan"),
        ("", "", "image"),
    ],
)
def test_short_modalities_are_written_out_in_captions(answer, modality, words):
    row = Sample(
        id="1", split="train", image="a", path=Path("a"), question="?", answer=answer, question_type=("MODALITY",)
    )
    assert vqa_med_2019.caption_of([dataclasses.replace(row, modality=modality)]) == words


def test_vqa_med_2019_answers_are_closed_when_the_question_offers_them(tmp_path):
    vqa_med_2019.write_tiny(tmp_path)
    rows = vqa_med_2019.read(tmp_path, "train")
    closed = {row.question: row.answer for row in rows if row.answer_type == "closed"}
    assert closed == {
        "is this a contrast or noncontrast ct?": "noncontrast",
        "is this a t1 weighted image?": "no",
        "does this image look normal?": "no",
    }
    assert {Path(row.image).stem: row.modality for row in rows} == {"synpic1": "ct", "synpic2": "ct", "synpic3": "mri"}


def test_vqa_med_2019_is_read_from_the_folder_of_its_files_too_and_with_another_list(tmp_path):
    vqa_med_2019.write_tiny(tmp_path)
    assert vqa_med_2019.read(tmp_path / "train", "train")[0].image == "Train_images/synpic1.jpg"
    (tmp_path / "mine.json").write_text('["synpic1.jpg", "synpic2.jpg"]')
    rows = vqa_med_2019.read(tmp_path, "train", exclude=str(tmp_path / "mine.json"))
    assert {Path(row.image).stem for row in rows} == {"synpic3", "synpic4"}
    for content, message in (("{", "broken JSON"), ("3", "holds no image names"), ("[1]", "holds no image names")):
        (tmp_path / "mine.json").write_text(content)
        with pytest.raises(DataError, match=message):
            vqa_med_2019.read(tmp_path, "train", exclude=str(tmp_path / "mine.json"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("synpic1|what is this?", "expected image|question|answer, none empty"),
        ("synpic1|what is this?|", "expected image|question|answer, none empty"),
        ("synpic1|what is this?|a dog", "is in no file of QAPairsByCategory"),
    ],
)
def test_a_broken_line_of_vqa_med_2019_stops_with_its_number(tmp_path, line, message):
    vqa_med_2019.write_tiny(tmp_path)
    file = tmp_path / "train" / "All_QA_Pairs_train.txt"
    file.write_text(f"{line}\n{file.read_text()}")
    with pytest.raises(DataError, match="^All_QA_Pairs_train.txt:1: ") as caught:
        vqa_med_2019.read(tmp_path, "train")
    assert message in str(caught.value)


def test_a_missing_image_of_vqa_med_2019_and_a_wrong_folder_are_said(tmp_path):
    vqa_med_2019.write_tiny(tmp_path)
    (tmp_path / "train" / "Train_images" / "synpic1.jpg").unlink()
    with pytest.raises(DataError, match=r"'train/Train_images/synpic1.jpg' is not there.*and 3 more problems"):
        vqa_med_2019.read(tmp_path, "train")
    with pytest.raises(DataError, match="holds no VQA-Med 2019"):
        vqa_med_2019.read(tmp_path / "train" / "Train_images", "train")
