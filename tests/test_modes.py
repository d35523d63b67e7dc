"""The ways of answering: what each may say, where its score comes from, that nothing gold is read, how a threshold is
tuned."""

from dataclasses import replace

import pytest
import torch
from _tiny import QUESTIONS, VOCABULARY, WRITER, batcher, cmi_model, model

from discern_vqa.answering import modes
from discern_vqa.answering.decisions import decide_all
from discern_vqa.answering.modes import Answering, tune_hybrid
from discern_vqa.data.answers import Answer, AnswerVocabulary
from discern_vqa.errors import ConfigError

MODES = ("classify", "classify_typed", "generate", "rank", "hybrid")


def answering(net=None, samples=QUESTIONS, **more) -> Answering:
    net = net if net is not None else cmi_model()
    return Answering(net, batcher(net), samples, **more)


@pytest.mark.parametrize("mode", MODES)
def test_every_way_answers_every_question_says_which_it_was_and_does_so_twice_alike(mode):
    first, second = answering().answers(mode), answering().answers(mode)
    assert first == second
    assert len(first) == len(QUESTIONS)
    for answer in first:
        assert answer.mode in ({"classify", "generate"} if mode == "hybrid" else {mode})
        assert 0 <= answer.score <= 1
        assert answer.alternatives[0] == (answer.text, answer.score)
        scores = [score for _, score in answer.alternatives]
        assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("mode", MODES)
def test_a_question_alone_is_answered_as_among_others(mode):
    together = answering().answers(mode)
    for sample, among in zip(QUESTIONS, together, strict=True):
        alone = answering(samples=[sample]).answers(mode)[0]
        assert alone.text == among.text
        assert alone.score == pytest.approx(among.score, abs=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_no_way_reads_what_is_gold(mode):
    hidden = [replace(sample, answer="", answer_type="", question_type=()) for sample in QUESTIONS]
    assert answering(samples=hidden).answers(mode) == answering().answers(mode)


def test_models_have_the_ways_that_their_parts_allow():
    assert cmi_model().modes == MODES
    assert cmi_model(type_head=False).modes == ("classify", "generate", "rank")
    assert cmi_model(generator={"kind": "none"}).modes == ("classify", "classify_typed")
    assert model().modes == ("classify",)
    with pytest.raises(ConfigError, match="cannot answer by 'generate'") as error:
        answering(model()).answers("generate")
    assert "classify" in error.value.hint


def test_classify_is_the_best_of_all_classes():
    scores = decide_all(cmi_model(), batcher(), QUESTIONS).probabilities
    assert [answer.text for answer in answering().classify()] == [
        VOCABULARY.answers[place] for place in scores.argmax(-1).tolist()
    ]


@pytest.mark.parametrize("is_open", [True, False])
def test_classify_typed_gives_only_what_was_seen_with_the_predicted_type(is_open):
    net = cmi_model()
    with torch.no_grad():
        net.head_type.weight.zero_()
        net.head_type.bias.fill_(1.0 if is_open else -1.0)
    seen = {sample.answer for sample in QUESTIONS if (sample.answer_type == "open") == is_open}
    answers = answering(net).classify_typed()
    assert {answer.text for answer in answers} <= seen
    for row, answer in zip(decide_all(net, batcher(net), QUESTIONS).probabilities, answers, strict=True):
        allowed = sum(float(row[VOCABULARY.answers.index(one)]) for one in seen)
        assert answer.score == pytest.approx(float(row[VOCABULARY.answers.index(answer.text)]) / allowed, abs=1e-4)


def test_classify_typed_without_known_kinds_is_classify():
    made = answering()
    made.batcher.vocabulary = AnswerVocabulary(VOCABULARY.answers, "lower")
    assert [a.text for a in made.classify_typed()] == [a.text for a in made.classify()]


def test_generated_text_is_what_the_tokens_say_and_its_score_is_their_probability():
    made = answering()
    for place, answer in enumerate(made.generate()):
        beams = made.generated.tokens[place].tolist()
        texts = [WRITER.tokenizer.decode(ids) for ids in beams]
        each = zip(texts, made.generated.log_p[place].exp().tolist(), strict=True)
        assert answer.score == pytest.approx(sum(p for text, p in each if text == answer.text), abs=1e-5)
        assert answer.text in texts


def test_rank_says_a_training_answer_and_no_other(monkeypatch):
    for answer in answering().rank():
        assert answer.text in WRITER.candidates
        assert sum(score for _, score in answer.alternatives) <= 1 + 1e-5
    monkeypatch.setattr(modes, "RANKED", 1)
    for answer in answering().rank():
        assert answer.score == pytest.approx(1.0), "a single candidate was judged"


def test_rank_counts_answers_that_the_normaliser_takes_for_one_together(monkeypatch):
    monkeypatch.setattr(modes, "RANKED", 3)
    made = answering()
    made.batcher.vocabulary = replace(VOCABULARY, normaliser="lower")
    made.batcher.writer = replace(WRITER, candidates=("left", "LEFT", "no"))
    for answer in made.rank():
        assert len(answer.alternatives) == 2
        assert sum(score for _, score in answer.alternatives) == pytest.approx(1.0, abs=1e-5)


class Told(Answering):
    """Classes, generated answers and predicted types typed in here."""

    def __init__(self, classified, written, is_open, samples, below=0.5):
        self.model, self.samples, self.hybrid_below = cmi_model(), samples, below
        self.c = [Answer(text, score, ((text, score),), mode="classify") for text, score in classified]
        self.w = [Answer(text, 0.5, ((text, 0.5),), mode="generate") for text in written]
        self.o = torch.tensor(is_open)

    def classify(self):
        return self.c

    def generate(self):
        return self.w

    @property
    def is_open(self):
        return self.o


CLASSIFIED = [("yes", 0.2), ("left", 0.3), ("no", 0.4), ("right", 0.8), ("left", 0.6), ("left", 0.1), ("ct", 0.1)]
WRITTEN = ["no", "left", "yes", "wrong", "right", "no", "mr"]
IS_OPEN = [False, True, False, True, True, False, True]


def test_hybrid_generates_where_an_open_question_leaves_the_classifier_unsure():
    answers = Told(CLASSIFIED, WRITTEN, IS_OPEN, QUESTIONS, below=0.65).hybrid()
    assert [answer.text for answer in answers] == ["yes", "left", "no", "right", "right", "left", "mr"]
    assert [answer.mode == "generate" for answer in answers] == [False, True, False, False, True, False, True]


def test_the_threshold_is_the_one_that_is_right_most_often():
    # Gold: yes left no right yes no ct. Generating "left" (0.3) costs nothing, "ct" (0.1) and "right" (0.8) cost one.
    made = Told(CLASSIFIED, WRITTEN, IS_OPEN, QUESTIONS)
    below, figures = tune_hybrid(made, "lower")
    assert below == 0.0
    assert figures == {"n": 7, "classify": 5, "hybrid": 5}
    gold = [replace(sample, answer=answer) for sample, answer in zip(QUESTIONS, WRITTEN, strict=True)]
    below, figures = tune_hybrid(Told(CLASSIFIED, WRITTEN, IS_OPEN, gold), "lower")
    assert 0.8 < below < 0.81
    made = Told(CLASSIFIED, WRITTEN, IS_OPEN, gold, below)
    right = [answer.text == sample.answer for answer, sample in zip(made.hybrid(), gold, strict=True)]
    assert sum(right) == figures["hybrid"] == 4
