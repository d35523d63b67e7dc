"""Which samples share a batch in an epoch. Everything is a function of (samples, seed, epoch), so that a resumed run
draws the same batches as an uninterrupted one."""

import random
from collections.abc import Sequence
from itertools import chain

from discern_vqa.data.pairs import partner_criteria
from discern_vqa.data.sample import Sample

Unit = list[int]


def epoch_batches(
    samples: Sequence[Sample],
    batch: int,
    seed: int,
    epoch: int,
    per_image: int = 0,
    mixed: bool = False,
    same_answer_type: bool = False,
) -> list[list[int]]:
    """The batches of one epoch, as rows of `samples`.

    Args:
        batch: texts in a batch.
        per_image: 0: questions come in pairs of equal `partner_criteria`, so that a mixup partner is in the batch
            (cmdpi.md section 4, saving d). k > 0: up to k questions of an image share a batch, with its caption if it
            has one, so that an image is encoded once for all of them; each epoch draws others.
        same_answer_type: see `partner_criteria`.
        mixed: captions and questions in one batch; else each batch is of one type, and types come in random order
            in proportion to their numbers (cmdpi.md A15). A batch of captions never holds an image twice (A21).
    """
    rng = random.Random(f"{seed}:{epoch}")
    captions = [row for row, sample in enumerate(samples) if sample.is_caption]
    questions = [row for row, sample in enumerate(samples) if not sample.is_caption]
    if per_image and mixed:
        return _fill(_image_units(samples, questions, captions, per_image, rng), batch)
    batches = _distinct(samples, captions, batch, rng)
    if per_image:
        batches += _fill(_image_units(samples, questions, [], per_image, rng), batch)
    else:
        batches += _fill(_pair_units(samples, questions, rng, same_answer_type), batch)
    rng.shuffle(batches)
    return batches


def with_auxiliary(own: int, auxiliary: int, share: float, seed: int, epoch: int) -> list[int]:
    """The rows of an epoch where `auxiliary` samples of another data set follow the `own` ones.

    These are all own rows and a draw of the auxiliary ones, another in each epoch: `share` times `own` of them, or all
    where there are fewer.
    """
    rng = random.Random(f"{seed}:{epoch}:beside")  # the word is part of the seed: another word, other batches
    return [*range(own), *sorted(rng.sample(range(own, own + auxiliary), min(auxiliary, round(share * own))))]


def _pair_units(samples: Sequence[Sample], rows: list[int], rng: random.Random, same_answer_type: bool) -> list[Unit]:
    """Questions in pairs of equal `partner_criteria`; the last of an odd number stays alone."""
    groups: dict[tuple[str, ...] | None, list[int]] = {}
    for row in rows:
        groups.setdefault(partner_criteria(samples[row], same_answer_type), []).append(row)
    units: list[Unit] = []
    for members in groups.values():
        rng.shuffle(members)
        units += [members[start : start + 2] for start in range(0, len(members), 2)]
    rng.shuffle(units)
    return units


def _image_units(
    samples: Sequence[Sample], questions: list[int], captions: list[int], per_image: int, rng: random.Random
) -> list[Unit]:
    """Up to `per_image` questions of an image, and its caption; images of one group (image pairs) are adjacent."""
    images: dict[str, list[int]] = {}
    for row in questions:
        images.setdefault(samples[row].image, []).append(row)
    caption_of = {samples[row].image: row for row in captions}
    groups: dict[str, list[Unit]] = {}
    for image in dict.fromkeys(chain(images, caption_of)):
        rows = images.get(image, [])
        chosen = rng.sample(rows, min(per_image, len(rows)))
        if image in caption_of:
            chosen.append(caption_of[image])
        groups.setdefault(samples[chosen[0]].group or image, []).append(chosen)
    order = list(groups.values())
    rng.shuffle(order)
    return [unit for group in order for unit in group]


def _distinct(samples: Sequence[Sample], rows: list[int], batch: int, rng: random.Random) -> list[list[int]]:
    """Batches of captions without a repeated image; a last batch of one is dropped, since it has no negatives."""
    rows = rows.copy()
    rng.shuffle(rows)
    batches: list[list[int]] = []
    while rows:
        row_of: dict[str, int] = {}
        rest: list[int] = []
        for row in rows:
            if len(row_of) < batch and samples[row].image not in row_of:
                row_of[samples[row].image] = row
            else:
                rest.append(row)
        batches.append([*row_of.values()])
        rows = rest
    return [rows for rows in batches if len(rows) > 1]


def _fill(units: list[Unit], batch: int) -> list[list[int]]:
    """Units in their order into batches of about `batch` rows; a unit is never divided."""
    batches: list[list[int]] = []
    for unit in units:
        if not batches or len(batches[-1]) + len(unit) > batch:
            batches.append([])
        batches[-1].extend(unit)
    return batches
