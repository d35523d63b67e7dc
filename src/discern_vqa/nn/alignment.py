"""Alignment of images and texts as pure functions (cmi_mtl.md 2.1): tensors in, similarities or a scalar out, in fp32.

Letters: I images, J texts, K queries, N places of an image, M words of a text, e width. Rows of queries and places are
unit vectors, and so are words; `words` (J, M) is True where there is a real word. Padded words are left out of every
maximum, softmax and mean.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from discern_vqa.division import Share
from discern_vqa.nn.gather import mean

TAU = 0.07  # the temperature of a term of cells and words
GLORIA_LOCAL = 4.0  # how sharply GLoRIA's words choose among the cells
FAR = -1e4  # what a padded word scores; not -inf, whose softmax over nothing but padding is no number


def max_over_queries(queries: Tensor, texts: Tensor) -> tuple[Tensor, Tensor]:
    """s_ij = max_k <q_ik, t_j> and the k that won; queries (I, K, e), texts (J, e) -> (I, J), (I, J)."""
    best = torch.einsum("ike,je->ijk", queries.float(), texts.float()).max(-1)
    return best.values, best.indices


def false_negatives(own: tuple[Tensor, Tensor], everyone: tuple[Tensor, Tensor], start: int = 0) -> Tensor:
    """M_ij (B, A): another row that shows the same image or asks the same question, which is no negative.

    own: image and text keys (B,) of these rows; everyone: those of all rows (A,), of which ours begin at `start`.
    """
    image, text = (mine[:, None] == others[None] for mine, others in zip(own, everyone, strict=True))
    return (image | text) & ~_own(image, start)


def smoothed_target(no_negative: Tensor, smoothing: float, start: int = 0) -> Tensor:
    """pi (B, A): 1 - smoothing for the own partner; the rest is shared by the row's negatives."""
    own = _own(no_negative, start)
    negative = ~no_negative & ~own
    share = smoothing / negative.sum(1, keepdim=True).clamp(min=1)
    return own * (1.0 - smoothing) + negative * share


def one_way(
    similarity: Tensor, no_negative: Tensor, smoothing: float, start: int = 0, share: Share | None = None
) -> Tensor:
    """mean_i KL(pi_i || softmax_j s_ij), a scalar.

    similarity (B, A), divided by the temperature; no_negative (B, A) True: the pair leaves the denominator, and its
    share of the smoothing goes to the others. A row without any negative is left out; 0 where none is left. The
    cross-entropy with the same target differs by a constant, so that its gradient is the same (D8).
    """
    target = smoothed_target(no_negative, smoothing, start)
    has_negative = (~no_negative).sum(1) > 1  # the own partner is not counted
    if share is None and not bool(has_negative.any()):
        return similarity.sum() * 0
    log_p = similarity.float().masked_fill(no_negative, -torch.inf).log_softmax(1).masked_fill(no_negative, 0.0)
    each = (torch.xlogy(target, target).sum(1) - (target * log_p).sum(1))[has_negative]
    return each.mean() if share is None else mean(each.sum(), len(each), share)


def aligned(
    i2t: Tensor, t2i: Tensor, no_negative: Tensor, smoothing: float, start: int = 0, share: Share | None = None
) -> Tensor:
    """L_align: the mean of both ways; i2t and t2i (B, A) with the rows' own images, and the rows' own texts, first."""
    ways = [one_way(scores, no_negative, smoothing, start, share) for scores in (i2t, t2i)]
    return torch.stack(ways).mean()


def _own(like: Tensor, start: int) -> Tensor:
    """(B, A) bool: True at the row's own partner."""
    own = torch.zeros_like(like, dtype=torch.bool)
    own[:, start : start + len(like)].fill_diagonal_(True)
    return own


def filip(places: Tensor, texts: Tensor, words: Tensor, tau: float) -> Tensor:
    """FILIP: s_ij = [mean_w max_p <p, w> + mean_p max_w <p, w>] / (2 tau).

    places (I, N, e), texts (J, M, e) -> (I, J).
    """
    cosine = torch.einsum("ine,jme->ijnm", places.float(), texts.float())
    cosine = cosine.masked_fill(~words[None, :, None, :], FAR)
    count = words.sum(-1).clamp(min=1)
    of_words = (cosine.amax(2) * words[None]).sum(-1) / count
    return (of_words + cosine.amax(3).mean(-1)) / (2 * tau)


def gloria(
    places: Tensor, texts: Tensor, words: Tensor, local: float = GLORIA_LOCAL, soft: float = 5.0, scale: float = 10.0
) -> Tensor:
    """GLoRIA: every word gathers the places it fits, s_ij = scale log sum_w exp(soft cos(c_w, w)); (I, J).

    a_wp = softmax_p(local softmax_w <p, w>), c_w = sum_p a_wp p.
    """
    places, texts = places.float(), texts.float()
    cosine = torch.einsum("ine,jme->ijnm", places, texts).masked_fill(~words[None, :, None, :], FAR)
    weight = _gloria_weights(cosine, local)
    context = torch.einsum("ijnm,ine->ijme", weight, places)
    fit = (F.normalize(context, dim=-1) * texts[None]).sum(-1)
    return scale * (soft * fit).masked_fill(~words[None], FAR).logsumexp(-1)


def sparc(places: Tensor, texts: Tensor, words: Tensor, tau: float, share: Share | None = None) -> Tensor:
    """SPARC: within each pair, a word must find the places it was grouped with among those of the text's other words.

    places (B, N, e), texts (B, M, e) of the same rows. Similarities are scaled to 0 ... 1 over the places, those below
    1/N are dropped, the rest are weights; the loss is InfoNCE of grouped places against words and back, a scalar.
    """
    places, texts = places.float(), texts.float()
    grouped = torch.einsum("bmn,bne->bme", _sparc_weights(torch.einsum("bme,bne->bmn", texts, places)), places)
    scores = torch.einsum("bme,bve->bmv", F.normalize(grouped, dim=-1), texts) / tau  # (B M M)
    scores = scores.masked_fill(~(words[:, None, :] & words[:, :, None]), -torch.inf)  # a padded word is no candidate
    target = torch.arange(scores.shape[1], device=scores.device).expand(len(scores), -1)[words]
    if share is not None:
        both = [F.cross_entropy(way[words], target, reduction="sum") for way in (scores, scores.transpose(1, 2))]
        return mean((both[0] + both[1]) / 2, len(target), share)
    if len(target) == 0:
        return places.sum() * 0
    there = F.cross_entropy(scores[words], target)
    back = F.cross_entropy(scores.transpose(1, 2)[words], target)
    return (there + back) / 2


def cells_of_words(kind: str, places: Tensor, texts: Tensor, words: Tensor) -> Tensor:
    """(B, M, N): how an alignment `kind` spreads each word over the cells of its own image, each row summing to 1; 0 of
    a padded word.

    gloria and sparc: the weights with which the loss groups the cells. filip, which takes the best cell alone: the
    softmax over the cells at the loss's temperature, whose limit that maximum is. places (B, N, e), texts (B, M, e).
    """
    cosine = torch.einsum("bme,bne->bmn", texts.float(), places.float())
    if kind == "gloria":
        far = cosine.masked_fill(~words[..., None], FAR)
        weight = _gloria_weights(far.mT[:, None], GLORIA_LOCAL)[:, 0].mT
    elif kind == "sparc":
        weight = _sparc_weights(cosine)
    else:
        weight = (cosine / TAU).softmax(-1)
    return weight * words[..., None]


def _gloria_weights(cosine: Tensor, local: float) -> Tensor:
    """a_wp of `gloria`: (I, J, N, M) -> the same shape, summing to 1 over the places N."""
    return (local * cosine.softmax(3)).softmax(2)


def _sparc_weights(cosine: Tensor) -> Tensor:
    """The weights of `sparc`: (B, M, N) -> the same shape, summing to 1 over the places N."""
    N = cosine.shape[-1]
    low, high = cosine.amin(-1, keepdim=True), cosine.amax(-1, keepdim=True)
    weight = (cosine - low) / (high - low).clamp(min=1e-6)
    weight = torch.where(weight < 1 / N, 0.0, weight)
    return weight / weight.sum(-1, keepdim=True).clamp(min=1e-6)
