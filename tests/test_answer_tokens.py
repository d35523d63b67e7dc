"""Answers as tokens: byte pairs that write back what they read, and what is cut, padded, saved and refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discern_vqa.data.answer_tokens import (
    END,
    PAD,
    BytePairs,
    FolderAnswers,
    Writer,
    target_normaliser,
    writer_from_json,
)
from discern_vqa.errors import DataError

ANSWERS = ["left lung", "right lung", "the left lung", "right lower lobe", "no", "no", "ct", "left", "right"] * 3
PAIRS = BytePairs.from_texts(ANSWERS, 300)


@given(st.text(max_size=40))
def test_any_text_is_written_back_as_it_was_read(text):
    ids = PAIRS.encode([text], 400)[0].tolist()
    assert PAIRS.decode(ids) == text.strip()


def test_common_pieces_become_one_token_and_rare_ones_stay_bytes():
    lengths = (PAIRS.encode(["right lung", "zzz"], 20) != PAD).sum(1).tolist()
    assert lengths == [3, 4]  # two words and END; three bytes and END
    assert PAIRS.size <= 300


def test_pairs_follow_from_the_texts_alone_and_not_from_their_order():
    assert BytePairs.from_texts(reversed(ANSWERS), 300).to_json() == PAIRS.to_json()
    assert BytePairs.from_texts(ANSWERS, 262).to_json()["merges"] == PAIRS.to_json()["merges"][:4]


def test_byte_pairs_of_version_0_1_0_keep_their_ids():
    byte = {letter: 2 + ord(letter) for letter in " left"}
    merges = [[byte["l"], byte["e"]], [258, byte["f"]], [byte[" "], 259], [2 + 0xC3, 2 + 0xA9]]
    pairs = BytePairs.from_json({"kind": "byte pairs", "merges": merges})
    assert pairs.size == 262
    assert pairs.encode(["left left é\u0100"], 9)[0].tolist() == [
        259, byte["t"], 260, byte["t"], byte[" "], 261, 2 + 0xC4, 2 + 0x80, END]  # fmt: skip
    assert pairs.decode([259, byte["t"], 260, byte["t"], byte[" "], 261, END]) == "left left é"


def test_an_answer_ends_once_and_a_long_one_is_cut_before_its_end():
    rows = PAIRS.encode(["no", "a very long answer indeed"], 6)
    assert rows.shape == (2, 6)
    assert rows[0, 1:].tolist() == [END, PAD, PAD, PAD, PAD]
    assert rows[1, -1] == END
    assert (rows == END).sum(1).tolist() == [1, 1]


def test_what_follows_the_end_is_not_read():
    ids = PAIRS.encode(["left"], 8)[0].tolist()
    ids[ids.index(END) + 1] = 70
    assert PAIRS.decode(ids) == "left"


def test_broken_bytes_become_the_replacement_mark():
    first_byte = PAIRS.encode(["é"], 4)[0, 0]
    assert PAIRS.decode([first_byte, END]) == "�"


def test_a_writer_is_the_same_after_json():
    writer = Writer(PAIRS, 9, "raw", "m3ae", ("no", "left lung"))
    again = writer_from_json(json.loads(json.dumps(writer.to_json())), folder=None)
    assert again.encode(["The LEFT  lung"]).tolist() == writer.encode(["The LEFT  lung"]).tolist()
    assert (again.length, again.target, again.normalise, again.candidates) == (9, "raw", "m3ae", writer.candidates)


def test_the_normaliser_turns_none_into_0_and_the_raw_target_does_not():
    assert target_normaliser("raw", "m3ae")("None  seen") == "none seen"
    assert target_normaliser("normalized", "m3ae")("None  seen") == "0 seen"


@pytest.fixture
def t5_folder(tmp_path):
    """A tokenizer folder that pads and ends as T5's does."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {"<pad>": 0, "</s>": 1, "<unk>": 2, "left": 3, "lung": 4, "no": 5}
    inner = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")
    fast.save_pretrained(tmp_path / "t5")
    return tmp_path / "t5"


def test_a_folder_of_a_pretrained_generator_reads_and_writes(t5_folder):
    tokenizer = FolderAnswers(t5_folder)
    rows = tokenizer.encode(["left lung", "no"], 4)
    assert rows.tolist() == [[3, 4, END, PAD], [5, END, PAD, PAD]]
    assert [tokenizer.decode(row) for row in rows.tolist()] == ["left lung", "no"]
    assert tokenizer.to_json() == {"kind": "folder", "name": "t5"}


def test_a_folder_that_ends_otherwise_is_refused(t5_folder):
    config = json.loads((t5_folder / "tokenizer_config.json").read_text())
    (t5_folder / "tokenizer_config.json").write_text(json.dumps(config | {"eos_token": "no"}))
    with pytest.raises(DataError, match="ends with 5"):
        FolderAnswers(t5_folder)
