"""Thousands of broken picture files of every kind: what opening them gives, how long it takes, how much memory.

    python benchmarks/fuzz_images.py [--count 3000] [--seed 1] [--kinds png,dicom_j2k] [--json FILE]

Each kind is a process of its own. The seeds and mutations are those of the test (tests/_broken.py). Exit code 1 when
any file raised something other than an ImageError, took over 1 GiB, hung, or ended the process.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path.insert(0, str(TESTS))

from _broken import SEEDS  # noqa: E402


def main() -> int:
    """Runs the kinds one after the other and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kinds", default=",".join(SEEDS))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows, bad = [], False
    print(f"{'kind':16} {'files':>6} {'opened':>7} {'refused':>8} {'wrong':>6} {'slowest':>8} {'most memory':>12}")
    for kind in given.kinds.split(","):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, str(TESTS / "_broken.py"), kind, str(given.count), str(given.seed), folder]
            done = subprocess.run(command, capture_output=True, text=True, errors="replace")
        if done.returncode:
            print(f"{kind:16} the process ended with {done.returncode}: {done.stderr[-1500:]}")
            bad = True
            continue
        row = json.loads(done.stdout)
        rows.append(row)
        opened, refused = row["outcomes"].get("opened", 0), row["outcomes"].get("refused", 0)
        wrong = row["count"] - opened - refused
        bad = bad or wrong > 0 or row["most_gib"] >= 1
        print(
            f"{kind:16} {row['count']:6} {opened:7} {refused:8} {wrong:6} {row['slowest_s']:7.2f}s "
            f"{row['most_gib']:8.3f} GiB",
            flush=True,
        )
        for line in row["wrong"]:
            print(f"  {line}")
    if given.json:
        given.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
