"""What a recipe says of somebody else's model in [model], whatever it is that answers. No torch here."""

from typing import Literal

from pydantic import Field, field_validator

from discern_vqa.recipe_table import Table

QUESTION, CHOICES = "{question}", "{choices}"


class AskedTable(Table):
    """[model] of a recipe of `outside/`."""

    name: str
    """What answers: "outside.endpoint", "outside.function" or "outside.folder"."""
    longest_side: int = Field(1024, ge=16)
    """An image is made smaller, never larger, until its longer side has so many pixels; it is sent as PNG."""
    confidence: Literal["none", "verbal", "samples", "logprobs"] = "none"
    """Where the score of an answer comes from. `none`: it has none, and is not calibrated. `verbal`: the model is asked
    for a number from 0 to 100. `samples`: the share of `samples` answers that say the same. `logprobs`: the probability
    of the answer's tokens, which only an endpoint that returns `logprobs` can say."""
    samples: int = Field(5, ge=2, le=100)
    """How often each question is asked with `confidence = "samples"`; the model has to draw its answers at random."""

    @property
    def asked_times(self) -> int:
        """How often each question is asked for one answer."""
        return self.samples if self.confidence == "samples" else 1

    @property
    def has_score(self) -> bool:
        """Whether its answers have a score that can be calibrated."""
        return self.confidence != "none"

    @property
    def prompts(self) -> tuple[str, ...]:
        """What is asked, the recipe's own prompt first; the question alone where there is no prompt."""
        return (QUESTION,)

    @property
    def asks_confidence(self) -> bool:
        """Whether the prompt asks for a number."""
        return False


class WritingTable(AskedTable):
    """[model] of a model that writes text: an endpoint's or a folder's."""

    prompt: str = "{question}\nAnswer with one word or a short phrase."
    """What is asked: `{question}` stands for the question, `{choices}` for the answers that are offered, a line each
    with its letter. Where a question offers answers and there is no `{choices}`, they follow the question."""
    other_prompts: list[str] = []
    """Further prompts, with which every question of the evaluation split is asked too: how much the wording decides."""
    temperature: float = Field(0.0, ge=0, le=2)
    """How the model draws its words: 0 takes the likeliest."""
    max_tokens: int = Field(64, ge=0)
    """The longest answer in tokens; an answer that is cut off there is counted as such. 0: the model decides."""

    @property
    def prompts(self) -> tuple[str, ...]:
        return (self.prompt, *self.other_prompts)

    @property
    def asks_confidence(self) -> bool:
        return self.confidence == "verbal"

    @field_validator("prompt", "other_prompts")
    @classmethod
    def _hold_the_question(cls, given: str | list[str]) -> str | list[str]:
        for prompt in [given] if isinstance(given, str) else given:
            if QUESTION not in prompt:
                raise ValueError(f"expected {QUESTION} in the prompt {prompt!r}")
        return given
