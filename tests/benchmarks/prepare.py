"""`prepare` against a bare loop over the same files: run `python tests/benchmarks/prepare.py`.

Synthetic photos (JPEG; a few pictures under many names) are made into faces of 112 x 112: small ones of 256 x 256
(quality 95), whole, and large ones of 1600 x 1200 (quality 90) with a face of 500 x 500 in a box, exactly and with
`prepare.reduced_decoding`. The loop reads, decodes, cuts out, fits and writes an Arrow file for every 1024 faces, in
one process, one after the other, without hashes or checks, always at full size. `prepare` runs on a local Ray of 1 and
of 2 CPUs, whose start is counted apart: `seconds` are those of the call.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
from report import Target, emit, spread

SIZE, BLOCK_ROWS, BARE, REDUCED = 112, 1024, "bare loop", "1, reduced"
CLASSES = ("calm", "tense")
LABELS = """\
path: path
box: [left, top, right, bottom]
split: split
spaces:
  mood: {kind: multiclass, columns: mood}
"""


@dataclass(frozen=True)
class Photos:
    """A kind of photos: their sides, JPEG quality, the face's box in them, and how many different ones there are."""

    width: int
    height: int
    quality: int
    box: tuple[int, int, int, int]
    num_pictures: int
    ways: tuple[str, ...]


KINDS = {
    "small": Photos(256, 256, 95, (0, 0, 256, 256), 400, (BARE, "1", "2")),
    "large": Photos(1600, 1200, 90, (613, 227, 1113, 727), 40, (BARE, "1", REDUCED, "2")),
}


def make_photos(folder: Path, kind: Photos, count: int) -> None:
    """Photos, and the table of their labels."""
    rng, side = np.random.default_rng(0), min(kind.width, kind.height)
    for name in ("pictures", "data/photos"):
        (folder / name).mkdir(parents=True)
    for number in range(kind.num_pictures):
        coarse = rng.integers(0, 256, (24 * kind.height // side, 24 * kind.width // side, 3), dtype=np.uint8)
        picture: np.ndarray = cv2.resize(coarse, (kind.width, kind.height), interpolation=cv2.INTER_CUBIC)
        noise = rng.integers(0, 12, picture.shape, dtype=np.uint8)
        file = str(folder / "pictures" / f"{number}.jpg")
        cv2.imwrite(file, cv2.add(picture, noise), [cv2.IMWRITE_JPEG_QUALITY, kind.quality])
    lines = ["path,left,top,right,bottom,mood,split"]
    for number in range(count):
        name = f"photos/{number}.jpg"
        os.link(folder / "pictures" / f"{number % kind.num_pictures}.jpg", folder / "data" / name)
        split = "validation" if number % 20 == 0 else "train"
        lines.append(",".join(map(str, (name, *kind.box, CLASSES[number % 2], split))))
    (folder / "data" / "faces.csv").write_text("\n".join(lines) + "\n")
    (folder / "data" / "faces.yaml").write_text(LABELS)


def bare_loop(folder: Path, kind: Photos, out: Path) -> float:
    """Seconds of the loop."""
    cv2.setNumThreads(1)
    out.mkdir()
    left, top, right, bottom = kind.box
    files = sorted((folder / "data" / "photos").iterdir())
    started = time.perf_counter()
    for first in range(0, len(files), BLOCK_ROWS):
        part = files[first : first + BLOCK_ROWS]
        faces = np.empty((len(part), SIZE, SIZE, 3), np.uint8)
        for face, file in zip(faces, part, strict=True):
            image = cv2.imdecode(np.frombuffer(file.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
            assert image is not None, "it was written above"
            small = cv2.resize(image[top:bottom, left:right], (SIZE, SIZE), interpolation=cv2.INTER_AREA)
            cv2.cvtColor(small, cv2.COLOR_BGR2RGB, dst=face)
        column = pa.FixedSizeListArray.from_arrays(pa.array(faces.reshape(-1)), SIZE * SIZE * 3)
        table = pa.table({"image": column})
        with pa.ipc.new_file(str(out / f"{first}.arrow"), table.schema) as writer:
            writer.write_table(table)
    return time.perf_counter() - started


def run_prepare(folder: Path, out: Path, way: str) -> dict[str, float]:
    """Seconds of `prepare`, and of the start of Ray before it."""
    from abaw_ray.config import load_recipe
    from abaw_ray.preprocess.prepare import prepare
    from abaw_ray.ray_session import ray_session

    num_cpus, settings = int(way[0]), [f"prepare.block_rows={BLOCK_ROWS}"]
    if way == REDUCED:
        settings.append("prepare.reduced_decoding=true")
    before = time.perf_counter()
    with ray_session(num_cpus):
        started = time.perf_counter()
        prepare(load_recipe(None, settings), out, {"table": {"root": str(folder / "data")}})
        return {"seconds": time.perf_counter() - started, "start_of_ray": started - before}


def measure(way: str, name: str, folder: Path) -> dict[str, float]:
    """One run in a process of its own; what it writes is removed."""
    command = [sys.executable, __file__, "--way", way, "--kind", name, "--folder", str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=1200)
    return json.loads(done.stdout.splitlines()[-1])


def rates_of(name: str, count: int, repeats: int, ways: Sequence[str]) -> tuple[dict[str, list[float]], list[float]]:
    """Way -> images a second of each repeat, the ways by turns; and how long Ray took to start."""
    rates: dict[str, list[float]] = {way: [] for way in ways}
    starts = []
    with tempfile.TemporaryDirectory() as folder:
        make_photos(Path(folder), KINDS[name], count)
        for _ in range(repeats):
            for way, found in rates.items():
                run = measure(way, name, Path(folder))
                found.append(count / run["seconds"])
                starts += [run["start_of_ray"]] if "start_of_ray" in run else []
                print(f"{name}, {way}: {found[-1]:.0f} images/s", file=sys.stderr)
    return rates, starts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", type=int, default=150_000, help="photos; 0: none")
    parser.add_argument("--large", type=int, default=15_000, help="photos; 0: none")
    parser.add_argument("--repeats", type=int, default=2)
    for hidden in ("--way", "--kind", "--folder"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        folder, way = Path(arguments.folder), arguments.way
        with tempfile.TemporaryDirectory(dir=folder) as name:
            out = Path(name) / "out"
            bare = {"seconds": bare_loop(folder, KINDS[arguments.kind], out)} if way == BARE else None
            print(json.dumps(bare or run_prepare(folder, out, way)))
        return
    counts = {name: count for name in KINDS if (count := getattr(arguments, name))}
    results, targets = {}, []
    for name, count in counts.items():
        rates, starts = rates_of(name, count, arguments.repeats, KINDS[name].ways)
        found = {way: spread(runs) for way, runs in rates.items()}
        results[name] = {"images": count, "images_per_second": found, "start_of_ray": spread(starts)}
        medians = {way: of_way.median for way, of_way in found.items()}
        goals = [("1", BARE, 0.95), ("2", "1", 1.8), *([(REDUCED, BARE, 2.0)] if REDUCED in medians else [])]
        targets += [
            Target(f"{name} photos: prepare on {way} / {other}, images/s", medians[way] / medians[other], goal)
            for way, other, goal in goals
        ]
    emit("prepare", results, targets)


if __name__ == "__main__":
    main()
