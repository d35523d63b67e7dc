"""The audit's text is short: noughts and repetitions go, and nothing that tells something goes with them."""

from discern_vqa.audit import folding


def test_a_sentence_about_each_split_stands_once_with_the_other_numbers_behind_it():
    listed = [
        "5 of 130 test questions have an answer that train does not have: at most 96.2 %.",
        "48 of 92 answers of train occur once.",
        "4 of 69 validation questions have an answer that train does not have: at most 94.2 %.",
    ]
    assert folding.sentences(listed) == [f"{listed[0]} (likewise validation: 4, 69, 94.2)", listed[1]]
    assert folding.sentences(listed[:2]) == listed[:2]


def test_lines_of_noughts_go_and_their_checks_are_named():
    listed = [
        ("Records", ["test: 0 questions read"]),
        ("Copies", ["train: 0 repeated rows, 0 of 56 (0 %)", "test: 1 repeated row"]),
        ("Re-phrasings", ["template re-phrasings among the rows of train: 0 of 56 (0 %) (through other rows: 0)"]),
        ("Encoder", ["no encoder was named"]),
        ("Words", ["the data set does not name its languages"]),
        ("Near", ["0 pairs among 60 distinct images"]),
    ]
    assert folding.checks(listed) == (
        [
            ("Records", ["test: 0 questions read"]),
            ("Copies", ["test: 1 repeated row"]),
            ("Words", ["the data set does not name its languages"]),
            ("Near", ["0 pairs among 60 distinct images"]),
        ],
        ["Re-phrasings", "Encoder"],
    )


def test_lines_that_differ_in_the_normaliser_alone_are_one():
    lines = [f"test, normaliser {name}: covers {share}" for name, share in (("none", 9), ("lower", 8), ("m3ae", 8))]
    kept, _ = folding.checks([("Answers", lines)])
    assert kept == [("Answers", ["test, normaliser none: covers 9", "test, normalisers lower, m3ae: covers 8"])]
