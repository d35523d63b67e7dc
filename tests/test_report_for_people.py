"""What a report says to people: three lines for a clinician, promises that are not kept, codes explained, images of any
data set, and one verdict on each answer."""

import csv
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from _reported import made_run, rows_of
from PIL import Image
from playwright.sync_api import sync_playwright

from discern_vqa.datasets import csv as csv_reader
from discern_vqa.measurements.baselines import paired_tests
from discern_vqa.report.cases import gallery
from discern_vqa.report.confusion import confusions
from discern_vqa.report.page import write_report
from discern_vqa.report.question_types import legend
from discern_vqa.report.read import read_run
from discern_vqa.report.terminal import as_table
from discern_vqa.report.usable import NO, PARTLY, UNKNOWN, uses
from discern_vqa.report.view import view
from discern_vqa.report.words import data_in_words, model_in_words, split_in_words
from discern_vqa.scoring import metrics, predictions
from discern_vqa.scoring.metrics import shown_parts
from discern_vqa.scoring.predictions import Prediction
from discern_vqa.trust.calibration import Calibration
from discern_vqa.trust.calibration_view import unkept


def level(accuracy: float, low: float, high: float) -> dict[str, object]:
    return {"n": 300, "accuracy": accuracy, "ci95": [low, high]}


def test_a_promise_that_is_not_kept_is_said_and_chance_is_not_blamed():
    bad = {"coverage": 0.9, "all": level(0.874, 0.854, 0.892), "levels": {"0.5": level(0.46, 0.429, 0.492)}}
    assert unkept(bad) == (
        "answer sets do not keep their promise: they hold the true answer in 46.0 [42.9, 49.2] % instead of 50, "
        "87.4 [85.4, 89.2] % instead of 90"
    )
    good = {"coverage": 0.9, "all": level(0.91, 0.88, 0.93), "levels": {"0.5": level(0.49, 0.45, 0.53)}}
    assert unkept(good) == ""
    every = {str(stated): level(stated - 0.01, stated - 0.05, stated + 0.04) for stated in (0.5, 0.6, 0.7)}
    assert "less often than stated at every level" in unkept({"coverage": 0.7, "levels": every})


def test_the_three_lines_follow_the_tests_and_not_the_figures(tmp_path):
    run = read_run(made_run(tmp_path / "run"))
    paired = paired_tests(run.rows, run.baselines, "m3ae")
    scores = run.scores | {"paired": paired, "baselines": {"image_identity": run.scores["baselines"]["image_identity"]}}
    verdicts = {use.purpose: use for use in uses(scores)}
    assert len(verdicts) == 3
    first, second, third = verdicts.values()
    assert paired["image_identity"]["verdict"] == "better"
    assert first.why.startswith("It is right in 75 of 100 questions.")
    worse = uses(scores | {"paired": {"image_identity": {"verdict": "not distinguishable"}}})[0]
    assert worse.why.endswith("is not shown to be worse.")
    alone = uses(scores | {"baselines": {}})[0]
    assert (alone.answer, alone.why.startswith("It is right in 75 of 100 questions. No model")) == (UNKNOWN, True)
    poor = uses(scores | {"overall": scores["overall"] | {"accuracy": 0.2}})[0]
    assert poor.why == "It is right in 20 of 100 questions. Most of its answers are wrong."
    assert uses(scores | {"paired": {"image_identity": {"verdict": "worse"}}})[0].why.endswith("and is better.")
    assert (worse.answer, first.answer == NO) == (NO, False)
    assert (second.answer, third.answer) == (UNKNOWN, NO)
    gap = {"n": 40, "accuracy": 0.75, "without": 0.3, "ci95": [-0.01, 0.5]}
    assert uses(scores | {"reliance": {"overall": gap}})[1].answer == NO
    assert uses(scores | {"reliance": {"overall": gap | {"ci95": [0.2, 0.5]}}})[1].answer != NO
    given = {"n": 20, "coverage": 0.5, "accuracy": 0.95, "ci95": [0.85, 1.0]}
    assert uses(scores | {"calibration": {"abstention": given}})[2].answer == PARTLY
    assert uses(scores | {"calibration": {"abstention": given | {"ci95": [0.7, 1.0]}}})[2].answer == NO
    assert third.why.endswith("(discern calibrate RUN).")
    none = uses(scores | {"calibration": {"missing": "its answers have no score", "hint": "ask for one"}})[2]
    assert none.why.endswith("how often it is right: its answers have no score.")


def test_codes_are_explained_and_words_are_left_alone():
    assert legend(["PRES", "Shape", "POS"]) == "PRES: whether something is present; POS: where something is"


def untyped(count: int) -> list[Prediction]:
    return [
        Prediction(id=str(n), image=str(n % 12), gold="HER2+", answer_type="",
                   prediction=("her2+", "HER2-")[n % 3 == 0],
                   score=0.6 + n / 100, alternatives=(("HER2+", 0.6 + n / 100),), others=1, question="HER2 status?")
        for n in range(count)
    ]  # fmt: skip


def test_a_set_without_answer_types_has_no_second_column_of_the_same():
    scores = metrics.score(untyped(24), "plain")
    assert shown_parts(scores) == ["overall"]
    assert "unknown" not in as_table(scores)
    mixed = metrics.score([*untyped(24), *rows_of({1, 2})], "plain")
    assert shown_parts(mixed) == ["overall", "open", "closed", "unknown", "twins"]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A run on a CSV file whose images lie in a folder of their own, with a mask of none."""
    data = tmp_path / "clinic"
    (data / "scans").mkdir(parents=True)
    rows = untyped(12)
    with open(data / "table.csv", "w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["image", "question", "answer", "split"])
        for n, _ in enumerate(rows):
            Image.fromarray(np.full((30, 40), 20 * n, np.uint8)).save(data / f"scans/{n}.png")
            lines.writerow([f"{n}.png", "HER2 status?", "HER2+", "test"])
    samples = csv_reader.read(data / "table.csv", "test", images="scans")
    run = tmp_path / "run"
    run.mkdir()
    named = [Prediction(**{**vars(row), "image": sample.image}) for row, sample in zip(rows, samples, strict=True)]
    predictions.write(run / "predictions.test.jsonl", named)
    scores = {"split": "test"} | metrics.score(named, "plain")
    (run / "scores.test.json").write_text(json.dumps(scores))
    where = str(data / "table.csv")
    config = {"root": where, "data": {"dataset": "csv", "root": where, "options": {"images": "scans"}}}
    (run / "config.json").write_text(json.dumps(config | {"model": {"name": "cmdpi"}}))
    return run


def test_the_images_of_a_table_are_shown_with_their_pixels(own: Path, tmp_path: Path):
    cards = [card for group in gallery(read_run(own)) for cards in group.sets for card in cards]
    assert cards
    assert all(card.picture and not card.gone for card in cards)
    assert "is not where" not in write_report(own, tmp_path / "report").read_text(encoding="utf-8")


def test_where_the_data_set_is_gone_the_card_says_why_without_the_folder(own: Path, tmp_path: Path):
    (tmp_path / "clinic" / "table.csv").unlink()
    page = write_report(own, tmp_path / "report").read_text(encoding="utf-8")
    assert (
        "The image is not where the run&#39;s config says" in page or "The image is not where the run's config" in page
    )
    assert str(tmp_path) not in page


def test_a_card_gives_the_verdict_that_ask_gives(own: Path, tmp_path: Path):
    (own / "within.test.jsonl").write_text(
        json.dumps({"id": "1", "image": 0.001, "question": 0.4, "outside": ["image"]}) + "\n"
        + json.dumps({"id": "2", "image": 0.5, "question": 0.4, "outside": []}) + "\n"
    )  # fmt: skip
    cards = [card for group in gallery(read_run(own)) for cards in group.sets for card in cards]
    verdicts = {card.row.id: card.verdict for card in cards}
    assert verdicts["1"].abstains
    assert verdicts["1"].reason.startswith("the image is unlike what I was trained on")
    assert not verdicts["2"].abstains
    assert verdicts["3"] is None
    page = write_report(own, tmp_path / "report").read_text(encoding="utf-8")
    assert "I would rather not answer: the image is unlike" in page


def test_the_first_example_is_one_that_is_answered(own: Path):
    """Of a run that withholds nearly every answer, the one that it gives is shown first, in whichever group it is."""
    rows = read_run(own).rows
    right = [row.id for row in rows if row.prediction == "her2+"]
    wrong = [row.id for row in rows if row.prediction != "her2+"]
    for given in (right[0], wrong[-1]):  # the least confident one of its group
        lines = [
            {"id": row.id, "image": 0.001, "question": 0.4, "outside": ["image"] * (row.id != given)} for row in rows
        ]
        (own / "within.test.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        groups = gallery(read_run(own))
        assert groups[0].sets[0][0].row.id == given
        assert [len(group.sets) for group in groups] in ([len(right), len(wrong)], [len(wrong), len(right)])
    (own / "within.test.jsonl").write_text("".join(f"{json.dumps(line | {'outside': ['image']})}\n" for line in lines))
    assert gallery(read_run(own))[0].title.startswith("Mistakes")  # none is answered: in the usual order


def test_data_split_and_model_are_named_in_words(own: Path, tmp_path: Path):
    scores = json.loads((own / "scores.test.json").read_text())
    (own / "scores.test.json").write_text(json.dumps(scores | {"protocol": "usual"}))
    page = write_report(own, tmp_path / "report").read_text(encoding="utf-8")
    assert "data <b>own data (csv)</b>, the data set's own split" in page.replace("&#39;", "'")
    assert "usual" not in page
    assert data_in_words({"data": {"dataset": "vqa_rad"}}) == "VQA-RAD"
    assert data_in_words({"data": {"dataset": "of another version"}}) == "of another version"
    assert split_in_words("image_disjoint fold 2") == "split so that training and test share no image (fold 2)"
    assert model_in_words({"model": {"name": "baselines.lookup"}}) == "lookup (a baseline)"


def test_a_model_that_sees_no_pixels_has_neither_mirror_test_nor_heat_maps_and_it_is_said(tmp_path: Path):
    run = made_run(tmp_path / "run")
    figure = {"n": 9, "correct": 3, "accuracy": 1 / 3, "ci95": [0.1, 0.6]}
    figures = dict.fromkeys(("plain", "mirrored", "both", "followed"), figure)
    scores = json.loads((run / "scores.test.json").read_text())
    scores["mirror"] = {"answer_names_side": {"n": 9, "left_out": 2, "in_table": 9} | figures}
    (run / "scores.test.json").write_text(json.dumps(scores))
    (run / "explanation_scores.test.json").write_text(json.dumps({"methods": {"rollout": {"hit": 0.5}}}))
    config = json.loads((run / "config.json").read_text())
    for name in ("cmdpi", "baselines.kernel_ridge"):
        (run / "config.json").write_text(json.dumps(config | {"model": {"name": name}}))
        shown = view(read_run(run))
        assert {"mirror", "explanations"} <= {table.name for table in shown["tables"]}
        told = " ".join(shown["summary"])
        assert "Mirror test: 9 images whose answer names a side were mirrored" in told
        assert "no pixels: it cannot" not in told
    (run / "config.json").write_text(json.dumps(config | {"model": {"name": "baselines.question_only"}}))
    page = write_report(run, tmp_path / "out").read_text(encoding="utf-8")
    for text in (page, (tmp_path / "out" / "report.md").read_text(encoding="utf-8")):
        assert "It is given the question, and no pixels: it cannot tell an image from its mirror image" in text
        assert "It never sees the pixels of an image" in text
        for gone in ("Mirror test", "The mirror test", "left and right are not to be believed", "heat maps' own"):
            assert gone not in text.replace("&#39;", "'")
    assert not (tmp_path / "out" / "tables" / "mirror.csv").exists()


def test_on_a_wide_screen_no_table_scrolls_and_on_a_narrow_one_the_page_does_not(tmp_path: Path):
    """In Chromium: an arrow beside a table that does not go on is a defect, and so is a page wider than a phone."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        assert os.environ.get("CI") != "true"
        pytest.skip("there is no Chromium, in which the page is looked at: apt-get install chromium")
    page = write_report(made_run(tmp_path / "run"), tmp_path / "out")
    measure = "(all) => all.map((one) => [one.ariaLabel, one.scrollWidth - one.clientWidth])"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        for width in (1280, 390):
            tab = browser.new_page(viewport={"width": width, "height": 800})
            tab.goto(page.as_uri())
            whole = tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert whole == 0
            tables = dict(tab.locator(".scroll").evaluate_all(measure))
            assert {"Model, baselines and controls", "Confidence"} <= tables.keys()
            # On a phone the wide tables may be swiped, and only there.
            wide = {"Model, baselines and controls", "Confusions, open questions", "Confusions, closed questions"}
            assert {name for name, over in tables.items() if over} <= (wide if width == 390 else set())
        browser.close()


def test_a_calibrated_run_s_cards_abstain_below_its_threshold(own: Path):
    rows = [Prediction(**{**vars(row), "id": f"v{n}", "image": f"v{n}"}) for n, row in enumerate(untyped(60))]
    made = Calibration.fit(rows, "plain", target=0.999)
    made.write(own / "calibration.json")
    cards = [card for group in gallery(read_run(own)) for cards in group.sets for card in cards]
    assert all(card.verdict.is_calibrated for card in cards)
    assert all(card.verdict.abstains == (made.bar.threshold is None or card.verdict.confidence < made.bar.threshold)
               for card in cards)  # fmt: skip


def test_confusions_are_shown_as_people_write_them(own: Path):
    assert confusions(read_run(own))[0].answers == ["HER2+"]
