"""CMDPI's two losses the straightforward way, as the paper prints them: each sample's images and texts encoded anew for
each pass, one pass of RecNet after the other, every position of every output layer computed. Slow, and nothing shared:
what the objectives are compared with, in value (test_as_printed.py) and in time (benchmarks/step.py --as-printed).

Random draws are made in the order of the objectives, so that the same generator gives the same loss.
"""

import torch
from torch import Tensor

from discern_vqa.data.batch import Batch
from discern_vqa.models.cmdpi import Model
from discern_vqa.nn.encoders import Encoded
from discern_vqa.nn.losses import answer_cross_entropy, contrast, masked_mse, mixed_cross_entropy, token_cross_entropy
from discern_vqa.nn.masking import hide_cells, hide_words
from discern_vqa.objectives.cmdpi_finetune import Objective as Finetuning
from discern_vqa.objectives.cmdpi_pretrain import Objective as Pretraining


def finetuning(objective: Finetuning, batch: Batch, rng: torch.Generator) -> dict[str, Tensor]:
    """Eq. 8 to 13. Not for partners that are deviated too."""
    model, inputs, targets, readings = objective.model, batch.inputs, batch.targets, objective.config.readings
    hidden = hide_words(inputs.words, readings.rho_text, rng) if readings.rho_text else None
    picture, text = _image(model, batch), model.encode_text(inputs, hidden)
    near = model.image(inputs.image[targets.near.clamp(min=0)]).H
    H_deviated = picture.H
    if objective.config.deviate:
        low = readings.eps_min or 0.0
        share = low + (1 - low) * torch.rand(len(near), 1, generator=rng)
        share = torch.where(targets.near[:, None] >= 0, share, 1.0)[..., None].to(near.dtype)
        H_deviated = share * picture.H + (1 - share) * (near if readings.near_gradient else near.detach())
    lam = objective.lam(targets.partner, rng)
    deviated = model.recnet(model.fuse(picture.h, text.h), H_deviated, text.H, inputs.keep)
    # The partner's own pass: its image and text are encoded for it, as if it were nowhere else in the batch.
    partner = targets.partner.clamp(min=0)
    its_image = model.image(inputs.image[inputs.which[partner]])
    its_text = model.encode_text(inputs, hidden)
    fused = model.fuse(its_image.h, its_text.h[partner])
    plain = model.recnet(fused, its_image.H, its_text.H[partner], inputs.keep[partner])
    h_mix = lam[:, None] * deviated.h_ans + (1 - lam)[:, None] * plain.h_ans
    answer = targets.answer
    where = inputs.keep if hidden is None else hidden
    target = model.image_target(picture.H, targets.image, inputs.which)
    return {
        "mix": mixed_cross_entropy(
            model.output_answer(h_mix), answer, answer[partner], lam, objective.config.smoothing
        ),
        "diff_img": masked_mse(model.output_image(deviated.H_out), target),
        "diff_txt": _text_loss(model, deviated.H_out, batch, where),
    }


def pretraining(objective: Pretraining, batch: Batch, rng: torch.Generator) -> dict[str, Tensor]:
    """Eq. 2, 5, 6 and 7. For momentum encoders that see what the others see (`intra_view = "same"`), without a queue,
    with captions alone in the contrast."""
    model, inputs, targets, config = objective.model, batch.inputs, batch.targets, objective.config
    readings, which = config.readings, inputs.which
    cells = hide_cells(len(inputs.image), model.image.cells, readings.rho_image or 0, rng)[which]
    words = objective.hide_words(batch, rng)
    parts = dict.fromkeys(("img", "txt", "ans"), torch.zeros((), dtype=torch.float64))
    counted_cells, counted_words = (cells, words) if readings.loss_scope == "masked" else (None, inputs.keep)
    for is_global in (True, False):
        plain, its_text = _image(model, batch), model.encode_text(inputs)
        masked = model.image(inputs.image[which], cells)
        masked_text = model.encode_text(inputs, words)
        h = model.fuse(plain.h, its_text.h) if is_global else model.h_shared.expand_as(plain.h)
        out = model.recnet(h, masked.H, masked_text.H, inputs.keep)
        target = model.image_target(plain.H, targets.image, which)
        parts["img"] = parts["img"] + masked_mse(model.output_image(out.H_out), target, counted_cells)
        parts["txt"] = parts["txt"] + _text_loss(model, out.H_out, batch, counted_words)
        parts["ans"] = parts["ans"] + answer_cross_entropy(model.output_answer(out.h_ans), targets.answer)
    of = targets.is_caption
    plain, its_text = _image(model, batch), model.encode_text(inputs)
    images, texts = targets.image_key[of], targets.text_key[of]
    same_image, same_text = images[:, None] == images, texts[:, None] == texts
    h_img, h_txt, tau = plain.h[of], its_text.h[of], objective.tau
    either = same_image | same_text
    parts["inter"] = contrast(h_img, h_txt, tau, either) + contrast(h_txt, h_img, tau, either)
    slow_text = objective.text_ema(inputs.tokens, inputs.keep, None, inputs.text_states).h[of].detach()
    slow_image = objective.image_ema(inputs.image[which]).h[of].detach()
    rows = which[of]
    first = torch.tensor([int((rows == row).nonzero()[0, 0]) for row in rows.unique()])  # an image counts once
    alike = same_image[first][:, first]
    parts["intra"] = contrast(h_img[first], slow_image[first], tau, alike) + contrast(h_txt, slow_text, tau, same_text)
    return parts


def _image(model: Model, batch: Batch) -> Encoded:
    """Each text's image, encoded as often as there are texts about it."""
    return model.image(batch.inputs.image[batch.inputs.which])


def _text_loss(model: Model, H_out: Tensor, batch: Batch, where: Tensor) -> Tensor:
    """L_txt from the logits of all positions, of which `where` count."""
    everywhere = torch.ones_like(where)
    logits = model.output_text(H_out, everywhere).unflatten(0, where.shape)
    return token_cross_entropy(logits[where], model.text_targets(batch.inputs.tokens, where))
