"""File systems that refuse what buckets do which are mounted: a library before the system's own refuses it below a
folder, in all processes of a command. It is compiled by `cc`; where there is none, nothing is tried."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from base import MESSAGE, Inputs, Try, fault, in_short, outcome
from commands import run
from compare import files_of, run_differences, store_differences
from trainings import trained

SOURCE = Path(__file__).with_name("refusals.c")
OPERATIONS = "folders flock fsync link"
"""What is refused where files are renamed."""


def refusing(inputs: Inputs, place: Path, operations: str) -> dict[str, str] | None:
    """Variables of a command to which operations are refused below `place`; None: there is no compiler."""
    if shutil.which("cc") is None:
        return None
    library = inputs.folder / "refusals.so"
    if not library.is_file():
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl"], check=True)
    return {"LD_PRELOAD": str(library), "CHAOS_REFUSED": operations, "CHAOS_BELOW": f"{place}/"}


@fault("a file system without locks, fsync, hard links and renames of folders: generate, prepare, train", times=1)
def mounted_bucket(inputs: Inputs, rng: random.Random, times: int) -> Iterator[Try]:
    for _ in range(times):
        place = inputs.new("mount")
        place.mkdir()
        if (variables := refusing(inputs, place, OPERATIONS)) is None:
            return
        data = place / "data"
        status, said = run(["generate", str(data), "--seed", "0", "--size", "tiny"], variables)
        lost = "files differ" if not status and files_of(data) != files_of(inputs.data) else ""
        yield outcome("generate", status, said, lost)
        store = place / "store"
        status, said = run([*inputs.preparing, str(store)], variables)
        yield outcome("prepare", status, said, store_differences(inputs.store, store) if not status else "")
        whole, folder = trained(inputs), place / "run"
        status, said = run(inputs.training(folder), variables)
        yield outcome("train", status, said, run_differences(whole, folder) if not status else "")


@fault("a file system that renames no files: generate, prepare, train", times=1)
def no_renames(inputs: Inputs, rng: random.Random, times: int) -> Iterator[Try]:
    for _ in range(times):
        place = inputs.new("mount")
        place.mkdir()
        if (variables := refusing(inputs, place, "files folders")) is None:
            return
        out = str(place / "out")
        commands = {
            "generate": ["generate", out, "--seed", "0", "--size", "tiny"],
            "prepare": [*inputs.preparing, out],
            "train": inputs.training(place / "out"),
        }
        for name, command in commands.items():
            status, said = run(command, variables)
            is_clear = status == 2 and f"{out}: its file system refuses to rename files" in said
            left = ", ".join(files_of(place))
            ended = MESSAGE if is_clear and "Traceback" not in said else f"status {status}"
            yield Try(name, ended, f"left: {left}" if left else "", in_short(said))
