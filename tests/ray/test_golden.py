"""Small runs give the numbers that they gave first: see `golden`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import golden
import pytest
from test_command import TIMEOUT


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
    for path, value in expected.items():
        if isinstance(value, float):
            assert found[path] == pytest.approx(value, rel=1e-6, abs=1e-9), path
        elif not path.endswith("weights_sha256"):
            assert found[path] == value, path
