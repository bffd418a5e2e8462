"""The Python of README runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from checkpoints import make_checkpoint
from people import RED, clip

README = Path(__file__).parent.parent.parent / "README.md"


def test_its_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    make_checkpoint(tmp_path / "runs" / "student")
    clip(tmp_path / "holiday.mp4", [{(20, 20): RED}] * 3)
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    whole = code.replace('load("runs/student")', 'load("runs/student", detector="whole")')
    exec(compile(whole, str(README), "exec"), {})
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert len((tmp_path / "holiday.csv").read_text().splitlines()) == 4
