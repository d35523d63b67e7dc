"""Plain transformer: two layers over the run's own frozen features, a token to answer from, cross-entropy, nothing
else. What the same features give without any of a paper's ideas.

Only for runs whose two encoders are frozen: it reads their cached states, so that it costs a minute or two.
"""

from collections.abc import Sequence
from typing import Any

from discern_vqa.data.answers import Answer, AnswerVocabulary
from discern_vqa.data.sample import Sample

SEES = "the question and the same frozen features, two plain layers"
SEES_PIXELS = True
RANK = 2
SUBJECT = "a plain model on the same features"
NEEDS_STATES = True
WIDTH, HEADS, LAYERS, EPOCHS, BATCH, LR = 256, 4, 2, 20, 32, 5e-4


def answer(
    train: Sequence[Sample],
    test: Sequence[Sample],
    *,
    vocabulary: AnswerVocabulary,
    seed: int,
    batcher: Any,
) -> list[Answer]:
    """Trains on the cached states that `batcher` (a `data.batch.Batcher` of frozen encoders) gives, then answers."""
    import torch
    from torch import nn

    from discern_vqa.data.sampling import epoch_batches
    from discern_vqa.nn.momentum import RunningMean
    from discern_vqa.nn.precision import bfloat16_in_hardware
    from discern_vqa.nn.transformer import PostNormBlock

    torch.manual_seed(seed)
    first = batcher.inputs(train[:1])

    class Plain(nn.Module):
        """[token, cells, words] through post-norm layers; the token answers."""

        def __init__(self) -> None:
            super().__init__()
            cells, words = first.image.shape[1], first.text_states.shape[1]
            self.image, self.text = (
                nn.Sequential(nn.LayerNorm(width), nn.Linear(width, WIDTH))
                for width in (first.image.shape[2], first.text_states.shape[2])
            )
            self.token = nn.Parameter(torch.randn(1, 1, WIDTH) * 0.02)
            self.pos = nn.Parameter(torch.randn(1 + cells + words, WIDTH) * 0.02)
            self.enter = nn.LayerNorm(WIDTH)
            self.blocks = nn.ModuleList(PostNormBlock(WIDTH, HEADS, 4 * WIDTH, 0.1) for _ in range(LAYERS))
            self.head = nn.Linear(WIDTH, len(vocabulary))

        def forward(self, inputs: Any) -> torch.Tensor:
            image = self.image(inputs.image)[inputs.which]
            v = torch.cat([self.token.expand(len(image), -1, -1), image, self.text(inputs.text_states)], dim=1)
            keep = torch.cat([inputs.keep.new_ones(len(image), 1 + image.shape[1]), inputs.keep], dim=1)
            v = self.enter(v + self.pos)
            for block in self.blocks:
                v = block(v, keep)
            return self.head(v[:, 0])

    model = Plain()
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=0.05, fused=True)
    mean = RunningMean(model, 0.99)
    rows = [row for row, sample in enumerate(train) if vocabulary.index(sample.answer) >= 0]
    known = [train[row] for row in rows]
    total = EPOCHS * len(epoch_batches(known, BATCH, seed, 0))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, total_steps=total + EPOCHS, pct_start=0.1)
    step = 0
    for epoch in range(EPOCHS):
        for chosen in epoch_batches(known, BATCH, seed, epoch):
            rng = torch.Generator().manual_seed(seed * 1_000_003 + step)
            batch = batcher.batch([known[row] for row in chosen], rng)
            with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16_in_hardware()):
                logits = model(batch.inputs)
            nn.functional.cross_entropy(logits.float(), batch.targets.answer).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            if step < total:
                schedule.step()
            mean.update(model, step)
            step += 1
    mean.swap(model)
    model.eval()
    scores: list[list[float]] = []
    with torch.inference_mode():
        for start in range(0, len(test), 64):
            scores += model(batcher.inputs(test[start : start + 64])).softmax(-1).tolist()
    return [Answer.from_scores(row, vocabulary) for row in scores]
