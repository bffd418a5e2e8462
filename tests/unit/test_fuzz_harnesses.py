"""The readers that tests/fuzz knows: genuine files are read, and files with changes at random end in no fault."""

from __future__ import annotations

import random
import zlib
from pathlib import Path

import pytest
from fuzz.engine import Finding, Findings, Target, mutated, try_input
from fuzz.run import harnesses

from abaw_ray.errors import DatabaseFormatError, StoreError

NUM_INPUTS = 12


LIGHT = {"fer2013", "rafdb", "table-csv", "table-parquet", "heu-csv", "recipe", "sweep-trial", "picture-png", "vectors"}
"""Tried always; the others make stores, networks or pictures first."""


@pytest.mark.parametrize(
    "name", [name if name in LIGHT else pytest.param(name, marks=pytest.mark.slow) for name in harnesses()]
)
def test_a_reader_reads_genuine_files_and_ends_others_without_a_fault(tmp_path: Path, name: str) -> None:
    target = harnesses()[name](tmp_path)
    seeds = target.seeds()
    assert all(try_input(target, seed) for seed in seeds)
    numbers = random.Random(zlib.crc32(name.encode()))
    for _ in range(NUM_INPUTS):
        try_input(target, mutated(seeds, numbers))


def test_what_readers_must_not_do_is_found_and_kept(tmp_path: Path) -> None:
    ends: list[Exception] = [ValueError("x"), StoreError("elsewhere"), DatabaseFormatError("a.txt", None, "y", "z")]
    findings = Findings(tmp_path / "found")
    for end in [*ends, ends[0]]:

        def read(end: Exception = end) -> None:
            raise end

        with pytest.raises(Finding) as found:
            try_input(Target(tmp_path / "a.txt", read, has_lines=True), b"content")
        findings.add(found.value, b"content")
    assert len(findings.places) == len(ends)
    assert [place.split(" in ")[0] for place in findings.places] == [
        "ValueError",
        "a message without a.txt",
        "a message without a line",
    ]
    assert {file.suffix for file in (tmp_path / "found").iterdir()} == {".input", ".txt"}
