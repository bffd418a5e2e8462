"""Loading faces for training, ours and others': run `python tests/benchmarks/loading.py` (with the `bench` extra).

Drawn (synthetic) faces of 112 x 112 pixels, as JPEG files with a camera's noise, quality 95, are stored in every
contender's format. Each contender gives random batches of 64: as uint8 that a device could take, and as floats (zoom by
1.2, random crop, flip, normalisation) in two forms: augmented by torchvision's transforms image by image, as the
reference and most users of the peers do, and batch by batch with our functions, which compares the data paths alone.
`larger-blocks` are our store at 134 pixels, of which views are cut out without zoom.

All have the same two cores, warm files, and processes of their own, one after the other, in rounds; torch's threads
sleep while they wait, as loading needs the cores. The first round tries a contender in each of its ways to use the
cores; the fastest one for each form goes on to the rounds that count. A stream's first pass (or first seconds) is not
counted. Ray Data, LitData and WebDataset shuffle approximately and do not balance; the others draw the same balanced
rows as ours.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import torch
from loading_contenders import BATCH, CORES, Batches, Blocks, Contender, Form, LargerBlocks, Mode, Reference
from loading_images import SIDE, Faces, write_faces
from loading_peers import HuggingFace, LitData, Mosaic, RayData, WebDataset
from report import Spread, Target, emit, spread

PEERS = {"hf": HuggingFace, "mosaicml": Mosaic, "litdata": LitData, "webdataset": WebDataset}
KINDS: dict[str, type[Contender]] = {"blocks": Blocks, "larger-blocks": LargerBlocks, "ray": RayData, **PEERS}
CONTENDERS: dict[str, Contender] = {
    "reference": Reference("jpeg"),
    **{f"{name}-{encoding}": kind(encoding) for name, kind in KINDS.items() for encoding in ("raw", "jpeg")},
}
LIBRARIES = ("torchvision", "pillow", "datasets", "mosaicml-streaming", "litdata", "webdataset")
FLOATS = (torch.float32, (BATCH, 3, SIDE, SIDE))
SHAPES: dict[Form, Any] = {
    "uint8": (torch.uint8, (BATCH, SIDE, SIDE, 3)),
    "float": FLOATS,
    "transforms": FLOATS,
}
LIMIT_SECONDS = 300  # of a contender's process


def rate(batches: Batches, num_images: int, seconds: float) -> float:
    """Images a second, after one pass or `seconds`, whichever ends first."""
    started = time.perf_counter()
    for _ in islice(batches, max(1, num_images // BATCH)):
        if time.perf_counter() - started > seconds:
            break
    started, taken = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - started) < seconds:
        taken += len(next(batches))
    return taken / elapsed


def run(name: str, modes: list[Mode], folder: Path, seconds: float) -> None:
    """Measures one contender in this process, in a mode for each of its forms, and prints its rates."""
    torch.set_num_threads(CORES)
    cv2.setNumThreads(1)
    faces = Faces(folder / "faces")
    rates = {}
    for form, mode in zip(CONTENDERS[name].forms, modes, strict=True):
        dtype, shape = SHAPES[form]
        batches = CONTENDERS[name].batches(faces, folder / name, mode, form)
        first = next(batches)
        if first.dtype != dtype or sorted(first.shape) != sorted(shape):
            raise ValueError(f"{name}: batches of {first.dtype} {tuple(first.shape)}, expected {dtype} {shape}")
        rates[form] = rate(batches, len(faces), seconds)
        del batches
    print(json.dumps(rates))


def child(folder: Path, *arguments: str) -> str:
    """Runs this script with `arguments` in a process of its own and gives its last line of JSON."""
    line = [sys.executable, __file__, "--folder", str(folder), *arguments]
    environment = os.environ | {"OMP_WAIT_POLICY": "passive"}
    done = subprocess.run(line, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False, env=environment)
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)} failed:\n{done.stderr[-3000:]}")
    return next((line for line in reversed(done.stdout.splitlines()) if line.startswith("{")), "")


def compare(folder: Path, names: list[str], repeats: int, seconds: float) -> tuple[dict[str, Any], dict[str, str]]:
    """Rates of every contender: in each of its modes in the first round, then in the best one of each form.

    Returns:
        What was measured of each, and the message of those that failed in the first round.
    """

    def measure(name: str, modes: list[Mode]) -> dict[str, float]:
        found: dict[str, float] = json.loads(child(folder, "--run", name, *modes, "--seconds", str(seconds)))
        rates = ", ".join(f"{r:.0f} {form} ({mode})" for mode, (form, r) in zip(modes, found.items(), strict=True))
        print(f"{name}: {rates}", file=sys.stderr)
        return found

    tried: dict[str, dict[Mode, dict[str, float]]] = {}
    failed: dict[str, str] = {}
    for name in names:
        try:
            child(folder, "--write", name)
            tried[name] = {mode: measure(name, [mode] * len(CONTENDERS[name].forms)) for mode in CONTENDERS[name].modes}
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            print(f"{name}: {error}", file=sys.stderr)
            failed[name] = str(error)
    best = {n: [max(modes, key=lambda m: modes[m][form]) for form in CONTENDERS[n].forms] for n, modes in tried.items()}
    rates: defaultdict[str, list[dict[str, float]]] = defaultdict(list)
    for _ in range(repeats):
        for name in tried:
            rates[name].append(measure(name, best[name]))
    measured = {
        name: {
            **{f"{form}_per_second": spread([r[form] for r in rates[name]]) for form in CONTENDERS[name].forms},
            "modes": dict(zip(CONTENDERS[name].forms, best[name], strict=True)),
            "tried": tried[name],
        }
        for name in tried
    }
    return measured, failed


def targets(results: dict[str, dict[str, Any]]) -> list[Target]:
    """The ratios that should be reached, of those whose contenders were measured."""

    def median(name: str, form: Form) -> float | None:
        found: Spread | None = results.get(name, {}).get(f"{form}_per_second")
        return found.median if found else None

    def best(encoding: str, form: Form) -> float | None:
        names = [f"{peer}-{encoding}" for peer in PEERS] + ["ray-jpeg"] * (encoding == "jpeg")
        return max((m for name in names if (m := median(name, form))), default=None)

    reference = median("reference", "transforms")
    raw, jpeg = median("blocks-raw", "float"), median("blocks-jpeg", "float")
    wanted = [
        ("raw blocks to float, over the best peer with transforms", raw, best("raw", "transforms"), 3.0),
        ("raw blocks to float, over the best peer with our functions", raw, best("raw", "float"), 3.0),
        ("raw blocks to float, over the reference", raw, reference, 25.0),
        ("raw blocks to uint8, over the reference's floats", median("blocks-raw", "uint8"), reference, 100.0),
        ("raw blocks stored larger, to float, over zoomed ones", median("larger-blocks-raw", "float"), raw, 1.3),
        ("jpeg blocks to float, over the reference", jpeg, reference, 4.0),
        ("jpeg blocks to float, over the best peer with transforms", jpeg, best("jpeg", "transforms"), 1.5),
        ("jpeg blocks to float, over the best peer with our functions", jpeg, best("jpeg", "float"), 1.5),
    ]
    return [Target(name, ours / theirs, goal) for name, ours, theirs, goal in wanted if ours and theirs]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=8000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.5, help="of one measurement")
    parser.add_argument("--contenders", nargs="+", choices=list(CONTENDERS), default=list(CONTENDERS))
    for hidden, count in (("--folder", None), ("--write", None), ("--run", "+")):
        parser.add_argument(hidden, nargs=count, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        run(arguments.run[0], arguments.run[1:], Path(arguments.folder), arguments.seconds)
        return
    if arguments.write:
        folder = Path(arguments.folder)
        CONTENDERS[arguments.write].write(Faces(folder / "faces"), folder / arguments.write)
        return
    cores = sorted(os.sched_getaffinity(0))[:CORES]
    os.sched_setaffinity(0, cores)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_faces(folder / "faces", arguments.images)
        results, failed = compare(folder, arguments.contenders, arguments.repeats, arguments.seconds)
    settings = {"num_images": arguments.images, "batch": BATCH, "cores": len(cores), "seconds": arguments.seconds}
    emit("loading", {**settings, "contenders": results, "failed": failed}, targets(results), LIBRARIES)
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    main()
