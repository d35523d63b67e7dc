"""The parts of a run that come from elsewhere or follow from the training texts: weights, tokenizers, the writer."""

import shutil
from collections import Counter, defaultdict
from pathlib import Path

from discern_vqa.bases import ModelConfig, Part, PartConfig
from discern_vqa.config import Recipe
from discern_vqa.data.answer_tokens import BytePairs, FolderAnswers, Writer, target_normaliser
from discern_vqa.data.normalisers import commonest
from discern_vqa.data.text import FolderTokenizer, Tokenizer, WordTokenizer
from discern_vqa.nn.encoders import EncoderConfig
from discern_vqa.paths import find_weights


def weights_folder(config: PartConfig, part: str) -> Path | None:
    """The folder of a part's pre-trained weights; none for random ones (`tiny`, or `hf` without weights)."""
    from discern_vqa.nn.encoders import lite

    if isinstance(config, EncoderConfig) and config.kind == "lite":
        return find_weights(config.weights or (lite.IMAGE_WEIGHTS if part == "image" else lite.TEXT_WEIGHTS))
    return find_weights(config.weights) if config.weights else None


def foreign_parts(recipe: Recipe) -> dict[str, Part]:
    """Parts of the recipe's model whose architecture comes from a folder; of a baseline its image encoder, if
    any; none of somebody else's model."""
    if not recipe.is_network:
        image = getattr(recipe.model, "image", None)
        return {} if image is None else {"image": Part("image encoder", image)}
    return {name: part for name, part in recipe.model.parts().items() if part.foreign}


def make_writer(recipe: Recipe, answers: list[str]) -> Writer | None:
    """For a model with a generator: byte pairs of the training answers, or the tokenizer of its weights' folder."""
    config: ModelConfig = recipe.model.resolved()
    generator = config.writer()
    if generator is None:
        return None
    folder = weights_folder(generator, "generator")
    target, normalise = generator.target or "raw", recipe.data.normaliser
    texts = [target_normaliser(target, normalise)(answer) for answer in answers]
    tokenizer = FolderAnswers(folder) if folder is not None else BytePairs.from_texts(texts, generator.symbols)
    candidates = tuple(text for text, _ in sorted(Counter(texts).items(), key=lambda item: (-item[1], item[0])))
    written: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for text, answer in zip(texts, answers, strict=True):
        written[text][" ".join(answer.split())] += 1
    spellings = tuple(commonest(written[text]) for text in candidates)
    return Writer(tokenizer, generator.length, target, normalise, candidates, spellings)


def make_tokenizer(recipe: Recipe, texts: list[str]) -> Tokenizer:
    """Words of the training texts for `tiny`; the encoder's own tokenizer otherwise (CLIP's where none is named)."""
    encoder = recipe.model.text
    if encoder.kind == "tiny":
        return WordTokenizer.from_texts(texts)
    folder = weights_folder(encoder, "text") or find_weights("clip_tokenizer")
    tokenizer = FolderTokenizer(folder)
    if not recipe.model.compacts_text():
        return tokenizer
    ids = tokenizer.encode(sorted(set(texts)), recipe.data.text_length).ids
    return FolderTokenizer(folder, used=sorted(set(ids.flatten().tolist())))


def copy_encoder_files(folder: Path, recipe: Recipe, tokenizer: Tokenizer, writer: Writer | None) -> None:
    """Architecture and tokenizers of pre-trained parts travel with the run, so that it opens anywhere."""
    for name, part in foreign_parts(recipe).items():
        source = weights_folder(part.config, name)
        if source is not None:
            target = folder / "encoders" / name
            target.mkdir(parents=True, exist_ok=True)
            for file in ("config.json", "preprocessor_config.json"):
                if (source / file).is_file():
                    shutil.copyfile(source / file, target / file)
    if isinstance(tokenizer, FolderTokenizer):
        tokenizer.inner.save_pretrained(str(folder / "tokenizer"))
    if writer is not None and isinstance(writer.tokenizer, FolderAnswers):
        writer.tokenizer.inner.save_pretrained(str(folder / "writer"))
