"""Fuzzes readers: `python tests/fuzz/run.py --seconds 600 [NAMES]`, one process each, one after the other.

Bytes that change with what they reach in the package (atheris) are given to each reader, beginning with genuine files.
Nothing may be raised but errors of `abaw_ray/errors.py` that name the file, and its line where there are lines; no
input may take more than 20 seconds, or more memory than is allowed. What does is kept in the folder of findings, with
its input and traceback. Without atheris (`pip install atheris`) genuine files are changed at random, which is said.

Status 1: something was found.
"""

from __future__ import annotations

import argparse
import atexit
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

SECONDS_AN_INPUT = 20
MOST_CRASHES = 10
"""Of a process, after which a reader is left."""
MODULES = ("of_databases", "of_tables", "of_records", "of_stores", "of_networks", "of_media")
GIB = 1 << 30


def main() -> int:
    """Runs what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="readers, or beginnings of their names; default: all")
    parser.add_argument("--seconds", type=float, default=600, help="for each reader")
    parser.add_argument("--memory", type=float, default=6, help="GiB that a process may have")
    parser.add_argument("--out", type=Path, default=Path("fuzz"), help="folder of findings")
    parser.add_argument("--list", action="store_true", help="print the readers' names")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        return _fuzz(given.names[0], given.seconds, given.memory, given.out)
    names = [name for name in harnesses() if not given.names or name.startswith(tuple(given.names))]
    if given.list:
        print(*names, sep="\n")
        return 0
    num_found = 0
    print(f"{'reader':<24} {'inputs':>11} {'read':>11} {'seconds':>8}  findings", flush=True)
    for name in names:
        told = _run(name, given.seconds, given.memory, given.out.resolve() / name)
        found = list(told["findings"])
        counts = f"{told['inputs']:>11,} {told['read']:>11,} {told['seconds']:>8.0f}"
        print(f"{name:<24} {counts}  {len(found)}{told['note']}", *found, sep="\n    ", flush=True)
        num_found += len(found)
    return int(num_found > 0)


def harnesses() -> dict[str, Any]:
    """Name of a reader -> its `engine.Harness`."""
    modules = (import_module(f"fuzz.{name}") for name in MODULES)
    return {name: make for module in modules for name, make in module.HARNESSES.items()}


def _run(name: str, seconds: float, memory: float, out: Path) -> dict[str, Any]:
    """One reader, begun again after what ends its process."""
    told: dict[str, Any] = {"inputs": 0, "read": 0, "seconds": 0.0, "findings": {}, "note": ""}
    out.mkdir(parents=True, exist_ok=True)
    for _ in range(MOST_CRASHES):
        left = int(seconds - told["seconds"])
        if left < 1:
            break
        (out / "state.json").unlink(missing_ok=True)
        before = _crashes(out)
        command = [sys.executable, __file__, name, "--child", f"--seconds={left}", f"--memory={memory}", f"--out={out}"]
        began = time.monotonic()
        with (out / "log").open("w") as log:
            status = subprocess.run(command, stdout=log, stderr=log, timeout=left + 600, check=False).returncode
        state = json.loads((out / "state.json").read_text()) if (out / "state.json").is_file() else {}
        for key in ("inputs", "read"):
            told[key] += state.get(key, 0)
        told["findings"] |= dict.fromkeys(state.get("findings", []))
        told["note"] = state.get("note", "")
        told["seconds"] += time.monotonic() - began
        if status == 0:
            break
        last = (out / "log").read_text(errors="replace").splitlines()[-1:]
        kept = ", ".join(sorted(_crashes(out) - before)) or " ".join(last)
        told["findings"][f"its process ended with status {status}: {kept}"] = None
    return told


def _crashes(out: Path) -> set[str]:
    """Inputs that ended the process: `crash-...`, `timeout-...`, `oom-...`."""
    return {file.name for file in out.iterdir() if file.name.startswith(("crash-", "timeout-", "oom-", "slow-unit-"))}


def _fuzz(name: str, seconds: float, memory: float, out: Path) -> int:
    """Fuzzes one reader in this process."""
    resource.setrlimit(resource.RLIMIT_AS, (int(memory * GIB), int(memory * GIB)))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        import atheris
    except ImportError:
        atheris = None
    shared_memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(
        prefix="abaw-ray-fuzz-", dir=shared_memory if shared_memory.is_dir() else None
    ) as folder:
        with atheris.instrument_imports(include=["abaw_ray"]) if atheris else nullcontext():
            engine = import_module("fuzz.engine")
            root = Path(folder) / "data"
            root.mkdir()
            target = harnesses()[name](root)
            seeds = target.seeds()
            refused = [seed for seed in seeds if not engine.try_input(target, seed)]
            assert not refused, f"{name}: a genuine file is refused: {refused[0][:100]!r}"
        one = _Inputs(engine, target, out, "" if atheris else " (without coverage)")
        if atheris is None:
            numbers, end = random.Random(0), time.monotonic() + seconds
            while time.monotonic() < end:
                one(engine.mutated(seeds, numbers))
            one.note()
        else:
            atexit.register(one.note)
            atheris.Setup([sys.argv[0], *_options(engine, seeds, seconds, memory, Path(folder), out)], one)
            atheris.Fuzz()
    return 0


def _options(
    engine: ModuleType, seeds: list[bytes], seconds: float, memory: float, folder: Path, out: Path
) -> list[str]:
    """Of libFuzzer."""
    corpus, words = folder / "corpus", folder / "words"
    corpus.mkdir()
    for number, seed in enumerate(seeds):
        (corpus / str(number)).write_bytes(seed)
    escaped = ("".join(f"\\x{byte:02x}" for byte in word[:60]) for word in engine.ODD)
    words.write_text("".join(f'"{word}"\n' for word in escaped))
    return [
        f"-max_total_time={int(seconds)}",
        f"-timeout={SECONDS_AN_INPUT}",
        f"-rss_limit_mb={int(memory * 1024)}",
        f"-max_len={max(4096, 2 * max(map(len, seeds)))}",
        f"-artifact_prefix={out}/",
        f"-dict={words}",
        "-reload=0",
        str(corpus),
    ]


class _Inputs:
    """Gives inputs to a reader, counts them, and keeps what is found."""

    def __init__(self, engine: ModuleType, target: Any, out: Path, remark: str) -> None:
        self._engine, self._target, self._out, self._remark = engine, target, out, remark
        self._findings, self._num_inputs, self._num_read = engine.Findings(out), 0, 0
        self._noted = time.monotonic()

    def __call__(self, content: bytes) -> None:
        self._num_inputs += 1
        try:
            self._num_read += self._engine.try_input(self._target, content)
        except self._engine.Finding as finding:
            self._findings.add(finding, content)
        if time.monotonic() - self._noted > 1:
            self.note()

    def note(self) -> None:
        """Writes the counts, for when the process ends."""
        self._noted = time.monotonic()
        state = {"inputs": self._num_inputs, "read": self._num_read, "findings": list(self._findings.places)}
        (self._out / "state.json").write_text(json.dumps(state | {"note": self._remark}))


if __name__ == "__main__":
    sys.exit(main())
