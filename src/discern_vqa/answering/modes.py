"""The ways of answering (cmi_mtl.md section 3) for models that have more than a classifier.

    classify         the best of all answers of the table, whatever the question
    classify_typed   the best of those seen with the answer type that the model *predicts*
    generate         free form: beam search, without a penalty for length
    rank             the training answer that the generator finds likeliest
    hybrid           classify; but generate where the question is predicted to be open and the best class is less sure
                     than a threshold, which is tuned on validation

Nothing gold is read: the answer type is always the predicted one. Scores are probabilities: of a class among all
classes (softmax, averaged over views), of a generated answer, or of a candidate among the candidates.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor

from discern_vqa.answering.classified import NAMED, classified, classified_by_type
from discern_vqa.answering.decisions import Decided, decide_all, in_order
from discern_vqa.data.answer_tokens import END, Writer
from discern_vqa.data.answers import Answer, normaliser
from discern_vqa.data.batch import Batcher, Inputs
from discern_vqa.data.sample import Sample
from discern_vqa.division import Place
from discern_vqa.errors import ConfigError
from discern_vqa.nn.decoder import Generated, beam_search, rank_answers

RANKED = 128
"""`rank` scores so many answers in full: the likeliest by their first token."""


@dataclass(eq=False)
class Answering:
    """All that one model says about some questions; each part is computed when it is first wanted."""

    model: Any
    batcher: Batcher
    samples: Sequence[Sample]
    views: int = 1
    batch: int = 64
    hybrid_below: float = 0.5
    place: Place | None = None  # where several processes ask the same together, and each computes a part

    def answers(self, mode: str = "classify") -> list[Answer]:
        """One answer for each question. Raises ConfigError for a mode that the model does not have."""
        if mode not in self.model.modes:
            raise ConfigError(f"this model cannot answer by {mode!r}", hint=f"it can: {', '.join(self.model.modes)}")
        answers: list[Answer] = getattr(self, mode)()
        return answers

    def classify(self) -> list[Answer]:
        return classified(self.decided.probabilities.numpy(), self.batcher.vocabulary)

    def classify_typed(self) -> list[Answer]:
        """See the module and `classified_by_type`."""
        is_open = self.is_open.tolist()
        return classified_by_type(self.decided.probabilities.numpy(), is_open, self.batcher.vocabulary)

    def generate(self) -> list[Answer]:
        answers = []
        for beams, chances in zip(self.generated.tokens.tolist(), self.generated.log_p.exp().tolist(), strict=True):
            texts: dict[str, float] = {}
            cut = set()  # those of full length: they came to no end, or to that of a training answer that was cut
            for ids, chance in zip(beams, chances, strict=True):
                text = self._writer.spelled(self._writer.tokenizer.decode(ids))
                texts[text] = min(1.0, texts.get(text, 0.0) + chance)
                if END not in ids[:-1]:
                    cut.add(text)
            best = sorted(texts.items(), key=lambda item: -item[1])
            note = f"the answer may be cut off: it fills all of the {self._writer.length} tokens that can be written"
            is_cut = best[0][0] in cut
            answers.append(Answer(*best[0], tuple(best[:NAMED]), mode="generate", notes=(note,) if is_cut else ()))
        return answers

    def rank(self) -> list[Answer]:
        """See the module. Answers that the normaliser takes for one share their probability."""
        normal = normaliser(self.batcher.vocabulary.normaliser)
        candidates = self._writer.candidates
        answers = []
        for row in self.ranked.softmax(-1):
            likely = row.topk(min(4 * NAMED, len(candidates)))
            texts: dict[str, tuple[str, float]] = {}
            for chance, place in zip(likely.values.tolist(), likely.indices.tolist(), strict=True):
                text, before = texts.get(normal(candidates[place]), (self._writer.spelled(candidates[place]), 0.0))
                texts[normal(candidates[place])] = (text, min(1.0, before + chance))
            best = sorted(texts.values(), key=lambda item: -item[1])
            answers.append(Answer(*best[0], tuple(best[:NAMED]), mode="rank"))
        return answers

    def hybrid(self) -> list[Answer]:
        """See the module. Each answer says which of the two ways it came by."""
        return [
            written if is_open and classified.score < self.hybrid_below else classified
            for classified, written, is_open in zip(
                self.classify(), self.generate(), self.is_open.tolist(), strict=True
            )
        ]

    @cached_property
    def decided(self) -> Decided:
        """The classifier's probabilities and the logits of "open"."""
        return decide_all(self.model, self.batcher, self.samples, views=self.views, batch=self.batch, place=self.place)

    @property
    def is_open(self) -> Tensor:
        """(n,) bool: the *predicted* answer type."""
        if self.decided.openness is None:
            raise ConfigError(
                "this model does not predict answer types", hint="set model.readings.type_head = true and train"
            )
        return self.decided.openness > 0

    @cached_property
    def generated(self) -> Generated:
        """The beams of each question."""
        config, model = self.model.config.generator, self.model

        def write(inputs: Inputs) -> tuple[Tensor, ...]:
            memory, device = model.read(model(inputs)), inputs.tokens.device
            beams = beam_search(model.generator, memory, len(inputs.tokens), config.beams, config.length, device)
            return beams.tokens, beams.log_p

        tokens, log_p = in_order(model, self.batcher, self.samples, write, self.batch, place=self.place)
        return Generated(tokens, log_p)

    @cached_property
    def ranked(self) -> Tensor:
        """(n, candidates) log p; -inf for those whose first token made them hopeless."""
        model, writer = self.model, self._writer
        candidates = writer.encode(writer.candidates)

        def judge(inputs: Inputs) -> tuple[Tensor, ...]:
            memory, device = model.read(model(inputs)), inputs.tokens.device
            return (rank_answers(model.generator, memory, len(inputs.tokens), candidates.to(device), RANKED),)

        return in_order(model, self.batcher, self.samples, judge, self.batch, place=self.place)[0]

    @property
    def _writer(self) -> Writer:
        assert self.batcher.writer is not None
        return self.batcher.writer


def tune_hybrid(answering: Answering, normalise: str) -> tuple[float, dict[str, float]]:
    """The threshold of `hybrid` that is right most often on these (validation) questions, and the figures of it; of
    equal ones the smallest, which generates least."""
    normal = normaliser(normalise)
    gold = [normal(sample.answer) for sample in answering.samples]
    classified, is_open = answering.classify(), answering.is_open.tolist()
    right = {
        mode: [normal(answer.text) == true for answer, true in zip(answering.answers(mode), gold, strict=True)]
        for mode in ("classify", "generate")
    }

    def correct(threshold: float) -> int:
        writes = [opens and answer.score < threshold for opens, answer in zip(is_open, classified, strict=True)]
        return sum(right["generate" if written else "classify"][place] for place, written in enumerate(writes))

    above = {round(answer.score + 1e-4, 4) for answer, opens in zip(classified, is_open, strict=True) if opens}
    best = max(sorted({0.0, *above}), key=lambda threshold: (correct(threshold), -threshold))
    figures = {"n": len(gold), "classify": sum(right["classify"]), "hybrid": correct(best)}
    return min(best, 1.0), {name: float(value) for name, value in figures.items()}
