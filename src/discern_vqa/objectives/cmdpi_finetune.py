"""CMDPI's fine-tuning (section 3.3): difference reconstruction from similar images (Eq. 8-10), head mixup with a
partner of the same organ and question type (Eq. 11-12), their sum (Eq. 13). No parameter is added to the model.

The partner is another row of the batch, whose undeviated pass is needed anyway: two RecNet passes per sample in all
(cmdpi.md section 4, saving d), run as one batch of 2B.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from discern_vqa.bases import ObjectiveBase, ObjectiveConfig
from discern_vqa.config import Table
from discern_vqa.data.batch import Batch, Batcher
from discern_vqa.data.pairs import Pairing, SimilarChoice, similar_images
from discern_vqa.data.sample import Sample
from discern_vqa.division import Rows, uniform
from discern_vqa.models.cmdpi import Model
from discern_vqa.nn.gather import anywhere, gathered
from discern_vqa.nn.losses import masked_mse, mixed_cross_entropy, token_cross_entropy
from discern_vqa.nn.masking import hide_words


class Readings(Table):
    """[objective.readings]: where the paper's text can be read in several ways (docs/options.md)."""

    similar_above: float = Field(0.75, ge=-1, le=1)
    """A24: two images are similar if their cosine is above this (Fig. 14)."""
    similar_percentile: float | None = Field(None, ge=0, le=1)
    """A24: this quantile of all cosines replaces the threshold."""
    similar_nearest: int = Field(0, ge=0)
    """A24: only so many of the nearest images count as similar; 0: all."""
    similar_same_organ: bool = False
    """A24: only images of the same organ count as similar."""
    similar_uniform: bool | None = None
    """A24: any similar image is taken with equal chance. Off: first those that are in the batch anyway, which need no
    encoding of their own. None: on (paper), off (robust)."""
    similar_in_batch: bool = False
    """A24: only similar images that are in the batch anyway are taken; a sample without one is not deviated."""
    similar_fallback: bool = False
    """A25: an image without a similar one is deviated with the nearest image; off: it is not deviated."""
    eps_min: float | None = Field(None, ge=0, le=1)
    """A26: epsilon is drawn from U[eps_min, 1]; None: 0 (paper), 0.5 (robust)."""
    eps_per: Literal["sample", "cell"] = "sample"
    """A26: an epsilon is drawn for each image, or for each of its cells."""
    near_gradient: bool | None = None
    """A27: the gradient flows through the features of the similar image. None: yes (paper), no (robust)."""
    lam_per: Literal["sample", "batch"] = "sample"
    """A30: a lambda is drawn for each sample, or for each batch."""
    partner_deviated: bool = False
    """A28: the partner is deviated too; the paper's text restricts deviation to the current sample."""
    same_answer_type: bool = False
    """A29: partners are both open or both closed; the paper asks for the same organ and question type only."""
    rho_text: float | None = Field(None, ge=0, lt=1)
    """A31: the share of words that are hidden, and reconstructed. None: 0 (paper: all words are reconstructed and none
    hidden), 0.15 (robust)."""


class Config(ObjectiveConfig):
    """[objective] of a fine-tuning. `profile` chooses what is None."""

    name: Literal["cmdpi_finetune"] = "cmdpi_finetune"
    profile: Literal["paper", "robust"] = "paper"
    """`paper`: what the paper says; `robust`: other choices where its literal reading is weak (docs/options.md)."""
    deviate: bool = True
    """Image features are mixed with those of a similar image (Eq. 8); off: epsilon = 1."""
    mixup: bool = True
    """Answer states are mixed with a partner's (Eq. 11); off: lambda = 1."""
    lam: Literal["uniform", "beta", "fixed"] = "uniform"
    """The distribution of lambda."""
    lam_beta: tuple[float, float] = (0.4, 0.4)
    """The two parameters of the beta distribution."""
    lam_fixed: float = Field(0.5, ge=0, le=1)
    """The fixed lambda."""
    smoothing: float = Field(0.0, ge=0, lt=1)
    """The label smoothing of the answers."""
    weights: dict[str, float] = {"mix": 1.0, "diff_img": 1.0, "diff_txt": 1.0}
    """The weights of Eq. 13 and 10, all 1 in the paper (Table 4)."""
    readings: Readings = Readings()

    def chosen(self) -> dict[str, Any]:
        robust = self.profile == "robust"
        return {
            "readings": {
                "eps_min": 0.5 if robust else 0.0,
                "near_gradient": not robust,
                "similar_uniform": not robust,
                "rho_text": 0.15 if robust else 0.0,
            }
        }


class Objective(ObjectiveBase[Config, Model]):
    """batch, rng -> the named parts of L_ft = L_mix + L_diff."""

    finds_similar: ClassVar = True
    divides: ClassVar = True

    @torch.no_grad()
    def similar(self, samples: Sequence[Sample], batcher: Batcher) -> dict[str, list[str]]:
        """Each training image's similar images by the model as it is before fine-tuning (section 4.2); computed once,
        and frozen (A24)."""
        if not self.config.deviate:
            return {}
        readings = self.config.readings
        images = list({sample.image: sample for sample in samples}.values())
        was_training = self.model.training
        self.model.eval()
        device = next(self.model.parameters()).device
        chunks = [images[start : start + 64] for start in range(0, len(images), 64)]
        h_img = torch.cat([self.model.image(batcher.images_of(chunk)[0].to(device)).h.cpu() for chunk in chunks])
        self.model.train(was_training)
        return similar_images(
            [sample.image for sample in images],
            h_img,
            readings.similar_above,
            [sample.organ for sample in images] if readings.similar_same_organ else None,
            [sample.group for sample in images],
            readings.similar_percentile,
            readings.similar_nearest,
            readings.similar_fallback,
        )

    def pairing(self, similar: Mapping[str, Sequence[str]], samples: Sequence[Sample]) -> Pairing:
        """How the batches of this training put its samples together."""
        readings = self.config.readings
        choice: SimilarChoice = "uniform" if readings.similar_uniform else "batch_first"
        choice = "batch_only" if readings.similar_in_batch else choice
        return Pairing(similar, {sample.image: sample.path for sample in samples}, choice, readings.same_answer_type)

    def forward(self, batch: Batch, rng: torch.Generator) -> dict[str, Tensor]:
        """Parts: mix (Eq. 12), diff_img and diff_txt (Eq. 10)."""
        inputs, targets, model, config = batch.inputs, batch.targets, self.model, self.config
        share, rho = batch.share, config.readings.rho_text
        texts = None if share is None else share.texts
        hidden = hide_words(inputs.words, rho, rng, texts) if rho else None
        picture = model.image(inputs.image)
        text = model.encode_text(inputs, hidden)
        plain = model.align(picture, text, inputs.which)
        h_fused = model.fuse(plain.h_img, plain.h_txt)
        H_img_mixed = self.deviated(plain.H_img, picture.H, targets.near, rng, texts)
        lam = self.lam(targets.partner, rng, texts)
        passes = [H_img_mixed]
        if config.mixup and not config.readings.partner_deviated and anywhere(targets.partner >= 0, share):
            passes.append(plain.H_img)
        times, B = len(passes), len(h_fused)
        out = model.recnet(
            h_fused.repeat(times, 1),
            torch.cat(passes),
            plain.H_txt.repeat(times, 1, 1),
            inputs.keep.repeat(times, 1),
        )
        parts = {"mix": self.mix(out.h_ans[:B], out.h_ans[-B:], batch, lam)}
        return parts | self.difference(batch, out.H_out[:B], plain.H_img, hidden)

    def deviated(
        self, H_img: Tensor, H_all: Tensor, near: Tensor, rng: torch.Generator, texts: Rows | None = None
    ) -> Tensor:
        """Eq. 8, line 3: H~_I = eps H_I + (1 - eps) H^_I, one eps for each sample (or cell); without a similar image
        H_I itself.

        H_img (B, N, d) aligned with texts; H_all (U, N, d) all images of the batch; near (B,) rows of it, or -1.
        texts: which of the whole batch these are, where several processes divide it.
        """
        if not self.config.deviate:
            return H_img
        low = self.config.readings.eps_min or 0.0
        places = 1 if self.config.readings.eps_per == "sample" else H_img.shape[1]
        share = (low + (1 - low) * uniform(rng, len(H_img), places, of=texts)).to(H_img.device)
        share = torch.where(near[:, None] >= 0, share, 1.0)[..., None].to(H_img.dtype)
        H_img_near = H_all[near.clamp(min=0)]
        if not self.config.readings.near_gradient:
            H_img_near = H_img_near.detach()
        return share * H_img + (1 - share) * H_img_near

    def lam(self, partner: Tensor, rng: torch.Generator, texts: Rows | None = None) -> Tensor:
        """Eq. 11's lambda (B,): uniform on [0, 1] unless the recipe says otherwise; 1 where there is no partner."""
        texts = None if self.config.readings.lam_per == "batch" else texts
        count = 1 if self.config.readings.lam_per == "batch" else len(partner)
        if not self.config.mixup:
            draws = torch.ones(count)
        elif self.config.lam == "uniform":
            draws = uniform(rng, count, of=texts)
        elif self.config.lam == "fixed":
            draws = torch.full((count,), self.config.lam_fixed)
        else:
            draws = _beta(*self.config.lam_beta, count, rng, texts)
        return torch.where(partner >= 0, draws.to(partner.device), 1.0)

    def mix(self, h_ans: Tensor, h_plain: Tensor, batch: Batch, lam: Tensor) -> Tensor:
        """Eq. 11 and 12: h_mix = lam h_D + (1 - lam) h^_D, cross-entropy with the mixed label."""
        partner, share = batch.targets.partner.clamp(min=0), batch.share
        h_partner = gathered(h_plain, share)[0][partner]  # a partner may be another process's
        h_mix = lam[:, None].to(h_ans.dtype) * h_ans + (1 - lam)[:, None].to(h_ans.dtype) * h_partner
        answer, prior = batch.targets.answer, batch.inputs.prior
        scores = self.model.output_answer(h_mix)
        if prior is not None:
            log_p = gathered(prior.log_p, share)[0]
            scores = scores + lam[:, None] * prior.log_p + (1 - lam)[:, None] * log_p[partner]
        return mixed_cross_entropy(
            scores, answer, gathered(answer, share)[0][partner], lam, self.config.smoothing, share
        )

    def difference(self, batch: Batch, H_out: Tensor, H_img: Tensor, hidden: Tensor | None) -> dict[str, Tensor]:
        """Eq. 9 and 10: the current image and text from the deviated pass. Weight 0 skips the work."""
        inputs, model, weights = batch.inputs, self.model, self.config.weights
        parts = dict.fromkeys(("diff_img", "diff_txt"), H_out.sum() * 0)
        if weights["diff_img"]:
            target = model.image_target(H_img, batch.targets.image, inputs.which)
            parts["diff_img"] = masked_mse(model.output_image(H_out), target, share=batch.share)
        if weights["diff_txt"]:
            where = inputs.keep if hidden is None else hidden
            logits = model.output_text(H_out, where)
            parts["diff_txt"] = token_cross_entropy(logits, model.text_targets(inputs.tokens, where), batch.share)
        return parts


def _beta(a: float, b: float, count: int, rng: torch.Generator, texts: Rows | None) -> Tensor:
    """Beta(a, b) draws from a generator (Johnk's method by ratios of gammas needs one that torch lacks): by inverse
    transform of uniforms."""
    from scipy.stats import beta

    even = torch.rand(count if texts is None else texts.total, generator=rng, dtype=torch.float64)
    draws = torch.from_numpy(beta.ppf(even.numpy(), a, b)).float()
    return draws if texts is None else draws[texts.rows]
