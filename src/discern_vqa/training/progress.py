"""What a person sees while a training runs: one bar over all epochs, and a line for each validation."""

from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from discern_vqa.training.loop import Display


class Bar(Display):
    """A rich progress bar; silent when `quiet`. Where the output is no terminal, only the lines are printed."""

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

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.stop()

    def epoch(self, number: int, batches: int, done: int) -> None:
        self.bar.update(
            self.task,
            description=f"epoch {number + 1}/{self.epochs}",
            total=batches * self.epochs,
            completed=batches * number + done,
        )

    def step(self, figures: dict[str, float] | None) -> None:
        if figures is None:
            self.bar.advance(self.task)
        else:
            text = "  ".join(f"{name} {value:.3g}" for name, value in figures.items())
            self.bar.update(self.task, advance=1, figures=text)

    def said(self, text: str) -> None:
        if not self.quiet:
            self.bar.console.print(text, highlight=False)
