"""Sweeps and generations that are killed with all their processes, and gone on with."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

from base import Inputs, Try, fault, outcome
from commands import Command, run
from compare import files_of, sweep_differences

TRIALS = 3

SPACE = """
from ray import tune

def space():
    return {"train.learning_rate": tune.loguniform(1e-4, 1e-2)}
"""


def sweep_of(inputs: Inputs, out: Path, trials: int = TRIALS) -> list[str]:
    """A sweep without early stopping, so that its trials do not depend on which comes first."""
    space = inputs.folder / "chaos_space.py"
    space.write_text(SPACE)
    options = ["--space", str(space), "--trials", str(trials), "--scheduler", "none", "--store", str(inputs.store)]
    return ["tune", *options, "--recipe", str(inputs.recipe), "--out", str(out)]


def num_epochs(out: Path) -> int:
    """Epochs that all runs below a folder have logged."""
    return sum(len(file.read_text().splitlines()) for file in out.rglob("metrics.jsonl"))


@fault("a sweep killed with all its processes, and gone on with by --resume", times=2)
def sweep_killed(inputs: Inputs, rng: random.Random, times: int) -> Iterator[Try]:
    whole = inputs.undisturbed("sweep", lambda folder: sweep_of(inputs, folder))
    total = num_epochs(whole)
    for _ in range(times):
        folder, wanted = inputs.new("sweep"), rng.randrange(0, total)
        command = Command(sweep_of(inputs, folder))
        command.wait_until(lambda folder=folder, wanted=wanted: num_epochs(folder) >= wanted and any(folder.glob("*")))
        command.wait(rng.uniform(0, 5))
        when = f"after {num_epochs(folder)} of {total} epochs"
        command.kill_all()
        status, said = run([*sweep_of(inputs, folder), "--resume"])
        yield outcome(when, status, said, sweep_differences(whole, folder) if not status else "")


def generations_of(inputs: Inputs, out: Path) -> list[str]:
    options = ["--members", "2", "--generations", "2", "--store", str(inputs.store), "--set", "train.epochs=1"]
    return ["generations", *options, "--recipe", str(inputs.recipe), "--out", str(out)]


def generations_differences(out: Path, other: Path) -> str:
    """Weights and soft labels that differ, and what was measured of the ensembles."""
    expected, found = ({k: v for k, v in files_of(folder).items() if _is_kept(k)} for folder in (out, other))
    lost = [name for name in sorted(expected.keys() | found.keys()) if expected.get(name) != found.get(name)]
    measured = [_joints(folder) for folder in (out, other)]
    return ", ".join(lost + (["generations.json"] if measured[0] != measured[1] else []))


def _is_kept(name: str) -> bool:
    return name.endswith(("model.safetensors", ".arrow"))


def _joints(out: Path) -> list[object]:
    return [each["joint"] for each in json.loads((out / "generations.json").read_text())["generations"]]


@fault("generations killed with all their processes at a member, and the same command again", times=1)
def generations_killed(inputs: Inputs, rng: random.Random, times: int) -> Iterator[Try]:
    whole = inputs.undisturbed("generations", lambda folder: generations_of(inputs, folder))
    for _ in range(times):
        folder, wanted = inputs.new("generations"), rng.randrange(1, 4)
        command = Command(generations_of(inputs, folder))
        command.wait_until(lambda folder=folder, wanted=wanted: num_epochs(folder) >= wanted)
        when = f"after {num_epochs(folder)} of 4 members"
        command.kill_all()
        status, said = run(generations_of(inputs, folder))
        yield outcome(when, status, said, generations_differences(whole, folder) if not status else "")
