"""*folder*: a vision-language model of `transformers` in a folder of this machine, run in this process.

Any folder that `AutoModelForImageTextToText` opens and whose processor has a chat template. Nothing is downloaded, and
no code of the folder is run. `discern doctor` says whether there is a GPU; without one a model of some billion
parameters takes minutes for a question, and a server (`outside.endpoint`) is the way.
"""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field

from discern_vqa.asking.replies import CUT, Reply
from discern_vqa.asking.requests import Keeper, Request
from discern_vqa.asking.tables import WritingTable
from discern_vqa.errors import ConfigError, RunError

_DESCRIBES = ("config.json", "generation_config.json", "preprocessor_config.json", "processor_config.json",
              "tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "chat_template.json")  # fmt: skip


class Config(WritingTable):
    """[model] of a recipe."""

    folder: str = ""
    """The folder with config.json, the weights as safetensors, and the processor's files."""
    batch: int = Field(4, ge=1)
    """The number of questions that are answered at a time."""
    seed: int = Field(0, ge=0)
    """Of the words that are drawn at a temperature above 0."""


class Model:
    """See `asking.requests.OutsideModel`. The weights are read when the first question is asked."""

    def __init__(self, config: Config) -> None:
        """Raises ConfigError: no folder is named, or it holds no model."""
        self.config, self.folder = config, Path(config.folder).expanduser()
        if not config.folder or not (self.folder / "config.json").is_file():
            named = f"{self.folder} holds no config.json" if config.folder else "model.folder is not set"
            raise ConfigError(
                named, hint="--set model.folder=FOLDER, as `hf download ORG/NAME --local-dir FOLDER` makes"
            )
        if config.confidence == "samples" and config.temperature == 0:
            raise ConfigError(
                'model.confidence = "samples" at the temperature 0: all answers would be the same',
                hint="--set model.temperature=0.7",
            )
        if config.confidence == "logprobs":
            raise ConfigError('model.confidence = "logprobs" is for an endpoint', hint="--set model.confidence=verbal")

    @property
    def settings(self) -> Mapping[str, Any]:
        """What the folder's descriptions say, and the names and sizes of its weights, which are not read for this."""
        digest = hashlib.sha256()
        for name in _DESCRIBES:
            if (file := self.folder / name).is_file():
                digest.update(name.encode() + file.read_bytes())
        weights = sorted((file.name, file.stat().st_size) for file in self.folder.glob("*.safetensors"))
        digest.update(json.dumps(weights).encode())
        keys = ("temperature", "max_tokens", "seed")
        return {"folder": digest.hexdigest()} | {key: getattr(self.config, key) for key in keys}

    def ask(self, requests: Sequence[Request], keeper: Keeper) -> None:
        """See OutsideModel."""
        for start in range(0, len(requests), self.config.batch):
            batch = requests[start : start + self.config.batch]
            began = time.monotonic()
            replies = self._answered(batch)
            each = round((time.monotonic() - began) / len(batch), 3)
            for request, (text, finish, sent, written) in zip(batch, replies, strict=True):
                keeper.keep(request, Reply(text=text, finish=finish, sent=sent, written=written, seconds=each))

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        """(processor, model). Raises ConfigError."""
        import torch
        from transformers import AutoModelForImageTextToText, AutoProcessor

        try:
            processor = AutoProcessor.from_pretrained(self.folder, local_files_only=True, trust_remote_code=False)
            model = AutoModelForImageTextToText.from_pretrained(
                self.folder, local_files_only=True, trust_remote_code=False, use_safetensors=True, dtype="auto"
            )
        except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:  # what transformers raises
            raise ConfigError(
                f"{self.folder} cannot be opened as a vision-language model: {' '.join(str(error).split())[:300]}",
                hint="a folder that AutoModelForImageTextToText opens; others are asked through a server (vLLM) or a"
                " function of your own: recipe outside/function",
            ) from error
        if not getattr(processor, "chat_template", None):
            raise ConfigError(
                f"the processor in {self.folder} has no chat template: it is not known how questions are put to it",
                hint="take the instruction-tuned edition of the model, or write a function: recipe outside/function",
            )
        processor.tokenizer.padding_side = "left"  # answers begin where the question ends
        device = "cuda" if torch.cuda.is_available() else "cpu"
        return processor, model.to(device).eval()

    def _answered(self, batch: Sequence[Request]) -> list[tuple[str, str, int, int]]:
        """(text, why it ended, tokens sent, tokens written) of each. Raises RunError where memory does not suffice."""
        import torch

        processor, model = self._loaded
        messages = [
            [
                {
                    "role": "user",
                    "content": [
                        {"type": "image", "image": request.shown.image()},
                        {"type": "text", "text": request.prompt},
                    ],
                }
            ]
            for request in batch
        ]
        inputs = processor.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt", padding=True
        ).to(model.device, dtype=model.dtype)
        draws = self.config.temperature > 0
        how: dict[str, Any] = {"do_sample": draws} | ({"temperature": self.config.temperature} if draws else {})
        most = self.config.max_tokens or 256
        with torch.random.fork_rng(enabled=draws), torch.inference_mode():
            if draws:
                torch.manual_seed(self.config.seed + batch[0].number)
            try:
                written = model.generate(**inputs, max_new_tokens=most, **how)
            except torch.OutOfMemoryError as error:
                raise RunError(
                    f"the memory does not suffice for {len(batch)} questions at a time",
                    hint="--set model.batch=1, or smaller images: --set model.longest_side=512",
                ) from error
        new = written[:, inputs["input_ids"].shape[1] :]
        ends = model.generation_config.eos_token_id
        stops = set(ends if isinstance(ends, list) else [] if ends is None else [ends])
        texts = processor.batch_decode(new, skip_special_tokens=True)
        sent = inputs["attention_mask"].sum(dim=1).tolist()
        replies = []
        for text, row, count in zip(texts, new.tolist(), sent, strict=True):
            length = next((place + 1 for place, token in enumerate(row) if token in stops), len(row))
            has_ended = any(token in stops for token in row)
            replies.append((text.strip(), "stop" if has_ended else CUT, int(count), length))
        return replies
