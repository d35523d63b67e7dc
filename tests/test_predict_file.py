"""A table of questions is answered row by row: one line for each, whatever happens; killed at any moment it goes on."""

import csv
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from openpyxl import Workbook, load_workbook

from discern_vqa.errors import ConfigError, DiscernError, ImageError, RunError
from discern_vqa.evaluation import answer_table
from discern_vqa.evaluation.predict_file import BATCH, predict_file
from discern_vqa.evaluation.questions import look_through
from discern_vqa.files import sha256_of
from discern_vqa.reading.image_files import tiny_image


class Model:
    """Answers with the question turned round; an image called broken* cannot be opened, and "crash" raises."""

    def __init__(self, folder: Path, log: Path | None = None, wait_s: float = 0.0, calibrated: bool = True) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "model.safetensors").write_bytes(b"weights")
        self.folder, self.modes = folder, ("classify",)
        self.log, self.wait_s, self.calibrated = log, wait_s, calibrated
        self.largest = self.kept = 0
        self.images: set[str] = set()

    @property
    def weights_sha256(self):
        return sha256_of(self.folder / "model.safetensors")

    def answer_judged(self, samples, mode=""):
        self.images |= {sample.image for sample in samples}
        self.largest = max(self.largest, len(samples))
        self.kept = max(self.kept, len(self.images))
        for sample in samples:
            if sample.path.name.startswith("broken"):
                raise ImageError(f"the image {sample.path} is empty (0 bytes)", hint="")
            if sample.question == "crash":
                raise RuntimeError("out of memory")
        time.sleep(self.wait_s)
        if self.log is not None:
            with open(self.log, "a") as file:
                file.write("".join(f"{sample.id}\n" for sample in samples))
        return [sample.question[::-1] for sample in samples]

    def line_of(self, answer):
        line = {"prediction": answer, "score": 0.5, "alternatives": [[answer, 0.5]], "others": 0.5, "mode": "classify"}
        judged = {"confidence": 0.25, "answer_set": None, "set_coverage": 0.9, "abstains": answer.startswith("?")}
        return line | (judged | {"outside": ["image"] if "o" in answer else []} if self.calibrated else {})

    def forget(self, samples):
        self.images -= {sample.image for sample in samples}


@pytest.fixture
def folder(tmp_path):
    tiny_image(tmp_path / "a.png", 1)
    (tmp_path / "broken.png").write_bytes(b"")
    return tmp_path


def table(folder, rows, name="q.csv", delimiter=";", encoding="utf-8-sig"):
    buffer = io.StringIO(newline="")
    csv.writer(buffer, delimiter=delimiter).writerows(rows)
    (folder / name).write_bytes(buffer.getvalue().encode(encoding))
    return folder / name


def read_csv(path, delimiter=";", encoding="utf-8-sig"):
    with open(path, encoding=encoding, newline="") as file:
        return list(csv.reader(file, delimiter=delimiter))


ROWS = [
    ["Fall", "Image", "answer", "Question"],
    [" 7", "a.png", "ja", "Größe?"],
    ["8", "broken.png", "", "Why?"],
    ["9", "gone.png", "", "Why?"],
    ["10", "a.png", "", ""],
    ["11", "a.png", "", "crash"],
    ["12", "a.png", "", "abc"],
    ["13", "a.png", "", "1-2+="],
    ["14", "a.png", "", "2-"],
]
ANSWERS = {"7": "?eßörG", "12": "cba", "13": "=+2-1", "14": "-2"}


def test_every_row_comes_back_in_order_with_its_own_columns_and_its_answer_or_reason(folder):
    made = predict_file(Model(folder / "run"), look_through(table(folder, ROWS)), folder / "out.csv")
    header, *rows = read_csv(folder / "out.csv")
    assert header == [*ROWS[0], "discern_answer", "confidence", "abstains", "outside", "error"]
    assert [row[:4] for row in rows] == ROWS[1:]
    errors = {row[0]: row[8] for row in rows if row[8]}
    assert errors == {
        "8": f"the image {folder / 'broken.png'} is empty (0 bytes)",
        "9": f"the image 'gone.png' is not there; expected a file at {folder / 'gone.png'}, or that name "
        f"below {folder} (did you mean 'broken.png'?)",
        "10": "'question' is missing or empty",
        "11": "it could not be answered: RuntimeError: out of memory",
    }
    assert [row[4:8] for row in rows if not row[8]] == [
        ["?eßörG", "0.25", "yes", "no"],  # abstains by itself
        ["cba", "0.25", "no", "no"],
        ["'=+2-1", "0.25", "no", "no"],  # no formula
        ["-2", "0.25", "no", "no"],  # a number
    ]
    assert all(row[4:8] == ["", "", "", ""] for row in rows if row[8])
    assert (made.rows, made.errors) == (8, 4)
    assert made.first_error == f"{folder / 'q.csv'}:3: {errors['8']}"
    assert any("discern_answer" in note for note in made.notes)
    assert (folder / "out.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    assert sorted(path.name for path in folder.iterdir() if path.name.startswith(".")) == []


def test_what_is_outside_abstains_and_what_is_not_calibrated_says_so(folder):
    rows = [["image", "question"], ["a.png", "oh"]]
    predict_file(Model(folder / "run"), look_through(table(folder, rows)), folder / "out.csv")
    assert read_csv(folder / "out.csv")[1][2:] == ["ho", "0.25", "yes", "image", ""]
    model = Model(folder / "run", calibrated=False)
    predict_file(model, look_through(table(folder, rows)), folder / "out.csv")
    assert read_csv(folder / "out.csv")[1][2:] == ["ho", "0.5", "not calibrated", "not known", ""]


@pytest.mark.parametrize(
    ("delimiter", "encoding", "written"),
    [(";", "cp1252", "cp1252"), ("\t", "utf-16", "utf-16"), (",", "utf-8", "utf-8-sig"), ("|", "ascii", "utf-8-sig")],
)
def test_a_csv_is_written_as_the_input_was(folder, delimiter, encoding, written):
    rows = [["image", "question"], ["a.png", "\u00fc" if encoding != "ascii" else "plain"]]
    path = table(folder, rows, "q.csv", delimiter, encoding)
    model = Model(folder / "run")
    if encoding == "ascii":  # whose answer has a letter that the file's encoding lacks
        model.line_of = lambda answer: Model.line_of(model, "\u00e4")
    options = {"encoding": encoding, "delimiter": delimiter}
    made = predict_file(model, look_through(path, (), options), folder / "out.csv")
    header, row = read_csv(folder / "out.csv", delimiter, written)
    assert header == ["image", "question", "answer", "confidence", "abstains", "outside", "error"]
    assert row[:3] == [*rows[1], "\u00fc" if encoding != "ascii" else "\u00e4"]
    assert [note for note in made.notes if "is UTF-8, since ascii" in note] == list(made.notes)
    assert bool(made.notes) is (encoding == "ascii")


def test_a_workbook_has_texts_as_texts_and_numbers_as_numbers(folder):
    book = Workbook()
    book.active.append(["Image", "Question", "n"])
    for question in ("1-2+=", "=SUM(1)", "x"):
        book.active.append(["a.png", question, 2.5])
        book.active.cell(book.active.max_row, 2).data_type = "s"
    book.save(folder / "q.xlsx")
    predict_file(Model(folder / "run"), look_through(folder / "q.xlsx"), folder / "out.xlsx")
    cells = list(load_workbook(folder / "out.xlsx").active.iter_rows())
    assert [cell.value for cell in cells[0]] == ["Image", "Question", "n", *answer_table.OURS]
    assert [[cell.value for cell in row[1:5]] for row in cells[1:]] == [
        ["1-2+=", 2.5, "=+2-1", 0.25],
        ["=SUM(1)", 2.5, ")1(MUS=", 0.25],
        ["x", 2.5, "x", 0.25],
    ]
    assert all(cell.data_type != "f" for row in cells for cell in row)
    predict_file(Model(folder / "run"), look_through(folder / "q.xlsx"), folder / "out.csv")
    assert [row[1] for row in read_csv(folder / "out.csv", ",")] == ["Question", "1-2+=", "'=SUM(1)", "x"]


def test_json_lines_have_all_that_is_known_and_no_column_is_lost(folder):
    rows = [{"image": "a.png", "question": "ab", "id": 3, "score": 4, "note": ["x"]}, "torn", {"image": "a.png"}]
    (folder / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows).replace('"torn"', "{torn"))
    made = predict_file(Model(folder / "run"), look_through(folder / "q.jsonl"), folder / "out.jsonl")
    first, second, third = map(json.loads, (folder / "out.jsonl").read_text().splitlines())
    assert {"image": "a.png", "question": "ab", "id": "3", "given_score": 4, "note": ["x"]}.items() <= first.items()
    assert (first["prediction"], first["score"], first["error"]) == ("ba", 0.5, "")
    assert (second["id"], third["image"], third["error"]) == ("2", "a.png", "'question' is missing or empty")
    assert "broken JSON" in second["error"]
    assert "prediction" not in second
    assert made.notes == ("your columns score are called given_... in out.jsonl",)
    predict_file(Model(folder / "run"), look_through(folder / "q.jsonl"), folder / "out.csv")
    assert read_csv(folder / "out.csv", ",")[1][:6] == ["a.png", "ab", "3", "4", '["x"]', "ba"]


def test_memory_holds_one_batch(folder):
    for number in range(3 * BATCH):
        tiny_image(folder / f"{number}.png", number)
    rows = [["image", "question"], *([f"{number}.png", "ab"] for number in range(3 * BATCH))]
    model = Model(folder / "run")
    predict_file(model, look_through(table(folder, rows)), folder / "out.csv")
    assert (model.largest, model.kept) == (BATCH, BATCH)


def test_a_model_that_answers_nothing_any_more_ends_the_run_and_keeps_what_it_has(folder):
    rows = [["image", "question"], *([["a.png", "ab"]] * BATCH), *([["a.png", "crash"]] * BATCH)]
    questions = look_through(table(folder, rows))
    with pytest.raises(RunError, match=f"q.csv:{BATCH + 2}: no row from here on could be answered: RuntimeError"):
        predict_file(Model(folder / "run"), questions, folder / "out.csv")
    assert not (folder / "out.csv").exists()
    model = Model(folder / "run", folder / "log")
    model.answer_judged = lambda samples, mode="": ["later"] * len(samples)
    predict_file(model, questions, folder / "out.csv", resume=True)
    assert [row[2] for row in read_csv(folder / "out.csv")[1:]] == ["ba"] * BATCH + ["later"] * BATCH


def test_an_interrupted_run_is_neither_lost_nor_taken_for_another(folder):
    rows = [["image", "question"], *([["a.png", "ab"]] * BATCH), *([["a.png", "crash"]] * BATCH)]
    questions = look_through(table(folder, rows))
    model = Model(folder / "run")
    with pytest.raises(RunError):
        predict_file(model, questions, folder / "out.csv")
    with pytest.raises(RunError, match=f"{BATCH} of {2 * BATCH} rows were answered before") as caught:
        predict_file(model, questions, folder / "out.csv", command="discern predict x --resume")
    assert caught.value.hint.startswith("go on: discern predict x --resume, or begin anew: rm ")
    for changed in ("questions", "model", "mode"):
        other, mode = questions, ""
        if changed == "questions":
            other = look_through(table(folder, [*rows, ["a.png", "x"]]))
        elif changed == "model":
            (folder / "run" / "model.safetensors").write_bytes(b"others")
        else:
            (folder / "run" / "model.safetensors").write_bytes(b"weights")
            mode = "classify"
        with pytest.raises(RunError, match="of other questions, another model or other settings"):
            predict_file(model, other, folder / "out.csv", resume=True, mode=mode)


@pytest.mark.parametrize("damage", ["half a line", "noughts", "half a batch"])
def test_a_torn_end_of_the_journal_is_answered_again(folder, damage):
    rows = [["image", "question"], *([["a.png", f"ab{number}"] for number in range(2 * BATCH)]), ["a.png", "x"]]
    questions = look_through(table(folder, rows))
    predict_file(Model(folder / "run"), questions, folder / "whole.csv")
    torn = Model(folder / "run")

    def stop(done, total):
        if done == 2 * BATCH:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_file(torn, questions, folder / "out.csv", progress=stop)
    journal = folder / ".out.csv.journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    assert len(lines) == 1 + 2 * BATCH
    ends = {"half a line": lines[-1][:-4], "noughts": b"\0" * 40, "half a batch": b""}
    journal.write_bytes(b"".join(lines[:-1]) + ends[damage])
    again = Model(folder / "run", folder / "log")
    predict_file(again, questions, folder / "out.csv", resume=True)
    assert (folder / "out.csv").read_bytes() == (folder / "whole.csv").read_bytes()
    assert len((folder / "log").read_text().split()) == BATCH + 1


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("out.txt.gz", "ends in .gz; expected one of .csv"),
        ("out", "ends in nothing"),
        ("q.csv", "is an input of this command"),
        ("run/model.jsonl", "is a file of the run folder"),
    ],
)
def test_an_output_that_cannot_be_is_refused_before_anything_is_answered(folder, out, said):
    questions = look_through(table(folder, ROWS))
    model = Model(folder / "run", folder / "log")
    (folder / "run" / "model.jsonl").write_text("evaluated")
    with pytest.raises(ConfigError) as caught:
        predict_file(model, questions, folder / out)
    assert said in str(caught.value)
    with pytest.raises(ConfigError, match="cannot answer by 'sing'"):
        predict_file(model, questions, folder / "out.csv", mode="sing")
    assert not (folder / "log").exists()


def test_two_commands_do_not_write_one_file(folder):
    model = Model(folder / "run")
    questions = look_through(table(folder, ROWS))

    def again(done, total):
        with pytest.raises(DiscernError, match="another command writes"):
            predict_file(model, questions, folder / "out.csv")

    predict_file(model, questions, folder / "out.csv", progress=again)


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[4])
from test_predict_file import Model
from discern_vqa.evaluation.predict_file import predict_file
from discern_vqa.evaluation.questions import look_through
folder, out, resume = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "resume"
predict_file(Model(folder / "run", folder / "log", 0.004), look_through(folder / "q.csv"), out, resume=resume)
"""


@pytest.mark.parametrize("ending", ["csv", "xlsx"])
def test_killed_at_any_moment_it_goes_on_and_ends_with_the_same_file(folder, ending):
    """SIGKILL, at moments drawn by chance between the first batch and the last byte of the answers."""
    count = 20 * BATCH + 5
    rows = [["image", "question"], *([["a.png", f"question {number}"] for number in range(count)])]
    table(folder, rows)
    whole, out = folder / f"whole.{ending}", folder / f"out.{ending}"
    predict_file(Model(folder / "run"), look_through(folder / "q.csv"), whole)
    chance, journal = random.Random(ending), folder / f".out.{ending}.journal"

    def lines() -> int:
        return journal.read_bytes().count(b"\n") if journal.exists() else 0

    # Two kills between batches, one while the answers are written; then nobody disturbs.
    moments = sorted(chance.sample(range(BATCH, count), 2)) + [count + 1, None]
    for attempt, moment in enumerate(moments):
        words = [str(folder), str(out), "resume" if attempt else "begin", str(Path(__file__).parent)]
        process = subprocess.Popen([sys.executable, "-c", SCRIPT, *words])
        while process.poll() is None and (moment is None or lines() < moment):
            time.sleep(0.001)
        if moment is not None:
            time.sleep(chance.random() * 0.02)
            os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert process.returncode == (0 if moment is None else -signal.SIGKILL)
        assert moment is None or lines() >= min(moment, count) or out.exists()
    kills = len(moments) - 1
    if ending == "xlsx":
        both = [[[cell.value for cell in row] for row in load_workbook(file).active] for file in (whole, out)]
        assert both[0] == both[1]
        assert len(both[0]) == count + 1
    else:
        assert out.read_bytes() == whole.read_bytes()
    answered = (folder / "log").read_text().split()
    assert len(set(answered)) == count
    assert len(answered) <= count + kills * BATCH, "only the batch that a kill has torn is answered again"
    assert sorted(path.name for path in folder.iterdir() if path.name.startswith(".")) == []
