"""Texts that are longer than what a model reads: the middle is left out, it is said, and short texts stay as they
were."""

from pathlib import Path

import pytest
from _reported import rows_of
from _tiny import LENGTH, caption, question

from discern_vqa.cli import main
from discern_vqa.data.answer_tokens import BytePairs, Writer
from discern_vqa.data.text import BEGIN, END, FolderTokenizer, WordTokenizer, left_out
from discern_vqa.evaluation.asker import RunAsker
from discern_vqa.evaluation.one_question import single_question
from discern_vqa.evaluation.opening import open_run
from discern_vqa.measurements import Context, unread, warnings
from discern_vqa.run import _tokenizer
from discern_vqa.scoring import metrics
from discern_vqa.training.cautions import answers_cut, texts_cut

WORDS = [f"w{n}" for n in range(30)]
LONG = " ".join(WORDS)


@pytest.fixture(scope="module")
def clip(real_weights) -> FolderTokenizer:
    return FolderTokenizer(real_weights("clip_tokenizer"))


def test_of_a_long_text_beginning_and_end_are_read():
    made = WordTokenizer(WORDS)
    ids = made.encode([LONG], 12).ids[0].tolist()
    assert ids == [BEGIN, 4, 5, 6, 7, 29, 30, 31, 32, 33, END, 0]
    assert made.unread(LONG, 12) == " ".join(WORDS[4:25])
    assert made.unread(" ".join(WORDS[:9]), 12) == ""
    assert made.count_cut([LONG, "w1 w2"], 12) == 1


def test_two_questions_behind_one_history_are_told_apart_and_were_not_before():
    made = WordTokenizer([*WORDS, "mass", "fracture"])
    asked = [f"{LONG} mass", f"{LONG} fracture"]
    assert made.encode(asked[:1], 16).ids.tolist() != made.encode(asked[1:], 16).ids.tolist()
    before = _tokenizer({"kind": "words", "words": [*WORDS, "mass", "fracture"]}, Path())  # a run of version 0.1.0
    assert before.encode(asked[:1], 16).ids.tolist() == before.encode(asked[1:], 16).ids.tolist()
    assert before.unread(asked[0], 16).endswith("mass")
    again = _tokenizer(made.to_json(), Path())
    assert again.encode(asked, 16).ids.tolist() == made.encode(asked, 16).ids.tolist()


def test_as_much_of_the_end_is_read_as_of_the_beginning():
    assert (left_out(10, 10, "middle"), left_out(10, 4, "middle")) == (slice(10, 10), slice(2, 8))
    assert (left_out(9, 5, "middle"), left_out(9, 5, "end")) == (slice(2, 6), slice(5, 9))


def test_a_folder_s_tokenizer_reads_what_fits_as_before_and_both_ends_of_the_rest(clip):
    short = ["Is there a mass?", "", "CT or MRI?", " ".join(["mass"] * 29)]
    before = clip.inner(short, truncation=True, max_length=31)["input_ids"]
    ids = clip.encode(short, 32).ids.tolist()
    assert [row[: len(old)] for row, old in zip(ids, before, strict=True)] == before
    long = f"first {' '.join(['mass'] * 60)} last"
    row = clip.inner.decode(clip.encode([long], 32).ids[0])
    assert row.startswith("<|startoftext|>first mass")
    assert "mass last <|endoftext|>" in row
    assert clip.unread(long, 32).split() == ["mass"] * (62 - 29)
    assert clip.count_cut([*short, long], 32) == 1


def test_a_training_says_how_many_texts_and_answers_are_cut():
    rows = [question(1, "a", LONG, "no"), question(2, "a", "w1 w2", "no"), caption(3, "a", LONG)]
    told = texts_cut(LENGTH, rows, WordTokenizer(WORDS))
    assert [sentence.split(" are")[0] for sentence in told] == ["1 of 2 questions", "1 of 1 captions"]
    pairs = BytePairs.from_texts(["a b", "a very long answer"], 400)
    writer = Writer(pairs, 8, "raw", "plain", ("a b", "a very long answer"), ("A b", "A very long answer"))
    assert answers_cut(writer)[0].startswith("1 of 2 different answers are longer than 8 tokens")
    assert writer.spelled("a very long answer") == "A very long answer"
    assert writer.spelled("something else") == "something else"


def test_a_cut_question_is_said_by_ask_explain_predict_evaluate_and_the_report(tiny_run: Path, tmp_path: Path, capsys):
    """On a trained network, for two questions of which one fits."""
    image = next((tiny_run.parent / "phantoms" / "images").rglob("*.png"))
    long = "Known for a long history with " + "very " * 30 + "many findings: is there a nodule?"
    said = "is longer than the model reads; "
    assert main(["ask", str(tiny_run), str(image), long]) == 0
    assert said in capsys.readouterr().out
    assert main(["explain", str(tiny_run), str(image), long, "--out", str(tmp_path / "map.png")]) == 0
    assert said in capsys.readouterr().out
    table = tmp_path / "table.csv"
    for texts, remark in (
        (["Is there a nodule?", long], "table.csv:3"),
        ([long] * 3, "(and 2 more remarks of the kind"),
    ):
        table.write_text("image,question\n" + "".join(f"{image},{text}\n" for text in texts))
        assert main(["predict", str(tiny_run), str(table), "--out", str(tmp_path / "out.csv")]) == 0
        printed = " ".join(capsys.readouterr())
        assert said in printed
        assert remark in printed
    asked = [single_question(image, text) for text in ("Is there a nodule?", long, long)]
    predictor = open_run(tiny_run)
    asker = RunAsker(predictor, predictor.answering(asked), "test", asked, [], [])
    context = Context(asker, predictor.run, "test", asked, [])
    scores = {**metrics.score(rows_of({1})), **unread.measure(context)}
    (warned,) = unread.warnings(scores)
    assert warned == (
        "2 of 3 questions are longer than the model reads (16 text positions): words in their middle were not read"
    )
    assert warned in warnings(scores)  # which `evaluate` prints and the report shows
    asker.samples = asked[:1]
    assert unread.warnings(unread.measure(context)) == []
