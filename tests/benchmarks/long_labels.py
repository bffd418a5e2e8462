"""Label files of ten million lines: the time and memory that reading them takes, of a table and of a video database.

A table of frames (`table`) has a text, a number and a split a line, and is of videos, which are not opened to read
labels; a track of Aff-Wild2 (`affwild2`) has two numbers a line, and one picture. Each is read in a process of its own,
whose memory is what is measured.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from report import emit

LINES = 10_000_000
FRAMES_OF_A_VIDEO = 10_000
CONFIG = """path: path
frame: frame
split: part
spaces:
  mood: {kind: multiclass, columns: mood, names: [calm, tense]}
  energy: {kind: regression, columns: energy}
"""


def write_table(root: Path, num_lines: int) -> Path:
    """A table of the frames of as many videos as it takes."""
    (root / "t.yaml").write_text(CONFIG)
    file = root / "t.csv"
    with file.open("w") as out:
        out.write("path,frame,part,mood,energy\n")
        for first in range(0, num_lines, FRAMES_OF_A_VIDEO):
            name = f"{first // FRAMES_OF_A_VIDEO:05d}.mp4"
            (root / name).touch()
            numbers = range(min(FRAMES_OF_A_VIDEO, num_lines - first))
            out.writelines(
                f"{name},{n},{'train' if n % 9 else 'val'},{'calm' if n % 2 else 'tense'},0.{n:04d}\n" for n in numbers
            )
    return file


def write_affwild2(root: Path, num_lines: int) -> Path:
    """A track with valence and arousal of every frame, and one picture."""
    (root / "VA_Set" / "Validation_Set").mkdir(parents=True)
    (root / "VA_Set" / "Train_Set").mkdir()
    (root / "cropped_aligned" / "a").mkdir(parents=True)
    (root / "cropped_aligned" / "a" / "00001.jpg").touch()
    file = root / "VA_Set" / "Train_Set" / "a.txt"
    with file.open("w") as out:
        out.write("valence,arousal\n")
        out.writelines(f"0.{n % 1000:03d},-0.{n % 997:03d}\n" for n in range(num_lines))
    return file


WRITERS = {"table": write_table, "affwild2": write_affwild2}


def read(name: str, root: Path) -> dict[str, Any]:
    """Reads the labels in this process."""
    from abaw_ray.databases.reading.database import read_database

    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    _, _, table = read_database(name, root, {})
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    labelled = table.rows.num_rows + table.unseen.num_rows
    return {"labelled": labelled, "seconds": round(seconds, 1), "peak_gb": (peak - before) * 1024 / 1e9}


def measure(num_lines: int) -> dict[str, Any]:
    found = {}
    for name, writer in WRITERS.items():
        with tempfile.TemporaryDirectory(prefix="abaw-ray-bench-") as folder:
            size = writer(Path(folder), num_lines).stat().st_size
            command = [sys.executable, __file__, "--read", name, folder]
            told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            assert told["labelled"] == num_lines, f"{name}: every line has a label"
            found[name] = {"lines": num_lines, "file_gb": size / 1e9, **told, "gb_a_gb": told["peak_gb"] / (size / 1e9)}
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=LINES)
    parser.add_argument("--read", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.read:
        print(json.dumps(read(given.read[0], Path(given.read[1]))))
    else:
        emit("long_labels", measure(given.lines), [])
