"""CMDPI's co-regularised pre-training (section 3.2): global and local reconstruction (Eq. 2, 5) of captions and
questions, inter- and intra-modality contrast (Eq. 6, 7) of captions only (3.2.3).

Savings that equal the slow way: an image is encoded once for all texts about it; the unmasked features serve both
h_F and the contrast; global and local RecNet run as one batch of 2B; FFN_T runs only where the loss looks.
"""

from typing import Any, Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from discern_vqa.config import Profiled
from discern_vqa.data.batch import Batch, Inputs
from discern_vqa.models.cmdpi import Features, Model
from discern_vqa.nn.encoders import Encoded
from discern_vqa.nn.losses import answer_cross_entropy, check_weights, contrast, masked_mse, token_cross_entropy
from discern_vqa.nn.masking import hide_cells, hide_words
from discern_vqa.nn.momentum import Momentum


class Config(Profiled):
    """[objective] of a pre-training. `profile` chooses whatever is left None."""

    name: Literal["cmdpi_pretrain"] = "cmdpi_pretrain"
    profile: Literal["paper", "robust"] = "paper"
    rho_image: float | None = Field(None, ge=0, lt=1)
    """A8: 0.25 (paper), 0.5 (robust)."""
    rho_text: float | None = Field(None, ge=0, lt=1)
    """A8: 0.25 (paper), 0.15 (robust)."""
    rho_question: float | None = Field(None, ge=0, lt=1)
    """As rho_text, for questions: a question with few words left cannot be answered. None: rho_text."""
    loss_scope: Literal["all", "masked"] | None = None
    """A7: positions that enter L_img and L_txt: all (paper) or the hidden ones (robust)."""
    global_reconstruction: bool = True
    local_reconstruction: bool = True
    inter_contrast: bool = True
    intra_contrast: bool = True
    contra_vqa: bool = False
    """Fig. 6's "Contra.QA": questions join the contrast."""
    tau: float = Field(0.07, gt=0)
    momentum: float = Field(0.995, ge=0, lt=1)
    intra_view: Literal["same", "augmented"] | None = None
    """A19: what the momentum branch sees: the same input (paper), or hidden words and jittered pixels (robust)."""
    mask_duplicates: bool = True
    """A21: equal images and equal texts are no negatives of each other."""
    smoothing: float = Field(0.0, ge=0, lt=1)
    weights: dict[str, float] = {"img": 1.0, "txt": 1.0, "ans": 1.0, "inter": 0.5, "intra": 1.0}
    """Eq. 5 (1, 1, 1) and Eq. 6 (alpha = 0.5, alpha' = 1)."""

    @field_validator("weights")
    @classmethod
    def _name_every_part(cls, weights: dict[str, float]) -> dict[str, float]:
        return check_weights(weights, cls.model_fields["weights"].default)

    def chosen(self) -> dict[str, Any]:
        """See `Profiled`."""
        robust = self.profile == "robust"
        return {
            "rho_image": 0.5 if robust else 0.25,
            "rho_text": 0.15 if robust else 0.25,
            "loss_scope": "masked" if robust else "all",
            "intra_view": "augmented" if robust else "same",
        }


class Objective(nn.Module):
    """batch, rng -> the named parts of L_pre = L_rec^g + L_rec^l + C_total."""

    mixed = True  # captions and questions may share a batch: rows say which they are

    def __init__(self, config: Config, model: Model) -> None:
        super().__init__()
        self.config, self.model = config.resolved(), model
        if self.config.intra_contrast:
            self.image_ema = Momentum(model.image, self.config.momentum)
            self.text_ema = Momentum(model.text, self.config.momentum)

    def forward(self, batch: Batch, rng: torch.Generator) -> dict[str, Tensor]:
        """Parts: img, txt, ans (each the sum of the global and the local pass), inter, intra."""
        inputs, targets = batch.inputs, batch.targets
        device = inputs.tokens.device
        hidden_cells = hide_cells(len(inputs.image), self.model.image.cells, self.config.rho_image or 0, rng, device)
        hidden_words = self.hide_words(batch, rng)
        plain, masked, picture = self._encode(inputs, hidden_cells, hidden_words)
        parts = self._reconstruct(batch, plain, masked, hidden_cells, hidden_words)
        chosen = targets.is_caption | self.config.contra_vqa
        zero = plain.h_img.sum() * 0
        parts["inter"] = self.inter(batch, plain, chosen) if self.config.inter_contrast else zero
        parts["intra"] = self.intra(batch, plain, picture, chosen, rng) if self.config.intra_contrast else zero
        return parts

    def hide_words(self, batch: Batch, rng: torch.Generator) -> Tensor:
        """Eq. 2's Mask for texts: (B, M) True = hidden, at one ratio for captions and one for questions."""
        words, is_caption = batch.inputs.words, batch.targets.is_caption
        rho = self.config.rho_text or 0.0
        rho_question = rho if self.config.rho_question is None else self.config.rho_question
        if rho == rho_question:
            return hide_words(words, rho, rng)
        captions = hide_words(words, rho, rng)
        return torch.where(is_caption[:, None], captions, hide_words(words, rho_question, rng))

    def _encode(
        self, inputs: Inputs, hidden_cells: Tensor, hidden_words: Tensor
    ) -> tuple[Features, Features, Encoded]:
        """Eq. 1 and the first two lines of Eq. 2: unmasked and masked features, and the images' own unmasked rows."""
        picture = self.model.image(inputs.image)
        plain = self.model.align(picture, self.model.encode_text(inputs), inputs.which)
        return plain, self.model.encode(inputs, hidden_cells, hidden_words), picture

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
        zero = h_fused.sum() * 0
        if not passes:
            return {"img": zero, "txt": zero, "ans": zero}
        times = len(passes)
        out = model.recnet(
            torch.cat(passes),
            masked.H_img.repeat(times, 1, 1),
            masked.H_txt.repeat(times, 1, 1),
            inputs.keep.repeat(times, 1),
        )
        scope = self.config.loss_scope
        cells = hidden_cells[inputs.which].repeat(times, 1) if scope == "masked" else None
        words = (hidden_words if scope == "masked" else inputs.keep).repeat(times, 1)
        target = self.image_target(batch, plain).repeat(times, 1, 1)
        answer = targets.answer.repeat(times)
        logits = model.output_answer(out.h_ans)
        if inputs.prior is not None:
            logits = logits + inputs.prior.log_p.repeat(times, 1)
        # The mean over the 2B rows times the number of passes is the sum of the two passes' means.
        return {
            "img": times * masked_mse(model.output_image(out.H_out), target, cells),
            "txt": times
            * token_cross_entropy(
                model.output_text(out.H_out, words), model.text_targets(inputs.tokens.repeat(times, 1), words)
            ),
            "ans": times * answer_cross_entropy(logits, answer, self.config.smoothing),
        }

    def image_target(self, batch: Batch, plain: Features) -> Tensor:
        """Eq. 5's Input_I for each text: (B, N, p)."""
        if self.model.config.image_target == "embed_sg":
            return plain.H_img.detach()
        return self.model.patches(batch.targets.picture)[batch.inputs.which]

    def inter(self, batch: Batch, plain: Features, chosen: Tensor) -> Tensor:
        """Eq. 6, line 1: C_inter = Contra(h_I, h_T) + Contra(h_T, h_I)."""
        h_img, h_txt, same = plain.h_img[chosen], plain.h_txt[chosen], self._same(batch, chosen)
        return contrast(h_img, h_txt, self.tau, same) + contrast(h_txt, h_img, self.tau, same)

    def intra(
        self, batch: Batch, plain: Features, picture: Encoded, chosen: Tensor, rng: torch.Generator
    ) -> Tensor:
        """Eq. 6, line 2: C_intra = Contra(h_I, sg h^_I) + Contra(h_T, sg h^_T); an image counts once."""
        inputs = batch.inputs
        rows = inputs.which[chosen].unique()
        if len(rows) < 2:
            return plain.h_img.sum() * 0
        image, hidden = inputs.image[rows], None
        if self.config.intra_view == "augmented":
            hidden = hide_words(inputs.words, 0.1, rng)
            if image.ndim == 4:
                gain = 0.8 + 0.4 * torch.rand(len(image), 1, 1, 1, generator=rng).to(image.device)
                image = (image * gain).clamp(0, 1)
        h_img_ema = self.image_ema(image).h
        text: Encoded = self.text_ema(inputs.tokens, inputs.keep, hidden, inputs.text_states)
        h_txt_ema = text.H[:, 0] if self.model.config.head_T == "bos" else text.h
        same_text = batch.targets.text_key[chosen][:, None] == batch.targets.text_key[chosen][None, :]
        same = same_text if self.config.mask_duplicates else None
        return contrast(picture.h[rows], h_img_ema.detach(), self.tau) + contrast(
            plain.h_txt[chosen], h_txt_ema[chosen].detach(), self.tau, same
        )

    def _same(self, batch: Batch, chosen: Tensor) -> Tensor | None:
        """(n, n) True = equal image or equal text (A21)."""
        if not self.config.mask_duplicates:
            return None
        image, text = batch.targets.image_key[chosen], batch.targets.text_key[chosen]
        return (image[:, None] == image[None, :]) | (text[:, None] == text[None, :])

    @property
    def tau(self) -> float | Tensor:
        """The temperature of Eq. 7."""
        return self.model.log_tau.exp().clamp(0.01, 0.2) if self.model.config.tau_learned else self.config.tau

    def after_step(self) -> None:
        """Moves the momentum encoders."""
        if self.config.intra_contrast:
            self.image_ema.update(self.model.image)
            self.text_ema.update(self.model.text)
