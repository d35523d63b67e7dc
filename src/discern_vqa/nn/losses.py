"""Losses as pure functions: tensors in, a scalar out, reduced in fp32. Equations: CMDPI unless said otherwise.

`share`: what this process has of a batch that several divide; the mean is then that of the whole batch
(`nn/gather.py`).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from discern_vqa.division import Share
from discern_vqa.nn.gather import mean


def contrast(
    a: Tensor, b: Tensor, tau: float | Tensor, same: Tensor | None = None, further: Tensor | None = None
) -> Tensor:
    """Eq. 7: Contra(a, b) = -1/B sum_i log softmax_j(cos(a_i, b_j) / tau)_i.

    a, b (B, d). `further` (Q, d): rows that stand below b's as negatives and are nobody's positive (A18). `same`
    (B, B + Q) True = row j shows the same thing as row i (equal image or equal text): such a j != i is no negative and
    leaves the denominator. Returns a scalar; 0 for an empty batch.
    """
    if len(a) == 0:
        return a.sum() * 0
    rows = b.float() if further is None else torch.cat([b.float(), further.float()])
    similarity = F.normalize(a.float(), dim=-1) @ F.normalize(rows, dim=-1).T / tau  # (B B+Q)
    if same is not None:
        others = same & ~torch.eye(*same.shape, dtype=torch.bool, device=a.device)
        similarity = similarity.masked_fill(others, -torch.inf)
    return F.cross_entropy(similarity, torch.arange(len(a), device=a.device))


def masked_mse(output: Tensor, target: Tensor, where: Tensor | None = None, share: Share | None = None) -> Tensor:
    """Eq. 5, L_img: mean squared error over the patches that count.

    output, target (B, N, p); `where` (B, N) True = counts (none: all). 0 when nothing counts.
    """
    error = (output.float() - target.float()).square().mean(-1)  # (B N)
    if where is None:
        return error.mean() if share is None else mean(error.sum(), error.numel(), share)
    total, count = (error * where).sum(), where.sum()
    return total / count.clamp(min=1) if share is None else mean(total, count, share)


def token_cross_entropy(logits: Tensor, ids: Tensor, share: Share | None = None) -> Tensor:
    """Eq. 5, L_txt: logits (n, V) of the positions that count, ids (n,); a word without a row (id -1), which a run that
    goes on from another may meet, is left out. 0 when none is left."""
    return answer_cross_entropy(logits, ids, share=share)


def answer_cross_entropy(logits: Tensor, answer: Tensor, smoothing: float = 0.0, share: Share | None = None) -> Tensor:
    """Eq. 5, L_ans: logits (B, K), answer (B,); rows with answer -1 (captions, answers outside the table) are left
    out. 0 when none is left."""
    known = answer >= 0
    if share is not None:
        each = F.cross_entropy(logits[known].float(), answer[known], label_smoothing=smoothing, reduction="sum")
        return mean(each + logits.sum() * 0, known.sum(), share)
    if not bool(known.any()):
        return logits.sum() * 0
    return F.cross_entropy(logits[known].float(), answer[known], label_smoothing=smoothing)


def mixed_cross_entropy(
    logits: Tensor,
    answer: Tensor,
    partner_answer: Tensor,
    lam: Tensor,
    smoothing: float = 0.0,
    share: Share | None = None,
) -> Tensor:
    """Eq. 12: CE(FFN_A(h_mix), lam y + (1 - lam) y^) = lam CE(., y) + (1 - lam) CE(., y^).

    logits (B, K); answer, partner_answer (B,) classes; lam (B,) in [0, 1]. A part whose answer is -1 is left out.
    """
    logits = logits.float()
    own = F.cross_entropy(logits, answer, ignore_index=-1, reduction="none", label_smoothing=smoothing)
    other = F.cross_entropy(logits, partner_answer, ignore_index=-1, reduction="none", label_smoothing=smoothing)
    weight = lam * (answer >= 0) + (1 - lam) * (partner_answer >= 0)
    if share is not None:
        return mean((lam * own + (1 - lam) * other).sum(), weight.sum(), share)
    return (lam * own + (1 - lam) * other).sum() / weight.sum().clamp(min=1e-6)


def total(parts: dict[str, Tensor], weights: dict[str, float]) -> Tensor:
    """The one line that adds losses: every part has a weight and every weight a part."""
    if parts.keys() != weights.keys():
        raise ValueError(f"the weights name {sorted(weights)}; the objective produced {sorted(parts)}")
    return torch.stack([weights[name] * part.float() for name, part in parts.items()]).sum()
