"""`abaw-ray export` writes a file and its card, and says what it found."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from checkpoints import make_checkpoint

TIMEOUT = 300


def export(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "abaw_ray", "export", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)


def test_file_card_and_numbers(tmp_path: Path) -> None:
    run, out = make_checkpoint(tmp_path / "run"), tmp_path / "faces.pt2"
    done = export("--run", run, "--format", "torch", "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {path.name for path in tmp_path.iterdir()} == {"run", "faces.pt2", "faces.pt2.md"}
    assert (found["path"], found["card"]) == (str(out), str(tmp_path / "faces.pt2.md"))
    assert found["num_bytes"] == out.stat().st_size
    assert found["export"]["faces_compared"] == {"random": 48}
    assert all(value < 1e-3 for value in found["export"]["differences"].values())
    refused = export("--run", run, "--format", "torch", "--out", tmp_path / "faces.onnx")
    assert refused.returncode == 2
    assert refused.stderr.strip().splitlines()[-1].startswith("abaw-ray: --out: found")
