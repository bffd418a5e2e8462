"""Trainings whose worker, controller, progress bar, driver or node is killed, or whose worker hangs."""

from __future__ import annotations

import importlib.util
import os
import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from base import FAULTS, MESSAGE, Fault, Inputs, Try, fault, in_short, outcome
from commands import ROOT, Command, run
from compare import run_differences

STEPS, EPOCHS = 20, 2
"""As of `base.small_recipe`."""


def trained(inputs: Inputs, workers: int = 1) -> Path:
    """A run that nothing happened to."""
    return inputs.undisturbed(f"training-{workers}", lambda folder: inputs.training(folder, "--workers", str(workers)))


def steps_done(folder: Path) -> int:
    """Steps, over all epochs, that a run would go on after."""
    found = [path.parent.name.split("-") for path in (folder / "steps").glob("*/step.json")]
    whole = len(list(folder.glob("epoch-*/checkpoint.json"))) * STEPS
    return max([whole, *(int(epoch) * STEPS + int(step) for epoch, step in found)])


def at_random(command: Command, folder: Path, rng: random.Random) -> str:
    """Waits until a training has taken a random number of steps, and a moment more; says how far it was."""
    wanted = rng.randrange(2, EPOCHS * STEPS - 2)
    is_running = command.wait_until(lambda: steps_done(folder) >= wanted)
    is_running = is_running and command.wait(rng.uniform(0, 0.3))
    return f"after step {steps_done(folder)}" if is_running else "(it had ended)"


def killed_within(name: str, workers: int, inputs: Inputs, rng: random.Random, times: int) -> Iterator[Try]:
    """A process of a training is killed, which goes on by itself."""
    whole = trained(inputs, workers)
    for _ in range(times):
        folder = inputs.new("run")
        command = Command(inputs.training(folder, "--workers", str(workers)))
        when = at_random(command, folder, rng)
        was_there = command.kill_one(name)
        status, said = command.end()
        lost = run_differences(whole, folder) if not status else ""
        yield outcome(f"{name} {when}{'' if was_there else ', which was not there'}", status, said, lost)


PROCESSES = {
    "worker-killed": ("the worker of a training", "RayTrainWorker", 1, 3),
    "one-of-two-workers-killed": ("one of two workers of a training", "RayTrainWorker", 2, 3),
    "controller-killed": ("Ray Train's controller", "TrainController", 1, 3),
    "progress-killed": ("the actor of the progress bar", "QueueActor", 1, 2),
}
"""Fault -> what is killed, its process, the number of workers, and how often."""

for name, (what, process, workers, times) in PROCESSES.items():
    FAULTS[name] = Fault(f"SIGKILL of {what}", times, partial(killed_within, process, workers))


def killed_and_repeated(
    inputs: Inputs, rng: random.Random, times: int, what: str, kill: Callable[[Command], object]
) -> Iterator[Try]:
    """A training is killed, and the same command goes on; every second one is killed twice."""
    whole = trained(inputs)
    for number in range(times):
        folder, moments = inputs.new("run"), []
        for _ in range(1 + number % 2):
            command = Command(inputs.training(folder))
            moments.append(at_random(command, folder, rng))
            kill(command)
        if (folder / "run.json").is_file():
            status, said = 0, ""
        else:
            status, said = run(inputs.training(folder))
        lost = run_differences(whole, folder) if not status else ""
        command.kill_all()
        yield outcome(f"{what} {', again '.join(moments)}", status, said, lost)


@fault("SIGKILL of the driver of a training, and the same command again", times=4)
def driver_killed(inputs: Inputs, rng: random.Random, times: int) -> Iterator[Try]:
    yield from killed_and_repeated(inputs, rng, times, "driver", Command.kill)


@fault("SIGKILL of a training with all its processes, and the same command again", times=4)
def training_killed(inputs: Inputs, rng: random.Random, times: int) -> Iterator[Try]:
    yield from killed_and_repeated(inputs, rng, times, "everything", Command.kill_all)


@fault("a worker that hangs, found and named within the bound", times=2)
def worker_hangs(inputs: Inputs, rng: random.Random, times: int) -> Iterator[Try]:
    """The second of two workers stands still at a random step, once."""
    plugin = ("--workers", "2", "--set", "plugins=[worker_faults]", "--set", "checkpoint.hang_minutes=1")
    whole = inputs.undisturbed("hanging", lambda folder: inputs.training(folder, *plugin))
    for _ in range(times):
        folder, step = inputs.new("run"), rng.randrange(2, EPOCHS * STEPS)
        environment = {"CHAOS_HANGS": f"1 {step} {folder.parent / 'hung'}"}
        status, said = run(inputs.training(folder, *plugin), environment)
        lost = run_differences(whole, folder) if not status else ""
        done = outcome(f"the second of two workers hangs in step {step}", status, said, lost)
        named = "worker 2 hangs on node" in said and "worker_faults.py" in said
        yield done if named else Try(done.what, "it was not named", done.lost, said[-1000:])


@fault("SIGKILL of a whole node of a local cluster, on which the worker runs", times=2)
def node_killed(inputs: Inputs, rng: random.Random, times: int) -> Iterator[Try]:
    """A head without CPUs and two nodes with one each: the run goes on on the other."""
    whole = trained(inputs)
    for _ in range(times):
        folder = inputs.new("run")
        with local_cluster(num_nodes=3, cpus=1) as cluster:
            given = {key: value for key, value in cluster.environment.items() if key.startswith("RAY_")}
            command = Command(inputs.training(folder), given)
            when = at_random(command, folder, rng)
            number = node_of_worker(cluster)
            if number is not None:
                cluster.kill_worker(number)
            status, said = command.end()
        lost = run_differences(whole, folder) if not status else ""
        yield outcome(f"node {number} {when}", status, said, lost)


def node_of_worker(cluster: Any) -> int | None:
    """The number of the node on which a worker of Ray Train runs."""
    for number, node in enumerate(cluster._nodes):
        for process in node.children(recursive=True):
            if "RayTrainWorker" in " ".join(process.cmdline()):
                return number
    return None


def local_cluster(**arguments: Any) -> Any:
    """Of `cluster/local.py`."""
    spec = importlib.util.spec_from_file_location("chaos_cluster", ROOT / "cluster" / "local.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "chaos")])
    os.environ["PYTHONPATH"] = paths  # of its nodes
    return module.local_cluster(**arguments)


ENDS_WITHIN = 600.0
"""Seconds in which a driver whose own Ray is gone ends."""


@fault("SIGKILL of the raylet, or of the GCS, of a training's own Ray, and the same command again", times=2)
def own_ray_killed(inputs: Inputs, rng: random.Random, times: int) -> Iterator[Try]:
    """Nothing can go on without them: the command ends, and says so."""
    whole = trained(inputs)
    for number in range(times):
        name = ("raylet/raylet", "gcs_server")[number % 2]
        folder = inputs.new("run")
        command = Command(inputs.training(folder))
        when = at_random(command, folder, rng)
        command.kill_one(name)
        is_running = command.wait(ENDS_WITHIN)
        said = command.said
        command.kill_all()
        what = f"{name} {when}"
        status, later = (0, "") if (folder / "run.json").is_file() else run(inputs.training(folder))
        lost = run_differences(whole, folder) if not status else in_short(later)
        if is_running:
            yield Try(what, f"it had not ended after {ENDS_WITHIN:.0f} s", lost, in_short(said))
        elif command.process.returncode == 0:
            yield outcome(what, 0, said, lost)
        else:
            is_clear = "Ray on this machine is gone" in said and "the same command" in said and "Traceback" not in said
            yield Try(what, MESSAGE if is_clear else f"status {command.process.returncode}", lost, in_short(said))
