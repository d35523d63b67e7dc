"""`discern demo`: the whole road on phantoms, offline: draw, audit, pre-train, fine-tune, evaluate, report, ask."""

import json
import time
from pathlib import Path

from discern_vqa.audit import as_text, audit
from discern_vqa.config import read_recipe
from discern_vqa.data.answers import Answer
from discern_vqa.datasets import phantom
from discern_vqa.evaluation.evaluate import evaluate
from discern_vqa.evaluation.opening import open_run
from discern_vqa.lock import locked
from discern_vqa.paths import find_recipe
from discern_vqa.report.page import write_report
from discern_vqa.report.terminal import as_table
from discern_vqa.training.train import train

RECIPE = Path("cmdpi/demo.toml")


def run(out: Path, recipe: Path = RECIPE) -> None:
    """Makes `out/phantom` (the set), `out/run` (the model and its scores) and `out/report/index.html`.

    What is already there is kept, so a demo that was stopped goes on where it was. Raises RunError when nothing can be
    written there, or another command is at work in it: before anything is drawn.
    """
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - started:5.0f} s] {text}", flush=True)

    recipe = find_recipe(recipe)
    root, folder = out / "phantom", out / "run"
    with locked(out):
        if not (root / "samples.jsonl").is_file():
            draw = read_recipe(recipe).data.draw
            regions = ", ".join(draw.get("regions", phantom.REGIONS))
            say(f"drawing {sum(draw['counts'].values()):,} phantoms ({regions}) with exact answers and masks")
            phantom.draw(root, **draw)
            phantom.contact_sheet(root, "test", out / "phantoms.png")
        say("audit of what was drawn")
        figures = audit({split: phantom.read(root, split) for split in ("train", "validation", "test")})
        print(as_text(figures).split("\n\n")[0])
        say("training CMDPI: co-regularised pre-training, then fine-tuning")
        train(recipe, data=root, out=folder, resume=True)
        say("evaluating on the test split, beside baselines and controls")
        print(as_table(evaluate(folder, say=lambda text: None)))
        report = write_report(folder, out / "report")
        say(f"report: {report}")
        _ask(folder, root)
        say("done. Research software: not for diagnosis.")


def _ask(folder: Path, root: Path) -> None:
    sample = next(sample for sample in phantom.read(root, "test") if sample.mask)
    answer = open_run(folder).ask(sample.path, sample.question)
    print(f"\n$ discern ask {folder} {sample.path} {json.dumps(sample.question)}")
    print(f"{answer.text}, {sureness(answer)}; true answer: {sample.answer}\n")


def sureness(answer: Answer) -> str:
    """What the number beside an answer means: a calibrated confidence, or a bare score, which promises nothing."""
    if answer.judged is not None:
        rather = ", so it would rather not answer" if answer.judged.abstains else ""
        return f"calibrated confidence {answer.judged.confidence:.2f}{rather}"
    return f"score {answer.score:.2f} (not calibrated: no probability of being right)"
