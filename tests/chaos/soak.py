"""A soak: `python tests/chaos/soak.py --minutes 120`.

A small training and a small sweep on generated (synthetic) data, again and again, with a fault at random every few
minutes; a command that was killed is given again. What is reported at each end must be what the same command reports
that nothing happened to. The log is printed, and kept as chaos/soak.log. The status is 1 where anything was lost.
"""

from __future__ import annotations

import argparse
import itertools
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from base import Inputs, in_short
from commands import Command
from compare import run_differences, sweep_differences
from sweeps import sweep_of
from trainings import trained

ATTEMPTS = 50
"""Most times that a command is given until it has ended."""
INTERRUPTED = 130


def pause(command: Command, rng: random.Random) -> None:
    """All processes stand still for some seconds, as on a machine that is suspended."""
    stopped = command.processes()
    for process in stopped:
        process.suspend()
    time.sleep(rng.uniform(1, 8))
    for process in stopped:
        process.resume()


FAULTS: dict[str, Callable[[Command, random.Random], object]] = {
    "worker killed": lambda command, rng: command.kill_one("RayTrainWorker"),
    "controller killed": lambda command, rng: command.kill_one("TrainController"),
    "progress bar's actor killed": lambda command, rng: command.kill_one("QueueActor"),
    "driver killed": lambda command, rng: command.kill(),
    "everything killed": lambda command, rng: command.kill_all(),
    "Ctrl-C": lambda command, rng: command.process.send_signal(signal.SIGINT),
    "machine suspended": pause,
}


class Log:
    """Lines with the time, printed and kept."""

    def __init__(self, file: TextIO) -> None:
        self._file, self._started = file, time.monotonic()

    def __call__(self, line: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - self._started), 60)
        for stream in (self._file, sys.stdout):
            print(f"{minutes:3d}:{seconds:02d} {line}", file=stream, flush=True)


def disturbed(arguments: list[str], more: list[str], every: float, rng: random.Random, log: Log) -> Counter[str]:
    """Gives a command until it ends right, with faults; how often each happened.

    Args:
        arguments: of the command.
        more: arguments when it goes on.
        every: mean seconds between faults.
        rng: of the faults and their moments.
        log: of what happens.

    Raises:
        RuntimeError: it ends neither right, nor by a fault.
    """
    happened: Counter[str] = Counter()
    for attempt in range(ATTEMPTS):
        command = Command([*arguments, *(more if attempt else [])])
        try:
            while command.wait(rng.expovariate(1 / every)):
                name = rng.choice(list(FAULTS))
                log(f"  {name}")
                happened[name] += 1
                FAULTS[name](command, rng)
            status, said = command.end()
        finally:
            command.kill_all()
        if status == 0:
            return happened
        log(f"  ended with status {status}: {in_short(said)}")
        if "Traceback" in said or status not in (INTERRUPTED, -signal.SIGKILL, 1, 2):
            raise RuntimeError(said)
    raise RuntimeError(f"it has not ended after {ATTEMPTS} attempts")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--every", type=float, default=120, help="mean seconds between faults")
    parser.add_argument("--sweeps", type=int, default=3, help="every so many rounds it is a sweep; 0: never")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("chaos"))
    parser.add_argument("--work", type=Path, help="folder that is kept, for inputs; default: a temporary one")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    rng, happened, lost = random.Random(arguments.seed), Counter(), []
    with (
        tempfile.TemporaryDirectory(prefix="abaw-soak-", dir="/tmp") as temporary,
        (arguments.out / "soak.log").open("w") as file,
    ):
        inputs, log = Inputs((arguments.work or Path(temporary)).absolute()), Log(file)
        inputs.folder.mkdir(exist_ok=True)
        log(f"soak of {arguments.minutes:g} minutes, seed {arguments.seed}; synthetic data")
        whole = trained(inputs)
        log("undisturbed training done")
        is_swept = arguments.sweeps > 0
        whole_sweep = inputs.undisturbed("sweep", lambda folder: sweep_of(inputs, folder)) if is_swept else None
        end, rounds = time.monotonic() + arguments.minutes * 60, 0
        for number in itertools.count(1):
            if time.monotonic() > end:
                break
            rounds += 1
            sweeping = is_swept and number % arguments.sweeps == 0
            folder = inputs.new("sweep" if sweeping else "run")
            given, more = (sweep_of(inputs, folder), ["--resume"]) if sweeping else (inputs.training(folder), [])
            log(f"round {number}: {given[0]}")
            try:
                happened += disturbed(given, more, arguments.every, rng, log)
                differs = sweep_differences(whole_sweep, folder) if sweeping else run_differences(whole, folder)
            except RuntimeError as error:
                differs = str(error)
            log(f"round {number}: {f'LOST: {differs}' if differs else 'as the undisturbed one'}")
            lost += [f"round {number}: {differs}"] if differs else []
        told = ", ".join(f"{name} {count}" for name, count in happened.items())
        log(f"{rounds} rounds, {happened.total()} faults ({told}); lost: {'; '.join(lost) or 'nothing'}")
    return int(bool(lost))


if __name__ == "__main__":
    sys.exit(main())
