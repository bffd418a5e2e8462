"""Small runs give the numbers that they gave first: see `golden`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import golden
import pytest
from test_command import TIMEOUT

FIRST_STEPS = re.compile(r"/teacher/losses/.*/[0-4]")
"""What other processors' rounding leaves alike: it grows tenfold a step, and is what later trainings begin with."""


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    file = tmp_path_factory.mktemp("golden") / "measured.json"
    subprocess.run([sys.executable, golden.__file__, str(file)], check=True, timeout=TIMEOUT)
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def kept() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(golden.KEPT).read_text())
    return found


@pytest.mark.parametrize("part", [part for part in kept() if part != "machine"])
def test_numbers_are_those_of_the_first_time(part: str, measured: dict[str, Any]) -> None:
    expected, found = (golden.leaves(values[part]) for values in (kept(), measured))
    if measured["machine"] == kept()["machine"]:
        assert found == expected
        return
    assert found.keys() == expected.keys()
    compared = [path for path in expected if part in ("crops", "order") or FIRST_STEPS.fullmatch(path)]
    assert compared or part == "scores"
    for path in compared:
        value = expected[path]
        assert found[path] == (pytest.approx(value, rel=1e-5, abs=1e-9) if isinstance(value, float) else value), path
