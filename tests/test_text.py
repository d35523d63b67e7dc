"""Tokenizers: the reserved last slot, truncation, unknown words, what may be hidden; our own and the folders'."""

import json

import pytest
import torch

from discern_vqa.data.text import BEGIN, END, PAD, UNKNOWN, FolderTokenizer, WordTokenizer

TEXTS = ["Is there a mass?", "the heart's size", "x-ray of 3.5 cm", ""]


@pytest.fixture(scope="module")
def words() -> WordTokenizer:
    return WordTokenizer.from_texts(TEXTS)


def test_words_are_the_training_texts_commonest_first():
    made = WordTokenizer.from_texts(["b a", "a c", "c a"], min_count=2)
    assert made.words == ("a", "c")
    assert made.size == 6
    assert WordTokenizer.from_texts(TEXTS).words[0] != "The"


def test_a_text_becomes_begin_words_end_padding(words):
    tokens = words.encode(["Is there a mass?"], 10)
    ids = tokens.ids[0].tolist()
    assert (ids[0], ids[6], ids[7:]) == (BEGIN, END, [PAD] * 3)
    assert [words.words[index - 4] for index in ids[1:6]] == ["is", "there", "a", "mass", "?"]
    assert tokens.keep[0].tolist() == [True] * 7 + [False] * 3
    assert tokens.words[0].tolist() == [False] + [True] * 5 + [False] * 4


def test_words_with_marks_inside_stay_whole(words):
    assert {"heart's", "x-ray", "3.5"} <= set(words.words)


def test_unknown_words_are_one_id_that_may_be_hidden(words):
    tokens = words.encode(["zebra mass"], 6)
    assert tokens.ids[0, 1] == UNKNOWN
    assert tokens.words[0, 1]


def test_the_words_that_were_read_can_be_named(words):
    tokens = words.encode(["Is the zebra a mass?"], 12)
    assert words.names(tokens.ids[tokens.words].tolist()) == ["is", "the", "[unknown]", "a", "mass", "?"]


@pytest.mark.parametrize("length", [4, 5, 8])
def test_the_last_slot_is_always_padding(words, length):
    tokens = words.encode([" ".join(["mass"] * 50), "mass", ""], length)
    assert tokens.ids.shape == (3, length)
    assert bool((tokens.ids[:, -1] == PAD).all())
    assert not tokens.keep[:, -1].any()
    assert tokens.ids[0, length - 2] == END, "a text that is cut still ends"


def test_a_texts_ids_do_not_depend_on_its_neighbours(words):
    together = words.encode(TEXTS, 9)
    for row, text in enumerate(TEXTS):
        alone = words.encode([text], 9)
        assert torch.equal(alone.ids[0], together.ids[row])
        assert torch.equal(alone.keep[0], together.keep[row])
        assert torch.equal(alone.words[0], together.words[row])


def test_the_vocabulary_survives_being_written(words):
    content = json.loads(json.dumps(words.to_json()))
    again = WordTokenizer(content["words"])
    assert torch.equal(again.encode(TEXTS, 9).ids, words.encode(TEXTS, 9).ids)


@pytest.mark.parametrize("name", ["clip_tokenizer", "all-minilm-l6-v2"])
def test_a_tokenizer_folder_keeps_the_slot_and_protects_its_special_tokens(name, request, tmp_path):
    from discern_vqa.paths import find_local_weights

    folder = find_local_weights(name) or request.getfixturevalue("real_weights")(name)
    tokenizer = FolderTokenizer(folder)
    assert tokenizer.size == {"clip_tokenizer": 49_408, "all-minilm-l6-v2": 30_522}[name]
    tokens = tokenizer.encode(["is there a mass?", " ".join(["effusion"] * 90)], 16)
    inner = tokenizer.inner(["is there a mass?"])["input_ids"][0]
    assert tokens.ids[0, : len(inner)].tolist() == inner
    assert not tokens.keep[:, -1].any()
    assert tokens.ids[1, -2] == inner[-1], "a text that is cut still ends"
    assert tokenizer.names(tokens.ids[0][tokens.words[0]].tolist()) == ["is", "there", "a", "mass", "?"]
    hidden_ever = set(tokens.ids[tokens.words].tolist())
    special = {inner[0], inner[-1], tokenizer.pad}
    assert not hidden_ever & special
    assert int(tokens.words[0].sum()) == len(inner) - 2
    assert int(tokens.keep[0].sum()) == len(inner)
    tokenizer.inner.save_pretrained(tmp_path)
    kept = FolderTokenizer(tmp_path)
    again = kept.encode(["is there a mass?", " ".join(["effusion"] * 90)], 16)
    assert all(torch.equal(getattr(again, part), getattr(tokens, part)) for part in ("ids", "keep", "words"))
    assert (kept.pad, kept.size) == (tokenizer.pad, tokenizer.size)
    assert kept.names(again.ids[0].tolist()) == tokenizer.names(tokens.ids[0].tolist())
    assert kept.unread("one " * 40, 16) == tokenizer.unread("one " * 40, 16) != ""
    assert "inner" not in vars(kept), "transformers takes longer to import than a question to be answered"
