"""Objects that do not fit Ray's memory: they go to a disk, and are gone afterwards; or the disk is too small."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from base import MESSAGE, Inputs, Try, fault, in_short, outcome
from commands import ROOT
from disks import small_disk

MEMORY = 80 << 20
"""Bytes of Ray's memory for objects: hardly more than the least that it takes."""
SMALL = 100 << 20
"""Bytes of a disk that is too small for what follows."""

JOB = """
import sys
from pathlib import Path
import numpy as np
import ray
from abaw_ray.errors import UserError
from abaw_ray.ray_session import data_context, ray_session
try:
    with ray_session(num_cpus=1), data_context():
        blocks = [np.full((1 << 23, 1), number, np.uint8) for number in range(30)]  # 240 MiB
        data = ray.data.from_numpy(blocks).materialize()
        spilled = [file for file in Path(sys.argv[1]).rglob("ray_spilled_objects*/*")]
        assert spilled, "nothing was spilled"
        sums = data.map_batches(lambda batch: {"sum": batch["data"].astype(np.int64).sum(axis=0)}, batch_size=None)
        assert sum(int(row["sum"]) for row in sums.iter_rows()) == sum(range(30)) << 23
except UserError as error:
    print(error, file=sys.stderr)
    sys.exit(2)
"""


@fault("objects that do not fit Ray's memory, on a roomy disk and on one that is too small", times=2)
def spilling(inputs: Inputs, rng: random.Random, times: int) -> Iterator[Try]:
    for number in range(times):
        # sockets have paths of at most 107 characters
        folder = Path(tempfile.mkdtemp(prefix="abaw-", dir="/tmp")) / "ray"
        is_small = number % 2 == 1
        with small_disk(folder, SMALL) if is_small else contextlib.nullcontext():
            folder.mkdir(exist_ok=True)
            variables = {
                "PYTHONPATH": str(ROOT),
                "RAY_TMPDIR": str(folder),
                "RAY_DEFAULT_OBJECT_STORE_MAX_MEMORY_BYTES": str(MEMORY),
            }
            line = [sys.executable, "-c", JOB, str(folder)]
            done = subprocess.run(
                line, env={**os.environ, **variables}, capture_output=True, text=True, timeout=3600, check=False
            )
            left = [path.name for path in folder.rglob("ray_spilled_objects*/*")]
            status, said = done.returncode, done.stderr
        lost = f"left: {len(left)} spilled files" if left else ""
        if not is_small:
            yield outcome("a roomy disk", status, said, lost)
        else:
            is_clear = status == 2 and "RAY_TMPDIR" in said and "Traceback" not in said
            yield Try("a disk that is too small", MESSAGE if is_clear else f"status {status}", lost, in_short(said))
