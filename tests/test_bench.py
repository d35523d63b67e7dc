"""doctor --bench: operations are counted right, a slower stage has a lower share, and what is printed is what was
measured."""

import json
import time

import pytest
import torch
import torch.nn.functional as F

from discern_vqa import bench, cli
from discern_vqa.bench import ceilings, stages
from discern_vqa.bench.ceilings import Ceilings
from discern_vqa.bench.stages import Stage, operations

PLAIN = Ceilings({"fp32 phantom": 1e9, "fp32 lite": 4e9, "bf16 phantom": 8e9}, copied=5e9, jpeg=100.0, dicom=50.0)


def test_products_and_attention_are_counted_forward_and_back():
    left, right = torch.randn(3, 5), torch.randn(5, 7, requires_grad=True)
    assert operations(lambda: left @ right) == 2 * 3 * 5 * 7
    assert operations(lambda: (left @ right).sum().backward()) == 2 * (2 * 3 * 5 * 7)
    query, key = torch.randn(2, 4, 6, 8), torch.randn(2, 4, 10, 8)
    attention = 2 * 2 * 4 * 6 * 10 * 8 * 2  # two products for each of two batches of four heads
    assert operations(lambda: F.scaled_dot_product_attention(query, key, key)) == attention
    query.requires_grad_()
    back = operations(lambda: F.scaled_dot_product_attention(query, key, key).sum().backward()) - attention
    assert back == pytest.approx(2.5 * attention), "five products where forward there are two"


def test_a_share_is_what_is_necessary_in_the_time_against_the_best_of_its_ceilings():
    stage = Stage("a step", seconds=2.0, necessary=2e9, ceiling="fp32 products")
    assert stage.share(PLAIN) == pytest.approx(0.25)
    assert Stage("open", 0.5, 25, "JPEG images").share(PLAIN) == pytest.approx(0.5)
    assert stage.as_json(PLAIN) == {
        "name": "a step", "seconds": 2.0, "necessary": 2e9, "ceiling": "fp32 products", "share": 0.25,
    }  # fmt: skip


def test_stages_of_real_models_count_a_pass_once_and_a_planted_wait_lowers_the_share(tmp_path, monkeypatch):
    monkeypatch.setattr(ceilings, "ROUNDS", 2)
    monkeypatch.setattr(stages, "COUNTS", {"pretrain": 2, "train": 4, "validation": 1, "test": 2})
    stages.phantom.draw(tmp_path / "phantoms", counts=stages.COUNTS, regions=["chest"], workers=1)
    start = stages.started(stages.FINETUNING, tmp_path, "tune")
    learned = stages.step(start, "a step")
    image, questions, answered = stages.answering(start)
    assert image.necessary > 0
    # Both images once, the questions once, and what fuses them.
    assert answered.necessary > 2 * image.necessary + questions.necessary
    assert answered.necessary < 10 * (2 * image.necessary + questions.necessary)
    assert learned.necessary > image.necessary
    images = stages.opening(tmp_path, PLAIN)
    assert [(row.necessary, row.ceiling) for row in images] == [(10, "JPEG images"), (10, "DICOM files")]
    load_image = stages.load_image
    monkeypatch.setattr(stages, "load_image", lambda *given: (time.sleep(0.2), load_image(*given)))
    slowed = stages.opening(tmp_path, PLAIN)
    for before, after in zip(images, slowed, strict=True):
        assert after.seconds >= 10 * 0.2
        assert after.share(PLAIN) < before.share(PLAIN)


@pytest.mark.parametrize(("load", "busy"), [(0.1, False), (9.5, True)])
def test_what_is_printed_is_what_was_measured(capsys, monkeypatch, load, busy):
    monkeypatch.setattr(Ceilings, "measured", lambda: PLAIN)
    monkeypatch.setattr(bench, "measured_stages", lambda given, say: [Stage("a step", 2.0, 2e9, "fp32 products")])
    monkeypatch.setattr(bench, "load", lambda: load)
    monkeypatch.setattr(bench.machine.os, "cpu_count", lambda: 2)
    assert cli.main(["doctor", "--bench", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["busy"] is busy
    assert told["load"] == {"before": load, "after": load}
    assert told["ceilings"]["fp32 product 4,736 x 192 x 768"] == {"per_second": 4.0, "unit": "GFLOP"}
    assert told["ceilings"]["DICOM files of 512 pixels, by pydicom"]["per_second"] == 50
    assert [row["share"] for row in told["stages"]] == [0.25]
    assert {"torch", "python", "discern"} <= told["versions"].keys()
    assert cli.main(["doctor", "--bench"]) == 0
    text = capsys.readouterr().out
    assert "25% of fp32 products" in text
    assert ("the machine was busy (a load of 9.5 on 2 cores" in text) is busy


def test_the_processor_is_named_as_the_system_names_it(tmp_path):
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: A Processor 9000\n")
    if not torch.cuda.is_available():
        assert bench.machine.about_this_machine(tmp_path / "cpuinfo")["machine"] == "A Processor 9000"
        assert bench.machine.about_this_machine(tmp_path / "none")["machine"]
