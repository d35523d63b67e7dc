"""The model card: what the hub reads, what a reader must know, and what a user wrote into it."""

import json
from pathlib import Path

import pytest
from _reported import made_run, write_json
from huggingface_hub import ModelCard

from discern_vqa.card import CARD, YOURS, write_card
from discern_vqa.errors import RunError
from discern_vqa.files import read_json
from discern_vqa.report.card import write_judged_card


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """See _reported."""
    return made_run(tmp_path / "run")


def test_after_training_the_card_says_what_is_not_known_yet(run: Path) -> None:
    assert write_card(run)
    text = (run / CARD).read_text(encoding="utf-8")
    for said in ("not for diagnosis", "It was not evaluated yet", "were not audited yet", "discern ask", "## Limits"):
        assert said in text
    data = ModelCard(text).data
    assert data.license == "unknown"
    assert data.pipeline_tag == "visual-question-answering"
    assert not data.eval_results


def test_the_hub_reads_the_figures_and_a_reader_what_they_are_worth(run: Path) -> None:
    assert write_judged_card(run, "test")
    text = (run / CARD).read_text(encoding="utf-8")
    data = ModelCard(text).data
    results = {one.metric_name: one.metric_value for one in data.eval_results or []}
    assert results["accuracy"] == 0.75
    own = {"accuracy", "accuracy, open", "accuracy, closed", "accuracy, image pairs"}
    baselines = {f"accuracy of the baseline {name}" for name in read_json(run / "scores.test.json")["baselines"]}
    assert set(results) == own | baselines
    assert results["accuracy of the baseline image_identity"] == 0.25
    overall = next(one for one in data.eval_results or [] if one.metric_name == "accuracy")
    stored = read_json(run / "scores.test.json")["overall"]
    assert overall.dataset_config == "usual"
    assert overall.metric_args["n"] == stored["n"] == 40
    assert overall.metric_args["ci95"] == [round(end, 4) for end in stored["ci95"]]
    assert overall.metric_args["clustered_by"] == "image"
    assert {one.dataset_split for one in data.eval_results or []} == {"test"}
    for said in (
        "A model that sees no pixels (image_identity) reaches 25.0 %",
        "| blank_image |",
        "- every test image is a <training> image.",
        "`recipe.toml`",
        "on 40 questions about 40 images".capitalize(),
    ):
        assert said in text
    assert "secret-place" not in text
    before = text
    assert write_judged_card(run, "test")
    assert (run / CARD).read_text(encoding="utf-8") == before


def test_what_the_user_added_is_kept(run: Path) -> None:
    write_card(run)
    path = run / CARD
    mine = path.read_text(encoding="utf-8").replace("license: unknown", "license: cc-by-nc-4.0\nbase_model: me/mine")
    path.write_text(mine + "\n## Where we used it\n\nNowhere.\n", encoding="utf-8")
    for _ in range(2):
        write_judged_card(run, "test")
        text = path.read_text(encoding="utf-8")
        data = ModelCard(text).data
        assert (data.license, data.base_model) == ("cc-by-nc-4.0", "me/mine")
        assert text.count(YOURS) == 1
        assert text.endswith(f"{YOURS}\n\n## Where we used it\n\nNowhere.\n")


def test_a_readme_of_somebody_else_is_left_alone(run: Path) -> None:
    (run / CARD).write_text("# Mine\n", encoding="utf-8")
    assert not write_card(run)
    assert not write_judged_card(run, "test")
    assert (run / CARD).read_text(encoding="utf-8") == "# Mine\n"


def test_a_broken_config_is_said(run: Path) -> None:
    write_json(run / "config.json", {"name": "x"})
    with pytest.raises(RunError, match=r"config\.json is broken"):
        write_card(run)


def test_encoders_are_named_without_their_folder(run: Path) -> None:
    config = json.loads((run / "config.json").read_text())
    config["model"]["text"] = {"kind": "lite", "weights": ""}
    write_json(run / "config.json", config)
    write_card(run)
    assert "(image: weights; text: lite)" in (run / CARD).read_text(encoding="utf-8")
