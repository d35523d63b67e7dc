"""How CMI-MTL learns (cmi_mtl.md 2.1, 2.3, 2.4): five parts, which the recipe weighs.

cls     the classifier over all questions        align   regions against questions (FVTA)
gen     the generator, open questions            token   cells against words (FVTA, optional)
type    open or closed

L = cls + 0.2 align + 0.4 gen + 0.1 type         (released: without type)
"""

from typing import Any, ClassVar, Literal, Self

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from discern_vqa.bases import ObjectiveBase, ObjectiveConfig
from discern_vqa.config import Table
from discern_vqa.data.batch import Batch, Targets
from discern_vqa.division import Share
from discern_vqa.models.cmi_mtl import Config as ModelConfig
from discern_vqa.models.cmi_mtl import Fused, Model
from discern_vqa.nn import alignment
from discern_vqa.nn.decoder import answer_losses
from discern_vqa.nn.gather import gathered, mean
from discern_vqa.nn.losses import answer_cross_entropy

PARTS = ("cls", "align", "token", "gen", "type")
TOKEN_WEIGHT = 0.1  # the weight of the token term, where there is one
SMOOTHING = 0.1  # epsilon of the alignment: this much of the target is shared by the negatives of a row


class Readings(Table):
    """[objective.readings]: where the published program differs from its repaired form (docs/options.md)."""

    mask_false_negatives: bool | None = None
    """D6: pairs of the same image or the same question are not negatives. None: on (fixed), off (released)."""
    stale_clip: bool | None = None
    """D9: the generator's gradients are clipped in the forward pass, when only those of earlier batches of an
    accumulation exist. None: off (fixed), on (released)."""


class Config(ObjectiveConfig):
    """[objective]. `profile` chooses what is None."""

    name: Literal["cmi_mtl"] = "cmi_mtl"
    profile: Literal["fixed", "released"] = "fixed"
    """`released`: as the published program computes; `fixed`: with its defects repaired (docs/options.md)."""
    loss: Literal["bce", "ce"] = "bce"
    """`bce`: one binary decision for each answer, summed (the paper); `ce`: one choice among all answers."""
    answer_smoothing: float = Field(0.0, ge=0, lt=1)
    """The label smoothing of `ce`."""
    generate: Literal["open", "all"] = "open"
    """The questions whose answers are generated: open ones, or all."""
    weights: dict[str, float] = {"cls": 1.0, "align": 0.2, "token": 0.0, "gen": 0.4, "type": 0.1}
    """The weights of the parts. Where none are given and [model.fvta] has a token term, token is 0.1."""
    readings: Readings = Readings()

    def chosen(self) -> dict[str, Any]:
        released = self.profile == "released"
        return {"readings": {"mask_false_negatives": not released, "stale_clip": released}}

    def suited_to(self, model: Any) -> Self:
        """See `Profiled`: a token term that the model has is learned (cmi_mtl.md 2.1)."""
        term = model.fvta.token if isinstance(model, ModelConfig) else "none"
        if term == "none" or self.weights["token"]:
            return self
        if "weights" in self.model_fields_set:
            outcome = f"[model] fvta.token = {term!r} would learn nothing; its usual weight is {TOKEN_WEIGHT}"
            raise ValueError(f"weights.token = 0: {outcome}")
        return self.model_copy(update={"weights": self.weights | {"token": TOKEN_WEIGHT}})


class Objective(ObjectiveBase[Config, Model]):
    """batch, rng -> the named parts. A weight of 0 skips the work."""

    divides: ClassVar = True

    def forward(self, batch: Batch, rng: torch.Generator) -> dict[str, Tensor]:
        """Parts: cls, align, token, gen, type. Nothing is drawn but dropout."""
        fused, targets, weights = self.model(batch.inputs), batch.targets, self.config.weights
        losses = {"cls": self.cls, "align": self.align, "token": self.token, "gen": self.gen, "type": self.type_}
        zero = fused.c.sum() * 0
        return {name: losses[name](fused, targets, batch.share) if weights[name] else zero for name in PARTS}

    def cls(self, fused: Fused, targets: Targets, share: Share | None = None) -> Tensor:
        """L_cls = sum_a BCE(f_a, y_a), the mean over the questions whose answer is in the table."""
        f = self.model.classify(fused)
        if self.config.loss == "ce":
            return answer_cross_entropy(f, targets.answer, self.config.answer_smoothing, share)
        known = targets.answer >= 0
        y = F.one_hot(targets.answer.clamp(min=0), f.shape[1]).float()
        bce = F.binary_cross_entropy_with_logits(f.float(), y, reduction="none").sum(1)
        return _mean(bce, known, share)

    def align(self, fused: Fused, targets: Targets, share: Share | None = None) -> Tensor:
        """L_align (cmi_mtl.md 2.1), over the rows of all processes."""
        regions, fvta = fused.regions, self.model.fvta
        if regions.q is None or regions.t is None:
            return fused.c.sum() * 0
        own_images = regions.q[fused.tokens.which]
        images, start = gathered(own_images, share)
        texts, _ = gathered(regions.t, share)
        i2t, t2i = fvta.similarities(own_images, texts), fvta.similarities(images, regions.t).T
        keys = (targets.image_key, targets.text_key)
        no_negative = self.no_negatives(keys, (gathered(keys[0], share)[0], gathered(keys[1], share)[0]), start)
        return alignment.aligned(i2t, t2i, no_negative, SMOOTHING, start, share)

    def no_negatives(self, own: tuple[Tensor, Tensor], everyone: tuple[Tensor, Tensor], start: int = 0) -> Tensor:
        """(B, all rows) True: no negative of this row (D6)."""
        masked = alignment.false_negatives(own, everyone, start)
        return masked if self.config.readings.mask_false_negatives else torch.zeros_like(masked)

    def token(self, fused: Fused, targets: Targets, share: Share | None = None) -> Tensor:
        """The token term: FILIP, GLoRIA or SPARC, over the rows of all processes."""
        fvta, tokens = self.model.config.fvta, fused.tokens
        if fvta.token == "none":
            return fused.c.sum() * 0
        places, texts = self.model.fvta.places_and_words(tokens)
        words = tokens.words if self.model.config.readings.mask_padding else torch.ones_like(tokens.words)
        if fvta.token == "sparc":
            return alignment.sparc(places, texts, words, alignment.TAU, share)

        def scores(places: Tensor, texts: Tensor, words: Tensor) -> Tensor:
            if fvta.token == "filip":
                return alignment.filip(places, texts, words, alignment.TAU)
            return alignment.gloria(places, texts, words)

        keys = (targets.image_key, targets.text_key)
        if share is None:
            there = scores(places, texts, words)
            return alignment.aligned(there, there.T, self.no_negatives(keys, keys), SMOOTHING)
        all_places, start = gathered(places, share)
        all_texts, all_words = gathered(texts, share)[0], gathered(words, share)[0]
        no_negative = self.no_negatives(keys, (gathered(keys[0], share)[0], gathered(keys[1], share)[0]), start)
        i2t, t2i = scores(places, all_texts, all_words), scores(all_places, texts, words).T
        return alignment.aligned(i2t, t2i, no_negative, SMOOTHING, start, share)

    def gen(self, fused: Fused, targets: Targets, share: Share | None = None) -> Tensor:
        """L_gen = (1 / #tokens) sum_i sum_t -log p(a_it | a_i,<t, M_i) over the open questions; 0 without any."""
        if not self.model.writes or targets.written is None:
            return fused.c.sum() * 0
        chosen = targets.is_open > 0 if self.config.generate == "open" else ~targets.is_caption
        rows = chosen.nonzero()[:, 0]
        if len(rows) == 0:
            zero = fused.c.sum() * 0
            return zero if share is None else mean(zero, 0, share)
        answers = targets.written[rows]
        answers = answers[:, : int((answers != 0).sum(1).max())]
        logits = self.model.generator.logits(self.model.read(fused, rows), answers)
        if self.config.readings.stale_clip and self.training:
            nn.utils.clip_grad_norm_(self.model.generator.parameters(), 1.0)
        loss, real = answer_losses(logits, answers)
        return loss.sum() / real.sum() if share is None else mean(loss.sum(), real.sum(), share)

    def type_(self, fused: Fused, targets: Targets, share: Share | None = None) -> Tensor:
        """BCE of p(open) over the questions whose data set says."""
        if not self.model.config.readings.type_head:
            return fused.c.sum() * 0
        known = targets.is_open >= 0
        logit, is_open = self.model.openness(fused).float(), targets.is_open.clamp(min=0)
        bce = F.binary_cross_entropy_with_logits(logit, is_open, reduction="none")
        return _mean(bce, known, share)

    def after_step(self) -> None:
        """The temperature stays in its range."""
        self.model.fvta.clamp()


def _mean(losses: Tensor, known: Tensor, share: Share | None) -> Tensor:
    """The mean of losses (B,) over the rows that are known (B,); 0 without any."""
    if share is not None:
        return mean((losses * known).sum(), known.sum(), share)
    return (losses * known).sum() / known.sum().clamp(min=1)
