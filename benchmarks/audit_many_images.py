"""How much time and memory an audit of very many images takes: draws a set in a temporary folder and audits it.

    nice -n 19 python benchmarks/audit_many_images.py --images 100000

The set: smooth random pictures of 64 x 64 greys as JPEG, one question each, nine in ten in train; every hundredth test
image is a train image drawn again (another size and JPEG quality, a border, another contrast), which the audit has to
find. Printed: seconds of the first run and of the second, which reads the cache; processor seconds; the peak of the
resident memory of all processes together, sampled twenty times a second, shared pages counted once per process; and
how many of the planted copies were found. Linux only: memory is read from /proc.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

SIDE = 64
EVERY = 100  # test images that are copies


def picture(number: int) -> Image.Image:
    """A smooth random field with some grain, different for each number."""
    rng = np.random.default_rng(number)
    coarse = Image.fromarray(rng.integers(0, 256, (7, 7), dtype=np.uint8)).resize(
        (SIDE, SIDE), Image.Resampling.BICUBIC
    )
    values = np.asarray(coarse, np.float32) + rng.normal(0, 6, (SIDE, SIDE))
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def copy_of(number: int) -> Image.Image:
    """The same picture as another program might have saved it."""
    drawn = picture(number)
    kind = number % 3
    if kind == 0:
        return drawn.resize((SIDE * 3 // 4, SIDE * 3 // 4), Image.Resampling.LANCZOS)
    if kind == 1:
        return ImageOps.expand(drawn.resize((2 * SIDE, 2 * SIDE), Image.Resampling.BICUBIC), SIDE // 5, 0)
    return drawn.point(lambda grey: round(255 * (grey / 255) ** 0.8))


def draw(folder: Path, images: int) -> int:
    """Writes the set; returns how many test images are copies."""
    (folder / "images").mkdir()
    copies = 0
    with open(folder / "samples.jsonl", "w", encoding="utf-8") as file:
        for number in range(images):
            split = "test" if number % 10 == 9 else "train"
            is_copy = split == "test" and number // 10 % EVERY == 0
            drawn = copy_of(number - 1) if is_copy else picture(number)
            copies += is_copy
            name = f"images/{number:07}.jpg"
            drawn.save(folder / name, quality=60 if is_copy else 85)
            line = {"image": name, "split": split, "question": f"Is there a mass in area {number % 50}?"}
            file.write(json.dumps(line | {"answer": ("yes", "no")[number % 2], "answer_type": "closed"}) + "\n")
    return copies


def memory_of_tree(root: int) -> int:
    """Resident bytes of a process and its children."""
    parents: dict[int, int] = {}
    sizes: dict[int, int] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
                parents[int(entry)] = int(fields[1])
                sizes[int(entry)] = int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
            except (OSError, IndexError):
                continue  # it ended while we looked
    tree = {root}
    while grown := {child for child, parent in parents.items() if parent in tree} - tree:
        tree |= grown
    return sum(sizes.get(one, 0) for one in tree)


def run(folder: Path, cache: Path) -> dict[str, float]:
    """One audit in a process of its own."""
    command = [sys.executable, "-m", "discern_vqa", "data", "audit", "jsonl", str(folder)]
    command += ["--json", str(folder / "audit.json"), "--html", str(folder / "audit.html")]
    before, started, peak = os.times(), time.monotonic(), 0
    process = subprocess.Popen(command, env=os.environ | {"XDG_CACHE_HOME": str(cache)}, stdout=subprocess.DEVNULL)
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.05):
            peak = max(peak, memory_of_tree(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = process.wait()
    done.set()
    watcher.join()
    after = os.times()
    if code not in (0, 1):
        sys.exit(f"the audit ended with {code}")
    spent = after.children_user - before.children_user + after.children_system - before.children_system
    return {"seconds": time.monotonic() - started, "processor_seconds": spent, "peak_mib": peak / 2**20}


def main() -> None:
    """Draws, audits twice, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100_000)
    images = parser.parse_args().images
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "set"
        folder.mkdir()
        copies = draw(folder, images)
        print(f"{images:,} images, {copies:,} copies of train images in test", flush=True)
        for which in ("first", "second"):
            figures = run(folder, Path(name) / "cache")
            print(which, {key: round(value, 1) for key, value in figures.items()}, flush=True)
        across = json.loads((folder / "audit.json").read_text())["near"]["across"]["test in train"]
        wanted = {f"images/{number:07}.jpg" for number in range(9, images, 10 * EVERY)}
        found = {pair["image"] for pair in across["pairs"]}
        print(f"found {len(found & wanted)} of {len(wanted)} copies, and {len(found - wanted)} other images")


if __name__ == "__main__":
    main()
