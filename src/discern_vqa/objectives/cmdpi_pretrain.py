"""CMDPI's co-regularised pre-training (section 3.2): global and local reconstruction (Eq. 2, 5) of captions and
questions, inter- and intra-modality contrast (Eq. 6, 7) of captions only (3.2.3).

Savings that equal the slow way: an image is encoded once for all texts about it; the unmasked features serve both
h_F and the contrast; global and local RecNet run as one batch of 2B; FFN_T runs only where the loss looks.
"""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from discern_vqa.bases import ObjectiveBase, ObjectiveConfig
from discern_vqa.config import Table
from discern_vqa.data.batch import Batch
from discern_vqa.data.sources import augment
from discern_vqa.division import Rows, Share, uniform
from discern_vqa.models.cmdpi import Features, Model
from discern_vqa.nn.encoders import Encoded
from discern_vqa.nn.gather import anywhere, gathered
from discern_vqa.nn.losses import answer_cross_entropy, contrast, masked_mse, token_cross_entropy
from discern_vqa.nn.masking import hide_cells, hide_words
from discern_vqa.nn.momentum import Momentum, Queue


class Readings(Table):
    """[objective.readings]: where the paper's text can be read in several ways (docs/options.md)."""

    rho_image: float | None = Field(None, ge=0, lt=1)
    """A8: the share of cells that are hidden. None: 0.25 (paper), 0.5 (robust)."""
    rho_text: float | None = Field(None, ge=0, lt=1)
    """A8: the share of words that are hidden. None: 0.25 (paper), 0.15 (robust)."""
    rho_question: float | None = Field(None, ge=0, lt=1)
    """A8: the same for questions alone, since a question with few words left cannot be answered. None: rho_text."""
    loss_scope: Literal["all", "masked"] | None = None
    """A7: the positions that enter L_img and L_txt. None: all (paper), the hidden ones (robust)."""
    rec_reduce: Literal["sum", "mean"] = "sum"
    """A14: L_rec^g + L_rec^l (the paper), or their mean."""
    tau: float = Field(0.07, gt=0)
    """A16: the temperature of Eq. 7, unless the model learns it."""
    momentum: float = Field(0.995, ge=0, lt=1)
    """A17: the decay of the momentum encoders."""
    queue: int = Field(0, ge=0)
    """A18: so many of the momentum encoders' latest features join the negatives of both contrasts; 0: only those of the
    batch (the paper's Eq. 7)."""
    intra_view: Literal["same", "brightness", "augmented"] | None = None
    """A19: the input of the momentum encoders. `same`: unchanged (paper). `augmented`: a tenth of the words hidden, and
    the image turned, moved and exposed otherwise, or another view of cached states (robust). `brightness`: a tenth of
    the words hidden, and the image brighter or darker."""
    contra_text: Literal["statement", "question"] = "statement"
    """What joins the contrast where questions do (`contra_vqa`): the question with its answer (Fig. 6), or alone."""
    mask_duplicates: bool = True
    """A21: equal images and equal texts are not negatives of each other."""


class Config(ObjectiveConfig):
    """[objective] of a pre-training. `profile` chooses what is None."""

    name: Literal["cmdpi_pretrain"] = "cmdpi_pretrain"
    profile: Literal["paper", "robust"] = "paper"
    """`paper`: what the paper says; `robust`: other choices where its literal reading is weak (docs/options.md)."""
    global_reconstruction: bool = True
    """L_rec^g of Eq. 5 is learned."""
    local_reconstruction: bool = True
    """L_rec^l of Eq. 5 is learned."""
    inter_contrast: bool = True
    """C_inter of Eq. 6 is learned."""
    intra_contrast: bool = True
    """C_intra of Eq. 6 is learned."""
    contra_vqa: bool = False
    """Questions with their answers join the contrast (Fig. 6, "Contra.QA")."""
    weights: dict[str, float] = {"img": 1.0, "txt": 1.0, "ans": 1.0, "inter": 0.5, "intra": 1.0}
    """The weights of Eq. 5 (1, 1, 1) and Eq. 6 (alpha = 0.5, alpha' = 1)."""
    readings: Readings = Readings()

    @model_validator(mode="after")
    def _queue_slow_features(self) -> Self:
        if self.readings.queue and not self.intra_contrast:
            raise ValueError("readings.queue holds features of the momentum encoders; it needs intra_contrast = true")
        return self

    def chosen(self) -> dict[str, Any]:
        robust = self.profile == "robust"
        return {
            "readings": {
                "rho_image": 0.5 if robust else 0.25,
                "rho_text": 0.15 if robust else 0.25,
                "loss_scope": "masked" if robust else "all",
                "intra_view": "augmented" if robust else "same",
            }
        }


@dataclass(frozen=True)
class Seen:
    """The texts of a batch that are contrasted, and the distinct images that they are about."""

    texts: Tensor  # (n,): rows of the batch
    images: Tensor  # (m,): rows of the batch's images
    image_of: Tensor  # (n,): which of these m a text is about
    image_key: Tensor  # (m,): equal numbers = equal image
    text_key: Tensor  # (n,): equal numbers = equal text
    once: Tensor | None = None  # which rows to take of all processes' images, so that each image is there once
    places: Rows | None = None  # where the own images stand among these

    @classmethod
    def of(cls, batch: Batch, chosen: Tensor) -> Self:
        """chosen (B,): True = contrasted."""
        texts = chosen.nonzero().flatten()
        images, image_of = batch.inputs.which[texts].unique(return_inverse=True)
        image_key = batch.targets.image_key.new_zeros(len(images))
        image_key[image_of] = batch.targets.image_key[texts]
        seen = cls(texts, images, image_of, image_key, batch.targets.text_key[texts])
        if batch.share is None:
            return seen
        own = batch.share.images.rows.to(images.device)[images]
        numbers, _ = gathered(own, batch.share)
        distinct, place = numbers.unique(return_inverse=True)
        once = torch.full_like(distinct, len(numbers))
        once.scatter_reduce_(0, place, torch.arange(len(numbers), device=images.device), "amin")
        return replace(seen, once=once, places=Rows(len(distinct), torch.searchsorted(distinct, own).cpu()))


@dataclass(frozen=True)
class Slow:
    """The momentum encoders' features: h_img (m, d) of the images that are `Seen`, h_txt (B, d) of all texts."""

    h_img: Tensor
    h_txt: Tensor


class Objective(ObjectiveBase[Config, Model]):
    """batch, rng -> the named parts of L_pre = L_rec^g + L_rec^l + C_total."""

    mixed: ClassVar = True  # captions and questions may share a batch: rows say which they are
    divides: ClassVar = True

    def __init__(self, config: Config, model: Model) -> None:
        super().__init__(config, model)
        if self.config.intra_contrast:
            self.image_ema = Momentum(model.image, self.config.readings.momentum)
            self.text_ema = Momentum(model.text, self.config.readings.momentum)
        if self.config.readings.queue:
            self.queue = Queue(self.config.readings.queue, model.config.width)

    @property
    def second_view(self) -> bool:
        """Whether batches must bring a second view of their cached images (`Targets.second`)."""
        return self.config.intra_contrast and self.config.readings.intra_view == "augmented"

    @property
    def statements(self) -> bool:
        """Whether batches must bring the questions with their answers as texts (`Targets.statement`)."""
        return self.config.contra_vqa and self.config.readings.contra_text == "statement"

    def forward(self, batch: Batch, rng: torch.Generator) -> dict[str, Tensor]:
        """Parts: img, txt, ans (each the sum of the global and the local pass), inter, intra."""
        inputs, targets, model, share = batch.inputs, batch.targets, self.model, batch.share
        rho_image, images = self.config.readings.rho_image or 0, None if share is None else share.images
        hidden_cells = hide_cells(len(inputs.image), model.image.cells, rho_image, rng, inputs.tokens.device, images)
        hidden_words = self.hide_words(batch, rng)
        picture = model.image(inputs.image)
        plain = model.align(picture, model.encode_text(inputs), inputs.which)
        masked = model.encode(inputs, hidden_cells, hidden_words)
        parts = self._reconstruct(batch, plain, masked, hidden_cells, hidden_words)
        if targets.statement is not None:  # from here on the contrast alone
            plain = replace(plain, h_txt=model.encode_text(targets.statement).h)
        chosen = targets.is_caption | self.config.contra_vqa
        if share is not None and share.spare:
            chosen = torch.zeros_like(chosen)
        # Without the batch's own features: a pair must not be a negative of itself.
        held = self.queue.held() if self.config.readings.queue else {}
        zero = plain.h_img.sum() * 0
        parts["inter"] = self.inter(batch, plain, chosen, held) if self.config.inter_contrast else zero
        parts["intra"] = zero
        if self.config.intra_contrast and anywhere(chosen, share):
            seen = Seen.of(batch, chosen)
            slow = self.slow(batch, seen, rng)
            parts["intra"] = self.intra(plain, picture, slow, seen, held, share)
            if self.config.readings.queue and self.training:
                rows = {
                    "h_img": slow.h_img[seen.image_of],
                    "h_txt": slow.h_txt[seen.texts],
                    "image_key": targets.image_key[seen.texts],
                    "text_key": seen.text_key,
                }
                self.queue.push(**{name: gathered(tensor, share)[0] for name, tensor in rows.items()})
        return parts

    def hide_words(self, batch: Batch, rng: torch.Generator) -> Tensor:
        """Eq. 2's Mask for texts: (B, M) True = hidden, at one ratio for captions and one for questions."""
        words, readings = batch.inputs.words, self.config.readings
        rho = readings.rho_text or 0.0
        rho_question = rho if readings.rho_question is None else readings.rho_question
        texts = None if batch.share is None else batch.share.texts
        hidden = hide_words(words, rho, rng, texts)
        if rho == rho_question:
            return hidden
        return torch.where(batch.targets.is_caption[:, None], hidden, hide_words(words, rho_question, rng, texts))

    def _reconstruct(
        self, batch: Batch, plain: Features, masked: Features, hidden_cells: Tensor, hidden_words: Tensor
    ) -> dict[str, Tensor]:
        """Eq. 2, lines 3-4, and Eq. 5, both passes as one batch of 2B."""
        inputs, targets, model = batch.inputs, batch.targets, self.model
        h_fused = model.fuse(plain.h_img, plain.h_txt)
        passes = []
        if self.config.global_reconstruction:
            passes.append(h_fused)
        if self.config.local_reconstruction:
            passes.append(model.h_shared.to(h_fused.dtype).expand_as(h_fused))
        if not passes:
            return dict.fromkeys(("img", "txt", "ans"), h_fused.sum() * 0)
        times = len(passes)
        # The mean over the 2B rows times the number of passes is the sum of the two passes' means.
        weight = times if self.config.readings.rec_reduce == "sum" else 1
        out = model.recnet(
            torch.cat(passes),
            masked.H_img.repeat(times, 1, 1),
            masked.H_txt.repeat(times, 1, 1),
            inputs.keep.repeat(times, 1),
        )
        masked_only = self.config.readings.loss_scope == "masked"
        cells = hidden_cells[inputs.which].repeat(times, 1) if masked_only else None
        words = (hidden_words if masked_only else inputs.keep).repeat(times, 1)
        target = model.image_target(plain.H_img, targets.image, inputs.which).repeat(times, 1, 1)
        ids = model.text_targets(inputs.tokens.repeat(times, 1), words)
        logits = model.output_answer(out.h_ans)
        if inputs.prior is not None:
            logits = logits + inputs.prior.log_p.repeat(times, 1)
        return {
            "img": weight * masked_mse(model.output_image(out.H_out), target, cells, batch.share),
            "txt": weight * token_cross_entropy(model.output_text(out.H_out, words), ids, batch.share),
            "ans": weight * answer_cross_entropy(logits, targets.answer.repeat(times), share=batch.share),
        }

    def inter(self, batch: Batch, plain: Features, chosen: Tensor, held: dict[str, Tensor]) -> Tensor:
        """Eq. 6, line 1: C_inter = Contra(h_I, h_T) + Contra(h_T, h_I); held: what the queue holds (A18)."""
        targets = batch.targets
        h_img, h_txt, image_key, text_key = (
            gathered(rows[chosen], batch.share)[0]
            for rows in (plain.h_img, plain.h_txt, targets.image_key, targets.text_key)
        )
        same = self._alike(held, image_key=image_key, text_key=text_key)
        return contrast(h_img, h_txt, self.tau, same, held.get("h_txt")) + contrast(
            h_txt, h_img, self.tau, same, held.get("h_img")
        )

    def slow(self, batch: Batch, seen: Seen, rng: torch.Generator) -> Slow:
        """h^_I, h^_T of Eq. 6: what the momentum encoders make of the batch, or of a second view of it (A19)."""
        inputs, view = batch.targets.statement or batch.inputs, self.config.readings.intra_view
        image, texts = batch.inputs.image[seen.images], None if batch.share is None else batch.share.texts
        hidden = None if view == "same" else hide_words(inputs.words, 0.1, rng, texts)
        if view == "augmented" and image.ndim == 4:
            image = augment(image, rng, seen.places)
        elif view == "augmented" and batch.targets.second is not None:
            image = batch.targets.second[seen.images]
        elif view == "brightness" and image.ndim == 4:
            gain = 0.8 + 0.4 * uniform(rng, len(image), 1, 1, 1, of=seen.places).to(image.device)
            image = (image * gain).clamp(0, 1)
        text: Encoded = self.text_ema(inputs.tokens, inputs.keep, hidden, inputs.text_states)
        h_txt = text.H[:, 0] if self.model.config.readings.head_T == "bos" else text.h
        # Of several processes one may have no image that is contrasted.
        h_img = self.image_ema(image).h if len(image) else h_txt.new_zeros(0, h_txt.shape[1])
        return Slow(h_img.detach(), h_txt.detach())

    def intra(
        self,
        plain: Features,
        picture: Encoded,
        slow: Slow,
        seen: Seen,
        held: dict[str, Tensor],
        share: Share | None = None,
    ) -> Tensor:
        """Eq. 6, line 2: C_intra = Contra(h_I, sg h^_I) + Contra(h_T, sg h^_T); an image counts once."""
        h_img, h_img_slow, image_key = (
            gathered(rows, share)[0] for rows in (picture.h[seen.images], slow.h_img, seen.image_key)
        )
        if seen.once is not None:
            h_img, h_img_slow, image_key = h_img[seen.once], h_img_slow[seen.once], image_key[seen.once]
        h_txt, h_txt_slow, text_key = (
            gathered(rows, share)[0] for rows in (plain.h_txt[seen.texts], slow.h_txt[seen.texts], seen.text_key)
        )
        same_image = self._alike(held, image_key=image_key)
        same_text = self._alike(held, text_key=text_key)
        return contrast(h_img, h_img_slow, self.tau, same_image, held.get("h_img")) + contrast(
            h_txt, h_txt_slow, self.tau, same_text, held.get("h_txt")
        )

    def _alike(self, held: dict[str, Tensor], **keys: Tensor) -> Tensor | None:
        """(n, n + Q) True = one of the keys (n,) is equal; None where such rows are negatives too (A21)."""
        if not self.config.readings.mask_duplicates:
            return None
        columns = {name: torch.cat([key, held[name]]) if held else key for name, key in keys.items()}
        return torch.stack([key[:, None] == columns[name][None, :] for name, key in keys.items()]).any(0)

    @property
    def tau(self) -> float | Tensor:
        """The temperature of Eq. 7."""
        learned = self.model.config.readings.tau_learned
        return self.model.log_tau.exp().clamp(0.01, 0.2) if learned else self.config.readings.tau

    def after_step(self) -> None:
        """Moves the momentum encoders."""
        if self.config.intra_contrast:
            self.image_ema.update(self.model.image)
            self.text_ema.update(self.model.text)
