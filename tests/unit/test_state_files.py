"""Small JSON files that runs and sweeps go on from."""

from __future__ import annotations

from pathlib import Path

import pytest

from abaw_ray.blocks.files import read_json, write_json
from abaw_ray.errors import StoreError


def test_what_is_written_is_read(tmp_path: Path) -> None:
    values = {"a": [1, 2.5, None], "b": {"é": "x"}}
    write_json(tmp_path / "new" / "state.json", values)
    assert read_json(tmp_path / "new" / "state.json") == values


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "no text"),
        (b"\n", "no text"),
        (b'{"recipe": {"se', 'recipe": {"se'),
        (b"\x80\x81{}", r"\\\\x80"),
        (b"[1, 2]", "a JSON list"),
        (b"[" * 100_000, r"\[\[\["),
        (b"x" * 1_000_000, "xxx"),
        (b'{"a": ' + b"9" * 5000 + b"}", "999"),
    ],
)
def test_what_is_no_object_is_named_and_quoted_in_short(tmp_path: Path, content: bytes, found: str) -> None:
    file = tmp_path / "job.json"
    file.write_bytes(content)
    with pytest.raises(StoreError, match=rf"job\.json: found .*{found}.*expected a JSON object") as raised:
        read_json(file)
    assert len(str(raised.value)) < len(str(file)) + 400


def test_one_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"job\.json: cannot be read \(.*No such file"):
        read_json(tmp_path / "job.json")
