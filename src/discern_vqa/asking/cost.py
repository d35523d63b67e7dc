"""What asking a model takes, counted before anything is sent. No torch here.

Requests, images and bytes are counted exactly. Tokens are estimated: of words by a quarter of the letters; of an image
between 256 (Gemma 3 and MedGemma, whatever its size) and one for 28 x 28 pixels (Qwen2.5-VL).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from discern_vqa.asking.requests import Interview, Request

_LETTERS, _FIXED, _PATCH = 4, 256, 28


@dataclass(frozen=True)
class Cost:
    """parts: the requests of each purpose; those that two purposes share are counted once in `requests`. bytes: of the
    images of what is to be asked now; most_written: tokens of its answers at most, 0: without a limit."""

    parts: Mapping[str, int]
    requests: int
    waiting: int
    images: int
    bytes: int
    text_tokens: int
    image_tokens: tuple[int, int]
    most_written: int

    def lines(self) -> list[str]:
        """To read in a terminal."""
        fewest, most = self.image_tokens
        written = f"at most {self.most_written:,} to be written" if self.most_written else "no limit to what is written"
        return [
            *(f"  {count:,} {purpose}" for purpose, count in self.parts.items()),
            f"{self.requests:,} requests, each sent once; {self.requests - self.waiting:,} are answered already, "
            f"{self.waiting:,} are to be asked",
            f"these show {self.images:,} different images ({self.bytes / 1e6:,.1f} MB as they are sent)",
            f"tokens, roughly: {self.text_tokens:,} of words, {fewest:,} to {most:,} of images; {written}",
        ]


def cost_of(parts: Mapping[str, Sequence[Request]], interview: Interview, max_tokens: int) -> Cost:
    """Opens every image that is to be sent. max_tokens: of an answer; 0: no limit."""
    every = [request for requests in parts.values() for request in requests]
    waiting = list(interview.open(every).values())
    digests = [interview.images.digest(request.shown) for request in waiting]
    shown = {digest: request.shown for digest, request in zip(digests, waiting, strict=True)}
    sizes = {digest: one.image().size for digest, one in shown.items()}
    lengths = {digest: len(one.png()) for digest, one in shown.items()}
    by_size = sum(max(1, sizes[one][0] * sizes[one][1] // _PATCH**2) for one in digests)
    fixed = _FIXED * len(digests)
    return Cost(
        parts={purpose: len(requests) for purpose, requests in parts.items() if requests},
        requests=len({interview.digest(request) for request in every}),
        waiting=len(digests),
        images=len(shown),
        bytes=sum(lengths[digest] for digest in digests),
        text_tokens=sum(len(request.prompt) for request in waiting) // _LETTERS,
        image_tokens=(min(fixed, by_size), max(fixed, by_size)),
        most_written=max_tokens * len(digests),
    )
