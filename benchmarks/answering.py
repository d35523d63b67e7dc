"""How much faster questions are answered than by an earlier version, and whether the answers are the same.

    git worktree add /tmp/before f7ab047
    python benchmarks/answering.py RUN questions.csv --before /tmp/before

RUN is a run that both versions open; the table has columns `image` and `question`. Each version answers it in processes
of its own, with a cache that nothing is in, on one thread; all times are seconds of the processor, since other work
may go on beside it. The versions take turns, and of each the fastest round counts.

    answered       the table by an open model, images and questions new to it
    again          the same table once more: images and questions are known
    other words    the same images, questions that are new to it
    ask            one question about a known image, ms
    command        `discern ask` from its start to its end, and as a multiple of `import torch`
"""

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parents[1]
BETWEEN = 1e-4
"""Scores may differ by so much; they are written with four digits, so by half of the last of both more."""

ASKED = 9
"""So many single questions are asked; their median counts."""

PROGRAM = """
import json, statistics, sys, time
from pathlib import Path

run, table, others, out, without = sys.argv[1:]
for name in filter(None, without.split(",")):
    sys.modules[name] = None
now = time.process_time
began = now()
import torch

torch.set_num_threads(1)
told = {"import torch": now() - began}
began = now()
try:
    from discern_vqa.evaluation.opening import open_run
except ImportError:
    from discern_vqa.evaluation.predict import Predictor

    open_run = Predictor.open
predictor = open_run(Path(run))
told["opened"] = now() - began
for name, file in (("answered", table), ("again", table), ("other words", others)):
    began = now()
    told["n"] = predictor.predict_file(Path(file), Path(out))
    told[name] = now() - began
    if name == "answered":
        lines = [json.loads(line) for line in Path(out).read_text().splitlines()]
        told["answers"] = [[line["prediction"], line["score"]] for line in lines]
row = json.loads(Path(table).read_text().splitlines()[0])
times = []
for number in range(ASKED):
    began = now()
    predictor.ask(Path(row["image"]), f"{row['question']} {number}")
    times.append(now() - began)
told["ask"] = 1000 * statistics.median(times)
print(json.dumps(told))
"""


def measured(source: Path, arguments: list[str], cache: Path) -> dict[str, Any]:
    """What `PROGRAM` says in a checkout."""
    program = PROGRAM.replace("ASKED", str(ASKED))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, *arguments], env=_env(source, cache), capture_output=True
    )
    if done.returncode:
        sys.exit(f"{source}: {done.stderr.decode()[-2000:]}")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def command_seconds(source: Path, words: list[str], cache: Path) -> float:
    """Processor time of a whole process of Python, in s."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *words], env=_env(source, cache), capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def _env(source: Path, cache: Path) -> dict[str, str]:
    more = {"PYTHONPATH": str(source / "src"), "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(cache)}
    return os.environ | more


def tables(questions: Path, folder: Path, limit: int) -> tuple[Path, Path]:
    """The table as JSON Lines that every version reads, and with other questions about the same images."""
    with open(questions, newline="", encoding="utf-8") as opened:
        rows = list(csv.DictReader(opened))[: limit or None]
    lines = [{"image": str((questions.parent / row["image"]).resolve()), "question": row["question"]} for row in rows]
    files = folder / "questions.jsonl", folder / "others.jsonl"
    for file, more in zip(files, ("", "in this image: "), strict=True):
        texts = [json.dumps(line | {"question": more + line["question"]}) for line in lines]
        file.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return files


def compare(before: list[list[Any]], after: list[list[Any]]) -> str:
    """How far two lists of answers with scores are apart."""
    other = sum(one[0] != two[0] for one, two in zip(before, after, strict=True))
    apart = max(abs(one[1] - two[1]) for one, two in zip(before, after, strict=True))
    verdict = "the same" if not other and apart <= 2 * BETWEEN else "NOT THE SAME"
    return f"{verdict}: {other} of {len(before)} answers differ, scores by at most {apart:.4f} (as written)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("questions", type=Path, help="a CSV table with the columns image and question")
    parser.add_argument("--before", type=Path, required=True, help="a checkout of the earlier version")
    parser.add_argument("--limit", type=int, default=0, help="only so many rows")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--out", type=Path, help="where the figures are kept, as JSON")
    given = parser.parse_args()
    versions = {
        "before": (given.before, ""),
        "now": (HERE, ""),
        "now, torch alone": (HERE, "onnxruntime"),
    }
    best: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table, others = tables(given.questions, folder, given.limit)
        for round_ in range(given.rounds):
            for version, (source, without) in versions.items():
                arguments = [str(given.run), str(table), str(others), str(folder / f"{version}.out.jsonl"), without]
                told = measured(source, arguments, folder / f"cache-{version}-{round_}")
                row = json.loads(table.read_text(encoding="utf-8").splitlines()[0])
                ask = ["-m", "discern_vqa", "ask", str(given.run), row["image"], row["question"]]
                bare = command_seconds(source, ["-c", "import torch"], folder)
                told["command"] = command_seconds(source, ask, folder / f"cache-{version}-{round_}")
                told["command / import torch"] = told["command"] / bare
                earlier = best.setdefault(version, told)
                best[version] = {
                    key: min(value, earlier[key]) if isinstance(value, float) else value for key, value in told.items()
                }
    count = best["before"]["n"]
    print(f"{count} questions, seconds of one thread of {_processor()}, best of {given.rounds}\n")
    keys = [key for key, value in best["before"].items() if isinstance(value, float)]
    print("| | before | now | times | now, torch alone | times |\n|---|---|---|---|---|---|")
    for key in keys:
        old, new, bare = (best[version][key] for version in versions)
        print(f"| {key} | {old:.2f} | {new:.2f} | {old / new:.1f} | {bare:.2f} | {old / bare:.1f} |")
    for version in list(versions)[1:]:
        print(f"{version}: {compare(best['before']['answers'], best[version]['answers'])}")
        print(f"{version}: {count / best[version]['again']:.0f} questions a second about known images")
    if given.out:
        figures = {version: {key: told[key] for key in [*keys, "n"]} for version, told in best.items()}
        given.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.is_file() else []
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "this processor")


if __name__ == "__main__":
    main()
