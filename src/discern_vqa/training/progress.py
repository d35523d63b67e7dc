"""What a person sees while a training runs: one bar over all epochs, and a line for each validation. Where the output
is no terminal, a line every ten seconds instead of the bar."""

import time
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from discern_vqa.durations import in_words
from discern_vqa.training.loop import Display

EVERY_S = 10.0


class Bar(Display):
    """A rich progress bar, or lines; silent when `quiet`."""

    def __init__(self, epochs: int, quiet: bool) -> None:
        self.epochs, self.quiet = epochs, quiet
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
            disable=quiet,
            transient=True,
        )
        self.task = self.bar.add_task("training", total=None, figures="")
        self.steps = self.total = 0
        self._figures = ""
        self._begun: tuple[float, int] | None = None  # when the first step ended, and how many there had been
        self._last_line = time.monotonic()

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.stop()

    def epoch(self, number: int, batches: int, done: int) -> None:
        self.total, self.steps = batches * self.epochs, batches * number + done
        self.bar.update(
            self.task,
            description=f"epoch {number + 1}/{self.epochs}",
            total=batches * self.epochs,
            completed=batches * number + done,
        )

    def step(self, figures: dict[str, float] | None) -> None:
        if figures is not None:
            self._figures = "  ".join(f"{name} {value:.3g}" for name, value in figures.items())
        self.bar.update(self.task, advance=1, figures=self._figures)
        self.steps += 1
        now = time.monotonic()
        if self._begun is None:
            self._begun = now, self.steps
        elif not self.bar.console.is_terminal and now - self._last_line >= EVERY_S:
            self._last_line = now
            start, before = self._begun
            left = (now - start) * (self.total - self.steps) / (self.steps - before)
            self.said(f"step {self.steps:,} of {self.total:,}  {self._figures}  {in_words(left)} left")

    def said(self, text: str) -> None:
        if not self.quiet:
            # In a terminal words wrap; in a log a line stays a line.
            self.bar.console.print(text, highlight=False, soft_wrap=not self.bar.console.is_terminal)
