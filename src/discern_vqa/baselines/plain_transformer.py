"""Plain transformer: two layers over the run's own frozen features, a token to answer from, cross-entropy, nothing
else. What the same features give without any of a paper's ideas.

Only for runs whose two encoders are frozen: it reads their cached states, so that it costs a minute or two.
"""

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from discern_vqa.bases import ModelBase, ModelConfig, PretrainedPart
from discern_vqa.config import OptimConfig, RunConfig
from discern_vqa.data.answers import Answer, AnswerVocabulary
from discern_vqa.data.batch import Batcher, Decision, Inputs
from discern_vqa.data.sample import Sample
from discern_vqa.nn.transformer import BlockShape, PostNormBlock

SEES = "the question and the same frozen features, two plain layers"
SEES_PIXELS = True
RANK = 2
SUBJECT = "a plain model on the same features"
NEEDS_STATES = True
WIDTH, HEADS, LAYERS = 256, 4, 2
OPTIM = OptimConfig(lr=5e-4, weight_decay=0.05, batch=32, warmup=0.1, ema=0.99)
EPOCHS = 20

Learn = Callable[[ModelBase, OptimConfig, RunConfig, Sequence[Sample], Batcher], None]
"""`training.at_once.train_at_once`, which stands above this room."""


class Plain(ModelBase):
    """[token, cells, words] through post-norm layers; the token answers. Built for cached states like `example`'s."""

    def __init__(self, example: Inputs, answers: int) -> None:
        super().__init__()
        assert example.text_states is not None
        self.config = ModelConfig(name="baselines.plain_transformer")
        cells, words = example.image.shape[1], example.text_states.shape[1]
        self.project_image, self.project_text = (
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, WIDTH))
            for width in (example.image.shape[2], example.text_states.shape[2])
        )
        self.token = nn.Parameter(torch.randn(1, 1, WIDTH) * 0.02)
        self.pos = nn.Parameter(torch.randn(1 + cells + words, WIDTH) * 0.02)
        self.enter = nn.LayerNorm(WIDTH)
        self.blocks = nn.ModuleList(PostNormBlock(BlockShape(WIDTH, HEADS, 4 * WIDTH, 0.1)) for _ in range(LAYERS))
        self.head = nn.Linear(WIDTH, answers)

    def parts(self) -> dict[str, PretrainedPart]:
        """None: it has no encoder, but reads what others' say."""
        return {}

    def decide(self, inputs: Inputs) -> Decision:
        """Scores of all answers."""
        image = self.project_image(inputs.image)[inputs.which]
        used = inputs.keep.any(0)  # positions that no text of the batch uses change nothing
        words = self.project_text(inputs.text_states[:, used]) if inputs.text_states is not None else image[:, :0]
        v = torch.cat([self.token.expand(len(image), -1, -1), image, words], dim=1)
        keep = torch.cat([inputs.keep.new_ones(len(image), 1 + image.shape[1]), inputs.keep[:, used]], dim=1)
        places = torch.cat([used.new_ones(1 + image.shape[1]), used])
        v = self.enter(v + self.pos[places])
        for block in self.blocks[:-1]:
            v = block(v, keep)
        last = cast(PostNormBlock, self.blocks[-1])
        return Decision(self.head(last.at(v, keep, torch.zeros(len(v), dtype=torch.int64, device=v.device))))


def answer(
    train: Sequence[Sample],
    test: Sequence[Sample],
    *,
    vocabulary: AnswerVocabulary,
    seed: int,
    batcher: Batcher,
    learn: Learn,
) -> list[Answer]:
    """Trains on the cached states that `batcher` (of frozen encoders) gives, then answers."""
    torch.manual_seed(seed)
    model = Plain(batcher.inputs(train[:1]), len(vocabulary))
    known = [sample for sample in train if vocabulary.index(sample.answer) >= 0]
    learn(model, OPTIM, RunConfig(epochs=EPOCHS, seed=seed, precision="bf16", select="last"), known, batcher)
    model.eval()
    device = next(model.parameters()).device
    scores: list[Tensor] = []
    with torch.inference_mode():
        for start in range(0, len(test), 64):
            inputs = batcher.inputs(test[start : start + 64]).to(device)
            scores.append(model.decide(inputs).scores.float().softmax(-1).cpu())
    return [Answer.from_scores(row, vocabulary) for row in torch.cat(scores).tolist()]
