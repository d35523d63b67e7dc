"""How near two answers are in meaning: the cosine of their embeddings by a local sentence encoder.

The one file of the scoring side that needs torch; it is opened only when `--similarity` asks for it. No network
judge: the encoder is a folder of weights (`paths.find_weights`).
"""

from collections.abc import Sequence

import numpy as np
import torch

from discern_vqa.data.text import FolderTokenizer
from discern_vqa.nn.encoders.base import from_folder
from discern_vqa.nn.resample import mean_of
from discern_vqa.paths import find_weights
from discern_vqa.scoring.free_text import Similarity
from discern_vqa.scoring.predictions import Prediction

LENGTH, BATCH = 64, 64


@torch.inference_mode()
def similarities(rows: Sequence[Prediction], encoder: str) -> Similarity:
    """The similarity of each answer to the true one. Raises ConfigError when there are no such weights.

    encoder: weights of a sentence encoder: a short name (`all-minilm-l6-v2`), a hub id, or a folder. The embedding is
    the mean of its last states over the real tokens.
    """
    from transformers import AutoModel

    folder = find_weights(encoder)
    model, _ = from_folder(AutoModel, folder, add_pooling_layer=False)
    model.eval()
    tokenizer = FolderTokenizer(folder)
    texts = sorted({text.strip().lower() for row in rows for text in (row.prediction, row.gold)})
    row_of = {text: number for number, text in enumerate(texts)}
    vectors: list[torch.Tensor] = []
    for start in range(0, len(texts), BATCH):
        tokens = tokenizer.encode(texts[start : start + BATCH], LENGTH)
        states = model(input_ids=tokens.ids, attention_mask=tokens.keep.long()).last_hidden_state
        vectors.append(torch.nn.functional.normalize(mean_of(states, tokens.keep), dim=-1))
    embedded = torch.cat(vectors).numpy()
    answers = embedded[[row_of[row.prediction.strip().lower()] for row in rows]]
    truths = embedded[[row_of[row.gold.strip().lower()] for row in rows]]
    answered = np.array([bool(row.prediction.strip()) for row in rows])
    each = np.where(answered, np.sum(answers * truths, axis=1), 0.0)
    return Similarity(each, float((answers * answered[:, None]).mean(axis=0) @ truths.mean(axis=0)))
