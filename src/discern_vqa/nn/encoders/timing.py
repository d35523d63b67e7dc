"""The encoders of a model under `--profile`: what each of their passes takes."""

from typing import Any

from torch import nn

from discern_vqa.timers import Timers, running


def time_encoders(image: nn.Module, text: nn.Module) -> None:
    """Times the passes of the two encoders, and of copies that are made of them later. Without `--profile` nothing is
    done to them."""
    if running() is not None:
        for module, name in ((image, "image encoder"), (text, "text encoder")):
            _time(module, name)


def _time(module: nn.Module, name: str) -> None:
    begun: list[Timers] = []  # passes of one thread come one after the other, and end even where they fail

    def begin(*_: Any) -> None:
        if (timers := running()) is not None:
            timers.begin(name)
            begun.append(timers)

    def end(*_: Any) -> None:
        if begun and running() is begun[-1]:
            begun.pop().end()

    module.register_forward_pre_hook(begin)
    module.register_forward_hook(end, always_call=True)
