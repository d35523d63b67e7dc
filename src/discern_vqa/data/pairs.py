"""Which images count as similar (CMDPI 3.3: cosine of global features above 0.75), found once before fine-tuning."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def similar_images(
    keys: Sequence[str],
    h_img: Tensor,
    similar_above: float = 0.75,
    organs: Sequence[str] | None = None,
    groups: Sequence[str] | None = None,
    percentile: float | None = None,
    nearest: int = 0,
) -> dict[str, list[str]]:
    """For each image of the training split the images whose cosine exceeds `similar_above`, itself excluded.

    Args:
        keys: (U) image names.
        h_img: (U, d) their global features by the pre-trained model.
        similar_above: the paper's threshold, 0.75 (Fig. 14).
        organs: (U) when given, only images of the same organ are candidates.
        groups: (U) when given, images of the same non-empty group (patient, anatomy) are no candidates: a twin that
            differs in the very finding asked about would teach the answer to ignore it.
        percentile: in [0, 1]; when given, the threshold is this quantile of all pairs' cosines instead (a feature
            space can be so narrow that every pair passes 0.75).
        nearest: k > 0 keeps only the k most similar of the candidates.
    """
    unit = F.normalize(h_img.float(), dim=-1)
    cosine = unit @ unit.T  # (U U)
    off_diagonal = ~torch.eye(len(keys), dtype=torch.bool)
    threshold = similar_above
    if percentile is not None and len(keys) > 1:
        pairs = cosine[off_diagonal]
        # torch.quantile refuses more than 16 M values; an even sample of the pairs is enough for a threshold.
        threshold = float(torch.quantile(pairs[:: max(1, len(pairs) // 1_000_000)], percentile))
    similar = (cosine > threshold) & off_diagonal
    if organs is not None:
        numbers = {organ: number for number, organ in enumerate(dict.fromkeys(organs))}
        organ = torch.tensor([numbers[name] for name in organs])
        similar &= organ[:, None] == organ[None, :]
    if groups is not None:
        numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
        group = torch.tensor([numbers[name] for name in groups])
        named = torch.tensor([bool(name) for name in groups])
        similar &= ~((group[:, None] == group[None, :]) & named[:, None])
    index = {}
    for row, key in enumerate(keys):
        columns = similar[row].nonzero().flatten()
        if nearest and len(columns) > nearest:
            columns = columns[cosine[row, columns].topk(nearest).indices]
        index[key] = [keys[column] for column in columns.tolist()]
    return index
