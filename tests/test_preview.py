"""Contact sheets: a PNG for each value, a page with the same pictures, and nothing silently left out."""

import pytest
from _pictures import picture, question, save
from PIL import Image

from discern_vqa import cli
from discern_vqa.audit.preview import write_preview
from discern_vqa.datasets import jsonl
from discern_vqa.errors import ConfigError, DataError
from discern_vqa.imaging.images import padded
from discern_vqa.imaging.sheet import CELL, draw_sheet


@pytest.fixture
def samples(tmp_path):
    rows = []
    for number in range(12):
        path = save(tmp_path, f"{number}.png", picture(number))
        rows.append(
            question(
                number,
                "train" if number < 8 else "test",
                path,
                modality=("ct", "x-ray", "mri/t2")[number % 3],
                organ="head" if number < 5 else "",
                question_type=(("PRES",), ("POS", "PRES"))[number % 2],
                answer="<i>left</i>",
            )
        )
    return {"train": rows[:8], "test": rows[8:]}


def test_each_value_has_a_sheet_and_a_place_on_the_page(samples, tmp_path):
    page = write_preview(samples, tmp_path / "out", "mine", ["modality", "organ", "question_type"])
    files = sorted(file.name for file in (tmp_path / "out").glob("*.png"))
    assert [name for name in files if not name.startswith("modality-mri")] == [
        "modality-ct.png",
        "modality-x_ray.png",
        "organ-head.png",
        "question_type-pos.png",
        "question_type-pres.png",
    ]
    assert len(files) == 6
    text = page.read_text()
    assert text.count("data:image/jpeg;base64,") == 12 + 5 + 12
    assert "&lt;i&gt;left" in text
    assert "<i>left" not in text
    assert all(name in text for name in files)
    for name in files:
        with Image.open(tmp_path / "out" / name) as sheet:
            assert sheet.width == 8 * (CELL + 6) + 6


def test_a_sheet_shows_as_many_as_were_asked_for_and_the_same_for_the_same_seed(samples, tmp_path):
    texts = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        page = write_preview(samples, tmp_path / name, "mine", ["split"], images=3, seed=seed)
        texts.append(page.read_text())
    assert texts[0].count("data:image/jpeg") == 6
    assert "8 samples about 8 images, 3 shown" in texts[0]
    assert texts[0] == texts[1] != texts[2]


def test_images_that_cannot_be_opened_are_counted(samples, tmp_path):
    samples["test"][0].path.write_bytes(b"no picture")
    text = write_preview(samples, tmp_path / "out", "mine", ["split"]).read_text()
    assert "4 samples about 4 images, 3 shown; 1 could not be opened" in text


def test_what_the_set_does_not_say_and_what_there_is_not_is_refused(samples, tmp_path):
    with pytest.raises(ConfigError, match="no sheets by 'colour'"):
        write_preview(samples, tmp_path, "mine", ["colour"])
    bare = {"train": [question(0, "train", samples["train"][0].path)]}
    with pytest.raises(DataError, match="says nothing of organ, modality"):
        write_preview(bare, tmp_path, "mine", ["organ", "modality"])


def test_two_values_never_share_a_file(samples, tmp_path):
    rows = [
        question(number, "train", row.path, organ=organ)
        for number, (row, organ) in enumerate(
            zip(samples["train"], ("a b", "a_b", "a/b", "a-b", "肺", "脑"), strict=False)
        )
    ]
    write_preview({"train": rows}, tmp_path / "out", "mine", ["organ"])
    assert len(list((tmp_path / "out").glob("*.png"))) == 6


def test_a_picture_of_any_shape_and_text_of_any_script_fits(tmp_path):
    cells = [(Image.new("L", (300, 20), 200), "肺 " + "long words " * 40), (Image.new("RGB", (3, 90)), "")]
    draw_sheet(cells, tmp_path / "s.png", columns=2)
    with Image.open(tmp_path / "s.png") as sheet:
        assert sheet.size == (2 * (CELL + 6) + 6, CELL + 58 + 2 * 6)
    wide = padded(Image.new("RGB", (300, 20), (200, 200, 200)), 60)
    assert wide.getpixel((30, 30)) == (200, 200, 200)
    assert wide.getpixel((30, 20)) == (0, 0, 0)


def test_the_verb_draws_them(samples, tmp_path, capsys):
    jsonl.write([row for rows in samples.values() for row in rows], tmp_path / jsonl.FILE)
    line = ["data", "preview", "jsonl", str(tmp_path), "--out", str(tmp_path / "out"), "--by", "organ"]
    assert cli.main(line) == 0
    assert str(tmp_path / "out" / "index.html") in capsys.readouterr().out
    assert (tmp_path / "out" / "organ-head.png").is_file()
