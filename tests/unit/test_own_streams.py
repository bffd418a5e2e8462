"""The example of CONTRIBUTING.md of a kind of stream: cut out, written and read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import own_data
import pyarrow as pa
import pytest
from examples import examples

from abaw_ray.blocks.streams import StreamBlocks
from abaw_ray.blocks.writer import BlockMetadata, write_block
from abaw_ray.databases.reading.inspection import inspect_database
from abaw_ray.streams import KINDS
from abaw_ray.streams.base import Stream
from abaw_ray.streams.kind import CutSettings

PULSE = Stream(name="pulse", kind="signal", size=100, encoding="float32")


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = examples("Add a stream")
    defined: dict[str, object] = {"__name__": "signal_stream"}
    exec(code, defined)
    monkeypatch.setitem(KINDS._registered, "signal", defined["KIND"])


def test_windows_of_a_signal_are_cut_out_written_and_read(registered: None, tmp_path: Path) -> None:
    signal = np.random.default_rng(0).normal(size=500).astype(np.float32)
    np.savetxt(tmp_path / "pulse.txt", signal)
    (tmp_path / "bad.txt").write_text("not a number")
    rows = pa.table(
        {
            "video": ["a"] * 5,
            "frame": pa.array(range(5), pa.int32()),
            "image": ["pulse.txt"] * 3 + ["bad.txt", "gone.txt"],
            "geometry": pa.array([[0.0], [7.5], [8.1], [0.0], [0.0]], pa.list_(pa.float32())),
        }
    )
    kind = KINDS.get("signal", "test")
    made = kind.cut(rows, tmp_path, PULSE, CutSettings())
    assert made.reasons == ["", "", "end_of_signal", "unreadable_signal", "unreadable_signal"]
    assert made.places[2] == "pulse.txt: second 8.10 of 10.00"
    planned = rows.append_column(kind.field(PULSE), made.samples)
    written = write_block(tmp_path, "a.arrow", planned, BlockMetadata("plan", [2, 3, 4], {}), kind.field(PULSE))
    blocks = StreamBlocks(tmp_path, [written.entry()], PULSE)
    read = blocks.read(np.zeros(3, np.int32), np.array([1, 0, 1]))
    np.testing.assert_allclose(read, [signal[375:475], signal[:100], signal[375:475]], rtol=1e-6)


def test_an_inspection_counts_what_faces_have_beside_them(tmp_path: Path) -> None:
    own_data.make(tmp_path / "patches")
    found = inspect_database("patches", tmp_path / "patches", {})
    assert found.streams == {"shares": 90, "corner": 96}
    assert "stream shares: 90 faces have it" in found.render().splitlines()
