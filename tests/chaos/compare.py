"""What a disturbed command left, compared with what an undisturbed one did."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file

TIMES = ("seconds", "waiting")
"""Fields of an epoch that are never the same."""


def files_of(folder: Path) -> dict[str, str]:
    """Path -> hash of every file below a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def store_differences(store: Path, other: Path) -> str:
    """How a store differs from an undisturbed one: its hash, any byte of its files, files too many or too few."""
    found, expected = files_of(other), files_of(store)
    hashes = [json.loads((folder / "manifest.json").read_text())["content_hash"] for folder in (store, other)]
    lost = ["content hash"] if hashes[0] != hashes[1] else []
    # where databases lie is in the manifest
    lost += [name for name in sorted(expected.keys() | found.keys()) if _differs(name, expected, found)]
    return ", ".join(lost)


def _differs(name: str, expected: dict[str, str], found: dict[str, str]) -> bool:
    if name == "manifest.json":
        return (name in expected) != (name in found)
    return expected.get(name) != found.get(name)


def run_differences(run: Path, other: Path) -> str:
    """How a run differs from an undisturbed one: epochs' log lines, scores, weights, what is left in its folder."""
    lost = []
    if epochs_of(run) != epochs_of(other):
        lost.append("metrics.jsonl")
    ends = [json.loads((folder / "run.json").read_text()) for folder in (run, other)]
    lost += [key for key in ("best", "last", "best_criterion", "scores", "num_steps") if ends[0][key] != ends[1][key]]
    for name in sorted({ends[0]["best"], ends[0]["last"]}):
        if not same_weights(run / name, other / name):
            lost.append(f"weights of {name}")
    lost += [f"left: {path.name}" for path in other.rglob("*") if path.name.startswith(".unfinished-")]
    lost += [f"left: {name}" for name in ("steps", ".writer.json") if (other / name).exists()]
    return ", ".join(lost)


def same_weights(checkpoint: Path, other: Path) -> bool:
    """Whether two checkpoints have the same weights to the bit."""
    files = [folder / "model.safetensors" for folder in (checkpoint, other)]
    if not all(file.is_file() for file in files):
        return False
    one, another = (load_file(file) for file in files)
    return one.keys() == another.keys() and all((one[key] == another[key]).all() for key in one)


def epochs_of(run: Path) -> list[dict[str, Any]]:
    """The log lines of a run, without what took how long."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in TIMES} for line in lines]


def sweep_results(sweep: Path) -> dict[str, list[Any]]:
    """What a sweep found: parameters -> criterion of every epoch of each trial; and of the best one trained again."""
    found: dict[str, list[Any]] = {}
    for record in sorted((sweep / "trials").glob("*.json")):
        parameters = json.dumps(json.loads(record.read_text())["parameters"], sort_keys=True)
        criteria = [line["criterion"] for line in epochs_of(record.with_suffix(""))]
        found.setdefault(parameters, []).append(criteria)
    again = [json.loads(file.read_text()) for file in sorted((sweep / "retrained").glob("*/run.json"))]
    found["retrained"] = sorted([run["best_criterion"]] for run in again)
    return {key: sorted(values) for key, values in found.items()}


def sweep_differences(sweep: Path, other: Path) -> str:
    """How what a sweep found differs from what an undisturbed one did."""
    expected, found = sweep_results(sweep), sweep_results(other)
    return ", ".join(key for key in sorted(expected.keys() | found.keys()) if expected.get(key) != found.get(key))
