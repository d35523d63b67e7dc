"""What is said of a long command where nobody sees a bar: a line every ten seconds, with the time left."""

import pytest

from discern_vqa.commands import _output
from discern_vqa.durations import in_words
from discern_vqa.training import progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test turns; both places read it."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_training_says_step_loss_and_time_left(clock, capsys):
    with progress.Bar(epochs=2, quiet=False) as bar:
        bar.epoch(0, 10, 0)
        for step in range(1, 13):
            clock[0] += 4
            if step == 11:
                bar.epoch(1, 10, 0)
            bar.step({"loss": 2.0 / step} if step % 5 == 0 else None)
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines() if line.startswith("step")]
    assert lines == [
        "step 3 of 20    68 s left",
        "step 6 of 20  loss 0.4  56 s left",
        "step 9 of 20  loss 0.4  44 s left",
        "step 12 of 20  loss 0.2  32 s left",
    ]


def test_a_line_of_a_log_is_not_broken(clock, capsys):
    with progress.Bar(epochs=1, quiet=False) as bar:
        bar.epoch(0, 10, 0)
        for _ in range(4):
            clock[0] += 4
            bar.step({f"part {number}": 1.0 for number in range(20)})
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "step" in line)
    assert line.endswith("s left")


def test_a_quiet_training_says_nothing(clock, capsys):
    with progress.Bar(epochs=1, quiet=True) as bar:
        bar.epoch(0, 10, 0)
        for _ in range(10):
            clock[0] += 20
            bar.step({"loss": 1.0})
    assert capsys.readouterr().out == ""


def test_a_command_says_how_far_it_is_and_what_was_done_before_does_not_count_as_speed(clock, capsys):
    with _output.progress_bars() as update:
        update("answering", 600, 1000)
        clock[0] += 20
        update("answering", 700, 1000)
    assert capsys.readouterr().err == "answering: 700 of 1,000, 60 s left\n"


def test_times_are_words():
    assert [in_words(seconds) for seconds in (4, 89, 120, 5_000, 12_000)] == [
        "4 s",
        "89 s",
        "2 min",
        "83 min",
        "3 h 20 min",
    ]
