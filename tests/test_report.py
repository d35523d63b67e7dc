"""The report of a made-up run folder: one page that needs nothing else, and says what is missing or broken."""

import json
import operator
import re
import subprocess
import sys
from dataclasses import replace
from functools import reduce
from html.parser import HTMLParser
from pathlib import Path

import pytest
from _reported import made_run, write_json

from discern_vqa.errors import DataError, RunError
from discern_vqa.measurements.baselines import paired_tests
from discern_vqa.report.cases import gallery
from discern_vqa.report.figures import best_epoch, curves
from discern_vqa.report.page import write_report, write_reports
from discern_vqa.report.read import read_run
from discern_vqa.report.view import view
from discern_vqa.scoring import metrics, predictions
from discern_vqa.scoring.predictions import Prediction


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """See _reported."""
    return made_run(tmp_path / "run")


class Links(HTMLParser):
    """Every address that a page loads or leads to, every tag, and whether all tags are closed."""

    VOID = frozenset({"meta", "img", "br", "input", "link", "path", "use", "rect", "wbr"})

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_the_page_needs_no_other_file_no_network_and_no_script(run: Path, tmp_path: Path) -> None:
    page = write_report(run, tmp_path / "out")
    assert page == tmp_path / "out" / "index.html"
    text = page.read_text(encoding="utf-8")
    links = Links()
    links.feed(text)
    assert not links.open
    assert "script" not in links.tags
    assert {"svg", "table", "img", "details"} <= set(links.tags)
    assert all(address.startswith(("data:image/", "#")) for address in links.addresses)
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)
    assert len(text) < 10_000_000


def test_the_page_says_what_must_be_said_and_nothing_about_this_machine(run: Path, tmp_path: Path) -> None:
    text = write_report(run, tmp_path / "out").read_text(encoding="utf-8").replace("<wbr>", "")
    for said in (
        "not for diagnosis",
        "lung &lt;run&gt;",
        "75.0",
        "image_identity",
        "ours_too",
        "blank_image",
        "95 % interval",
        "Every test image is a &lt;training&gt; image.",
        "Is there a &lt;nodule&gt; in lung",
        "Image pairs",
        "Parts of the loss",
        "The stage before",
        "is not where the run",
        "t-SNE of the 6 numbers",
        "Where the model looked",
        "prefers-color-scheme",
    ):
        assert said in text
    assert "secret-place" not in text
    assert "<nodule>" not in text


def test_markdown_and_json_hold_the_same_figures(run: Path, tmp_path: Path) -> None:
    write_report(run, tmp_path / "out")
    (content,) = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))["runs"]
    assert content["scores"]["overall"]["accuracy"] == 0.75
    assert content["differences"]["image_identity"]["points"] == pytest.approx(0.5)
    assert content["best_epoch"] == [3, 0.725]
    markdown = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    low, high = (100 * end for end in content["scores"]["overall"]["ci95"])
    assert f"| **lung <run>** | 75.0 [{low:.1f}, {high:.1f}] |" in markdown
    assert "| image_identity | 25.0" in markdown
    assert "Research software, not for diagnosis" in markdown


def test_a_bare_run_without_baselines_images_curves_and_audit_still_has_a_page(tmp_path: Path) -> None:
    folder = tmp_path / "bare"
    rows = [Prediction(id=str(i), image=f"{i}", gold="a", answer_type="closed", prediction="a") for i in range(3)]
    write_json(folder / "config.json", {})
    write_json(folder / "scores.validation.json", metrics.score(rows))
    predictions.write(folder / "predictions.validation.jsonl", rows)
    text = write_report(folder, tmp_path / "out").read_text(encoding="utf-8")
    assert "bare" in text
    assert "</b> validation questions" in text
    assert "100.0" in text


def test_several_runs_are_compared_first(run: Path, tmp_path: Path) -> None:
    text = write_reports([run, run], tmp_path / "out").read_text(encoding="utf-8")
    assert "<title>2 runs" in text
    assert text.index('href="#r2"') < text.index('id="r1"')
    with pytest.raises(RunError, match="no run"):
        write_reports([], tmp_path / "out")


def test_cases_are_chosen_by_rule_and_a_missing_image_is_a_placeholder(run: Path) -> None:
    twins, wrong, right = gallery(read_run(run), most=24)
    assert [len(pair) for pair in twins.sets] == [2] * 4
    both = [all(case.right for case in pair) for pair in twins.sets]
    assert both == [True, False, True, False]
    assert not any(case.right for (case,) in wrong.sets)
    assert all(case.right for (case,) in right.sets)
    scores = [case.row.score or 0 for (case,) in wrong.sets if case.row.question_type == "PRES"]
    assert scores == sorted(scores, reverse=True)
    cards = [case for group in (twins, wrong, right) for cases in group.sets for case in cases]
    assert len(cards) <= 24
    for case in cards:
        shown = case.row.image != "img/0.png"
        assert bool(case.picture) == bool(case.heat) == shown
        assert bool(case.outline) == bool(case.row.mask)
        assert [gold for _, _, gold in case.bars].count(True) == 1


def test_an_image_outside_the_data_set_is_not_opened(run: Path) -> None:
    rows = predictions.read(run / "predictions.test.jsonl")
    (run.parent / "outside.png").write_bytes((run.parent / "secret-place/data/img/1.png").read_bytes())
    escaped = [Prediction(**{**row.__dict__, "image": "../../outside.png"}) for row in rows]
    predictions.write(run / "predictions.test.jsonl", escaped)
    assert all(not case.picture for group in gallery(read_run(run)) for cases in group.sets for case in cases)


def test_a_paired_difference_needs_the_same_questions(run: Path) -> None:
    opened = read_run(run)
    found = paired_tests(opened.rows, opened.baselines, "m3ae")
    assert set(found) == {"image_identity"}
    one = found["image_identity"]
    assert one["points"] == pytest.approx(0.5)
    low, high = one["ci95"]
    assert 0 < low < 0.5 < high < 1
    assert (one["verdict"], one["tests"]) == ("better", 3)
    predictions.write(run / "baselines" / "image_identity.test.jsonl", opened.rows[:-1])
    again = read_run(run)
    assert paired_tests(again.rows, again.baselines, "m3ae") == {}


def test_the_first_sentences_say_what_can_be_told_and_what_not(run: Path) -> None:
    opened = read_run(run)
    said = " ".join(view(opened)["summary"])
    assert "asked the 40 test questions of phantom about 40 images (10 open, 30 closed)" in said
    assert "The model answers 75.0 % (95 % interval" in said
    assert "A model that sees no pixels (image_identity) reaches 25.0 %" in said
    assert "+50.0 percentage points [" in said
    assert "distinguishable, the model is better (p = " in said
    assert "The baseline ours_too reaches 25.0 %" in said
    assert "cannot be tested" in said
    alike = [row for row in opened.rows[:-1]] + [replace(opened.rows[-1], prediction=opened.rows[-1].gold)]
    predictions.write(run / "baselines" / "image_identity.test.jsonl", alike)
    opened = read_run(run)
    said = " ".join(view(opened)["summary"])
    assert "percentage points [-7.1, +0.0]: not distinguishable (p = 1 after correction for 3 tests)" in said


def test_rows_stand_in_order_and_the_model_is_warned_of_its_equals(run: Path) -> None:
    scores = json.loads((run / "scores.test.json").read_text())
    scores["baselines"]["lookup"] = scores["baselines"]["image_identity"] | {"overall": scores["overall"]}
    write_json(run / "scores.test.json", scores)
    shown = view(read_run(run))
    assert [row["name"] for row in shown["rows"]] == [
        "lung <run>",
        "image_identity",
        "lookup",
        "ours_too",
        "blank_image",
    ]
    assert shown["beside"] == "lookup"
    assert "lookup reaches 75.0" in shown["warnings"][0]


def test_curves_take_every_loss_and_nothing_else() -> None:
    lines = [{"step": s, "split": "train", "loss": 1.0, "mix": 0.5, "lr": 0.1, "grad_norm": 3.0} for s in range(5)]
    (loss, parts) = curves(lines)
    assert loss["words"] == "train 1 to 1"
    assert parts["words"] == "mix 0.5 to 0.5"
    assert "#0" not in loss["svg"]
    assert "var(--c0)" in loss["svg"]
    assert curves([]) == []
    assert curves([{"split": "train", "loss": 1.0, "step": 0}]) == []
    assert best_epoch(lines) is None


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("config.json", None, "no run folder, or half written"),
        ("config.json", "{", "config.json is broken"),
        ("config.json", "[]", "expected an object"),
        ("scores.test.json", None, "has no scores yet"),
        ("scores.test.json", '{"n": 3}', "scores.test.json is broken: it lacks 'overall'"),
        ("predictions.test.jsonl", None, "there is no file"),
        ("predictions.test.jsonl", '{"id": "1"}\n', "predictions.test.jsonl:1: missing image"),
        ("metrics.jsonl", '{"step": 1}\nbroken\n{"step": 2}\n', "metrics.jsonl:2 is broken: Expecting value"),
        ("explanations.test.jsonl", '{"grid": [[1]]}\n', "explanations.test.jsonl is broken: it lacks 'id'"),
        ("config.json", '{"data": "phantom"}', "config.json is broken"),
        ("config.json", '{"model": ["cmdpi"]}', "a file of"),
        ("config.json", '{"run": 3}', "a file of"),
        ("config.json", '{"data": {"root": 3}}', "config.json is broken"),
        ("audit.json", '{"verdict": 3}', "a file of"),
        ("metrics.jsonl", '[1]\n{"step": 2}\n', "metrics.jsonl:1 is broken: expected an object, found [1]"),
        ("metrics.jsonl", '{"step": "a", "split": "train", "loss": 1}\n' * 2, "a file of"),
        ("config.json", "[" * 9999, "it is nested too deep"),
        ("audit.json", "9" * 5000, "a number is too long"),
        ("metrics.jsonl", "{}\n" + "[" * 9999, "metrics.jsonl:2 is broken: it is nested too deep"),
        ("explanations.test.jsonl", "9" * 5000, "explanations.test.jsonl:1 is broken: a number is too long"),
    ],
)
def test_a_broken_run_folder_is_said_with_its_file(
    run: Path, tmp_path: Path, file: str, content: str | None, said: str
) -> None:
    if content is None:
        (run / file).unlink()
    else:
        (run / file).write_text(content, encoding="utf-8")
    with pytest.raises((RunError, DataError), match=re.escape(said)) as caught:
        write_report(run, tmp_path / "out")
    assert caught.value.hint
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("file", ["config.json", "recipe.toml", "metrics.jsonl", "explanations.test.jsonl"])
def test_bytes_that_are_no_text_are_said_with_their_file(run: Path, file: str) -> None:
    (run / file).write_bytes(b"\xff\xfe\n" + (run / file).read_bytes() if (run / file).is_file() else b"\xff\n{}\n")
    with pytest.raises(RunError, match=rf"{file}.*codec can't decode") as caught:
        read_run(run)
    assert caught.value.hint


def test_scores_of_another_shape_are_an_error_with_a_hint_and_no_traceback(run: Path) -> None:
    whole = (run / "scores.test.json").read_text()
    hints: dict[str, str] = {}
    figures = ("overall", "overall.n", "overall.ci95", "baselines.image_identity.overall")
    for key in ("n", *figures, "by.organ", "baselines", "controls", "vocabulary.size", "vocabulary.coverage"):
        for value in ("x", [1], {"x": 1}, -1, 10**400):
            scores = json.loads(whole)
            *above, last = key.split(".")
            reduce(operator.getitem, above, scores)[last] = value
            write_json(run / "scores.test.json", scores)
            try:
                view(read_run(run))
            except RunError as error:
                hints[key] = error.hint
            except DataError:  # its parts do not add up to it
                continue
    assert set(hints) >= {"overall", "overall.ci95", "baselines.image_identity.overall", "baselines", "controls"}
    assert all(f"discern evaluate {run}" in hint for hint in hints.values())


def test_what_an_earlier_version_did_not_write_may_be_missing_or_null(run: Path) -> None:
    scores = json.loads((run / "scores.test.json").read_text())
    later = ("images", "by", "baselines", "controls", "modes", "reliance", "mirror", "scope", "vocabulary", "imitates")
    write_json(run / "scores.test.json", scores | dict.fromkeys(later))
    assert view(read_run(run))["rows"]


def test_scores_that_do_not_add_up_are_refused(run: Path, tmp_path: Path) -> None:
    scores = json.loads((run / "scores.test.json").read_text())
    scores["overall"] |= {"correct": 35, "accuracy": 35 / 40}
    write_json(run / "scores.test.json", scores)
    with pytest.raises(DataError, match="its parts add up to 30 of 40"):
        write_report(run, tmp_path / "out")


def test_a_torn_last_line_of_a_killed_run_is_left_out(run: Path, tmp_path: Path) -> None:
    with open(run / "metrics.jsonl", "a", encoding="utf-8") as file:
        file.write('{"step": 99, "spl')
    assert write_report(run, tmp_path / "out").is_file()


def test_writing_a_report_does_not_wake_torch(run: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from discern_vqa.report.page import write_report; "
        f"write_report(Path({str(run)!r}), Path({str(tmp_path / 'out')!r})); sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
