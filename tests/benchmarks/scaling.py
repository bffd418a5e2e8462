"""How prepare and training scale over nodes: run `python tests/benchmarks/scaling.py`.

Clusters of one and of two workers with a CPU each (cluster/local.py), one after the other, prepare the same synthetic
databases and train the same steps with as many DDP workers as nodes. Printed as JSON: seconds of both, and the ratio of
one worker's to two workers'. Prepare includes the job's start; training is counted in its epochs after the first.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from report import emit

from abaw_ray.config import load_recipe
from abaw_ray.paper.steps import DATABASES
from abaw_ray.synthetic import generate

ROOT = Path(__file__).parents[2]
SETS = "sampling.sets=[mixed_expr, mixed_va, expr_va]"


def harness() -> Any:
    """The module cluster/local.py."""
    spec = importlib.util.spec_from_file_location("local_cluster_harness", ROOT / "cluster" / "local.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def command(environment: dict[str, str], *arguments: str | Path) -> float:
    """Seconds of a command on the cluster."""
    started = time.perf_counter()
    line = [sys.executable, "-m", "abaw_ray", *map(str, arguments)]
    subprocess.run(line, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def measure(num_workers: int, data: Path, out: Path, epochs: int) -> dict[str, float]:
    """Seconds of prepare, and of an epoch, on a cluster with so many workers."""
    roots = [f"--database={name}={data / name}" for name in DATABASES]
    train = ["--recipe", "demo", "--set", f"train.epochs={epochs}", "--set", SETS, "--workers", str(num_workers)]
    with harness().local_cluster(num_nodes=1 + num_workers, cpus=1) as cluster:
        prepare = command(cluster.environment, "prepare", out / "store", "--recipe", "demo", *roots)
        command(cluster.environment, "train", "--store", out / "store", "--out", out / "run", *train)
    lines = (out / "run" / "metrics.jsonl").read_text().splitlines()[1:]
    return {"prepare": prepare, "epoch": sum(json.loads(line)["seconds"] for line in lines) / len(lines)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="small", help="of the databases: tiny, small or medium")
    parser.add_argument("--epochs", type=int, default=4)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        generate(folder / "data", load_recipe("demo").seed, arguments.size)
        by_workers = {n: measure(n, folder / "data", folder / str(n), arguments.epochs) for n in (1, 2)}
    ratios = {part: by_workers[1][part] / by_workers[2][part] for part in by_workers[1]}
    result = {"size": arguments.size, "cores": os.cpu_count(), "seconds_by_workers": by_workers, "ratios": ratios}
    emit("scaling", result, [])


if __name__ == "__main__":
    main()
