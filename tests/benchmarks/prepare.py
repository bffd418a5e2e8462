"""`prepare` against a bare loop over the same files: run `python tests/benchmarks/prepare.py`.

Synthetic photos of 256 x 256 pixels (JPEG, quality 95; a few hundred pictures under many names) are made into faces of
112 x 112. The loop reads, decodes, fits and writes an Arrow file for every 1024 faces, in one process, one after the
other. `prepare` runs on a local Ray of 1 and of 2 CPUs, whose start is counted apart: `seconds` are those of the call.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
from report import Target, emit, spread

from abaw_ray.databases.reading.spaces import EXPRESSION

SIDE, SIZE, QUALITY = 256, 112, 95
NUM_PICTURES = 400
BLOCK_ROWS = 1024
BARE = "bare loop"


def make_photos(folder: Path, count: int) -> None:
    """Photos in the layout of the database `folder`."""
    rng = np.random.default_rng(0)
    pictures = folder / "pictures"
    pictures.mkdir(parents=True)
    for number in range(NUM_PICTURES):
        coarse = rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)
        picture = cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        noise = rng.integers(0, 12, picture.shape, dtype=np.uint8)
        cv2.imwrite(str(pictures / f"{number}.jpg"), cv2.add(picture, noise), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    for split in ("train", "validation"):
        for name in EXPRESSION.names:
            (folder / "data" / split / name).mkdir(parents=True)
    for number in range(count):
        place = folder / "data" / ("validation" if number % 20 == 0 else "train") / EXPRESSION.names[number % 7]
        os.link(pictures / f"{number % NUM_PICTURES}.jpg", place / f"{number}.jpg")


def bare_loop(folder: Path, out: Path) -> float:
    """Seconds of the loop."""
    cv2.setNumThreads(1)
    out.mkdir()
    files = sorted((folder / "data").rglob("*.jpg"))
    started = time.perf_counter()
    for first in range(0, len(files), BLOCK_ROWS):
        part = files[first : first + BLOCK_ROWS]
        faces = np.empty((len(part), SIZE, SIZE, 3), np.uint8)
        for face, file in zip(faces, part, strict=True):
            image = cv2.imdecode(np.frombuffer(file.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
            small = cv2.resize(image, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
            cv2.cvtColor(small, cv2.COLOR_BGR2RGB, dst=face)
        column = pa.FixedSizeListArray.from_arrays(pa.array(faces.reshape(-1)), SIZE * SIZE * 3)
        table = pa.table({"image": column})
        with pa.ipc.new_file(str(out / f"{first}.arrow"), table.schema) as writer:
            writer.write_table(table)
    return time.perf_counter() - started


def run_prepare(folder: Path, out: Path, num_cpus: int) -> dict[str, float]:
    """Seconds of `prepare`, and of the start of Ray before it."""
    from abaw_ray.config import load_recipe
    from abaw_ray.preprocess.prepare import prepare
    from abaw_ray.ray_session import ray_session

    before = time.perf_counter()
    with ray_session(num_cpus):
        started = time.perf_counter()
        recipe = load_recipe(None, [f"prepare.block_rows={BLOCK_ROWS}"])
        prepare(recipe, out, {"folder": {"root": str(folder / "data")}})
        return {"seconds": time.perf_counter() - started, "start_of_ray": started - before}


def measure(way: str, folder: Path) -> dict[str, float]:
    """One run in a process of its own; what it writes is removed."""
    command = [sys.executable, __file__, "--way", way, "--folder", str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=1200)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=150_000)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
            out, way = Path(name) / "out", arguments.way
            bare = {"seconds": bare_loop(arguments.folder, out)} if way == BARE else None
            print(json.dumps(bare or run_prepare(arguments.folder, out, int(way))))
        return
    with tempfile.TemporaryDirectory() as name:
        make_photos(Path(name), arguments.images)
        runs: dict[str, list[dict[str, float]]] = {BARE: [], "1": [], "2": []}
        for _ in range(arguments.repeats):
            for way, found in runs.items():
                found.append(measure(way, Path(name)))
    rates = {way: spread([arguments.images / run["seconds"] for run in found]) for way, found in runs.items()}
    starts = spread([run["start_of_ray"] for way in ("1", "2") for run in runs[way]])
    targets = [
        Target("prepare on 1 CPU / bare loop, images/s", rates["1"].median / rates[BARE].median, 0.85),
        Target("prepare on 2 CPUs / 1, images/s", rates["2"].median / rates["1"].median, 1.8),
    ]
    emit("prepare", {"images": arguments.images, "images_per_second": rates, "start_of_ray": starts}, targets)


if __name__ == "__main__":
    main()
