"""--profile: where the time of a training, of a table of answers and of an evaluation went.

The clock of these tests stands still but for the parts that are made slow, so that every figure is exact.
"""

import os
import re
import threading
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
from accelerate import Accelerator

from discern_vqa import cli, timers
from discern_vqa.bases import ObjectiveBase
from discern_vqa.data.batch import Batcher
from discern_vqa.models.cmdpi import Model
from discern_vqa.nn.encoders.tiny import TinyImage, TinyText
from discern_vqa.timers import profiling, timed, timed_each
from discern_vqa.training import muon, state


class Clock:
    """Stands still until somebody waits; remembers for what was waited."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.waited, self.monkeypatch = 0.0, Counter[str](), monkeypatch
        monkeypatch.setattr(timers, "time", SimpleNamespace(perf_counter=lambda: self.now))

    def wait(self, seconds: float, name: str = "") -> None:
        self.now += seconds
        self.waited[name] += seconds

    def slow_down(self, owner: object, function: str, seconds: float, name: str) -> None:
        """`function` of `owner` takes `seconds` more, which should count for `name`."""
        plain = getattr(owner, function)

        def slowed(*given, **named):
            self.wait(seconds, name)
            return plain(*given, **named)

        self.monkeypatch.setattr(owner, function, slowed)


@pytest.fixture
def clock(monkeypatch) -> Clock:
    return Clock(monkeypatch)


def seconds_of(table: str) -> dict[str, tuple[float, int]]:
    """name -> seconds and percent"""
    rows = re.findall(r"^(\S.*?) +(\d+\.\d\d) +(\d+)%$", table, re.MULTILINE)
    return {name: (float(taken), int(share)) for name, taken, share in rows}


def test_each_second_counts_once_and_for_the_innermost_span(clock):
    with profiling() as measured:
        with timed("outer"):
            clock.wait(1)
            with timed("inner"):
                clock.wait(4)
            clock.wait(1)
        assert list(timed_each("waiting", (clock.wait(3) for _ in range(1)))) == [None]
        with pytest.raises(ValueError, match="stops"), timed("outer"):
            raise ValueError("stops")
        clock.wait(1)
    clock.wait(100)
    assert seconds_of("\n".join(measured.lines())) == {
        "inner": (4, 40), "waiting": (3, 30), "outer": (2, 20), "everything else": (1, 10), "whole": (10, 100),
    }  # fmt: skip


def test_off_nothing_is_kept_and_other_threads_do_not_count():
    assert timed("anything") is timed("something else"), "one object that does nothing"
    with profiling() as measured:
        other = threading.Thread(target=lambda: timed("other").__enter__())
        other.start()
        other.join()
    assert not measured.seconds
    assert timers.running() is None


def test_a_slow_part_of_each_command_counts_under_its_name(clock, tiny_run: Path, tmp_path: Path, capfd):
    root = tiny_run.parent
    for owner, function, seconds, name in [
        (Batcher, "batch", 1, "data"),
        (Batcher, "inputs", 2, "data"),
        (TinyImage, "forward", 3, "image encoder"),
        (TinyText, "forward", 5, "text encoder"),
        (Model, "fuse", 7, "forward"),
        (Accelerator, "backward", 11, "backward"),
        (ObjectiveBase, "after_step", 13, "optimiser"),
        (muon, "orthogonal", 17, "Muon"),
        (state, "save_file", 19, "saving"),
        (os, "fsync", 23, "saving"),
    ]:
        clock.slow_down(owner, function, seconds, name)

    def profile(*arguments: str) -> dict[str, float]:
        clock.waited.clear()
        capfd.readouterr()
        assert cli.main([*arguments, "--profile"]) == 0
        told = {name: seconds for name, (seconds, _) in seconds_of(capfd.readouterr().err).items()}
        assert told.pop("whole") == clock.waited.total()
        return {name: seconds for name, seconds in told.items() if seconds}

    # One batch, since the thread that makes a second one works while the first is learned from.
    changed = ["--set", "optim.batch=5000", "--set", "optim.optimizer=muon", "--out", str(tmp_path / "run")]
    trained = profile("train", str(root / "tiny.toml"), "--data", str(root / "phantoms"), *changed)
    assert trained == dict(clock.waited)
    assert {*trained} == {
        "data", "image encoder", "text encoder", "forward", "backward", "optimiser", "Muon", "saving",
    }  # fmt: skip

    picture = next((root / "phantoms").rglob("*.png"))
    (tmp_path / "asked.csv").write_text(f"image,question\n{picture},is there a mass\n", encoding="utf-8")
    answered = profile("predict", str(tiny_run), str(tmp_path / "asked.csv"), "--out", str(tmp_path / "a.csv"))
    assert answered["saving"] == 3 * 23, "the journal's first line, its one row, and the table of answers"
    assert {"data", "image encoder", "text encoder", "forward"} <= {*answered}

    judged = profile("evaluate", str(tiny_run), "--no-baselines")
    assert judged["image encoder"] == clock.waited["image encoder"]
    assert judged["heat maps"] > 0, "what draws them, apart from the encoders"
