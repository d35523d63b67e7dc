"""What tests of somebody else's model need: a server that can be told to misbehave, and a tiny vision-language model of
random weights."""

import base64
import io
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from PIL import Image

Answers = Callable[[bytes, str], str]
"""(the image as it was sent, the words) -> what is answered."""


@dataclass
class Spoken:
    """What the server does, and what it was asked.

    answer: gives the text. before: for each request that comes, in order, an HTTP status, a number of seconds below 100
    to stall, or raw text to send; used up one after the other, then all goes well. refuses: words -> the status that
    every request with them gets.
    """

    answer: Answers
    before: list[int | float | str] = field(default_factory=list)
    refuses: dict[str, int] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)  # of every failure
    down_after: int = 10**9  # from this many answers on, every request fails
    finish: str = "stop"
    logprobs: list[float] | None = None
    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)  # bodies, without their images
    digests: list[str] = field(default_factory=list)  # of (image, words) of each request
    answered: Counter[str] = field(default_factory=Counter)
    given_headers: list[dict[str, str]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    def app(self) -> FastAPI:
        app, lock = FastAPI(), threading.Lock()

        @app.get("/v1/models")
        def models() -> dict[str, Any]:
            return {"data": [{"id": "tiny"}]}

        @app.post("/v1/chat/completions")
        def chat(request: Request, body: dict[str, Any]) -> Any:
            with lock:
                self.at_once += 1
                self.most_at_once = max(self.most_at_once, self.at_once)
            try:
                return self._chat(dict(request.headers), body, lock)
            finally:
                with lock:
                    self.at_once -= 1

        return app

    def _chat(self, headers: dict[str, str], body: dict[str, Any], lock: threading.Lock) -> Any:
        image, words = parts_of(body)
        digest = sha256(image + words.encode() + json.dumps(body.get("n", 0)).encode()).hexdigest()
        with lock:
            self.asked.append({key: value for key, value in body.items() if key != "messages"})
            self.given_headers.append(headers)
            self.times.append(time.monotonic())
            self.digests.append(digest)
            what = self.before.pop(0) if self.before else None
            is_down = self.answered.total() >= self.down_after
        if is_down:
            return Response('{"error": "out of memory"}', 503, {"Retry-After": "0"})
        if words in self.refuses:
            return Response('{"error": {"message": "too many pixels"}}', self.refuses[words])
        if isinstance(what, str):
            return Response(what, media_type="text/html")
        if isinstance(what, int) and what >= 100:
            return Response('{"error": {"message": "busy"}}', what, self.headers)
        if what is not None:
            time.sleep(what)
        text = self.answer(image, words)
        with lock:
            self.answered[digest] += 1
        choice: dict[str, Any] = {"message": {"role": "assistant", "content": text}, "finish_reason": self.finish}
        if self.logprobs is not None:
            choice["logprobs"] = {"content": [{"token": "x", "logprob": one} for one in self.logprobs]}
        return {"choices": [choice], "usage": {"prompt_tokens": 300, "completion_tokens": 3}}


def parts_of(body: dict[str, Any]) -> tuple[bytes, str]:
    """The image and the words of a request."""
    image, text = body["messages"][-1]["content"]
    head, _, content = image["image_url"]["url"].partition(",")
    assert head == "data:image/png;base64"
    return base64.b64decode(content), text["text"]


@contextmanager
def speaking(answer: Answers, **how: Any) -> Iterator[Spoken]:
    """A server on a free port of 127.0.0.1, closed at the end; see `Spoken`."""
    about = Spoken(answer, **how)
    server = uvicorn.Server(uvicorn.Config(about.app(), host="127.0.0.1", port=0, log_level="critical", ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    about.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/v1"
    try:
        yield about
    finally:
        server.should_exit = True
        thread.join()


WORDS = "yes no is there a an the in of left right lung heart effusion mass nodule chest head abdomen normal".split()


def write_tiny_model(folder: Path, seed: int = 0) -> Path:
    """A vision-language model of `transformers` with random weights: LLaVA with one layer of 32 on either side."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        CLIPImageProcessor,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
        PreTrainedTokenizerFast,
    )

    special = ["<unk>", "<pad>", "<s>", "</s>", "<image>"]
    vocabulary = {word: place for place, word in enumerate([*special, *WORDS])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.add_special_tokens(special)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="<unk>", pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**sizes, image_size=32, patch_size=16, projection_dim=32),
        text_config=LlamaConfig(
            **sizes, num_key_value_heads=2, vocab_size=len(vocabulary), bos_token_id=2, eos_token_id=3, pad_token_id=1
        ),
        image_token_index=vocabulary["<image>"],
        vision_feature_layer=-1,
        image_seq_length=4,
    )
    torch.manual_seed(seed)
    model = LlavaForConditionalGeneration(config)
    with torch.no_grad():  # as they are drawn, weights are too small for an image to change a word
        for parameter in model.parameters():
            parameter.mul_(4)
    template = (
        "{% for message in messages %}{% for part in message['content'] %}"
        "{% if part['type'] == 'image' %}<image> {% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endfor %}"
    )
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}),
        tokenizer=tokenizer,
        patch_size=16,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        image_token="<image>",
        chat_template=template,
    )
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def served_by(folder: Path, most: int = 4) -> Answers:
    """Answers of a model in a folder, one at a time, as a server of it gives them."""
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor, lock = AutoProcessor.from_pretrained(folder), threading.Lock()
    model = AutoModelForImageTextToText.from_pretrained(folder).eval()

    def answer(image: bytes, words: str) -> str:
        opened = Image.open(io.BytesIO(image)).convert("RGB")
        content = [{"type": "image", "image": opened}, {"type": "text", "text": words}]
        with lock, torch.inference_mode():
            inputs = processor.apply_chat_template(
                [{"role": "user", "content": content}],
                add_generation_prompt=True,
                tokenize=True,
                return_dict=True,
                return_tensors="pt",
            )
            written = model.generate(**inputs, max_new_tokens=most, do_sample=False)
        text: str = processor.decode(written[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        return text

    return answer
