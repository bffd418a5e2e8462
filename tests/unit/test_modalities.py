"""The experiment of faces, bodies and sound: its table, its recipes, and what it does to the sound. All made up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from abaw_ray.blocks.reader import Store
from abaw_ray.config import load_recipe
from abaw_ray.errors import ConfigurationError
from abaw_ray.experiments import EXPERIMENTS
from abaw_ray.experiments.base import Plan
from abaw_ray.experiments.modalities import NETWORKS, WAYS, comparison
from abaw_ray.experiments.streams import ChangedStream, with_streams
from abaw_ray.training.resources import Resources


def plan(*overrides: str, size: str | None = "tiny", seeds: int = 2) -> Plan:
    recipe = load_recipe("modalities", list(overrides))
    return Plan("modalities", Path("out"), recipe, Resources(1), seeds, None if size else Path("/clips"), size)


def result(one: float, two: float) -> dict[str, object]:
    parts = {"1": {"accuracy": one, "macro_f1": one / 2}, "2": {"accuracy": two, "macro_f1": two / 2}}
    return {"parts": parts, "run": "r", "seconds": 3.0}


def test_the_table_has_gains_beside_the_paper_s() -> None:
    found = {
        "face": [result(0.9, 0.8), result(0.8, 0.7)],
        "all": [result(0.91, 0.9), result(0.8, 0.8)],
        "zeros": [result(0.9, 0.5), result(0.8, 0.5)],
    }
    made = comparison(plan(), found)
    assert made.title.startswith("Faces, bodies and sound: SYNTHETIC clips (tiny)")
    cells = {row[0]: row[1:] for row in made.rows}
    assert cells["fusion over face"] == ["+0.50 points", "", "+10.00 points", "", ""]
    assert cells["fusion over face, Chen et al., real clips"] == ["+2.19 points", "", "+4.01 points", "", ""]
    assert cells["fusion of all, zeros as sound"][-1] == "", "nothing was trained for it"
    assert all(len(row) == len(made.columns) for row in made.rows)
    np.testing.assert_allclose(made.values["rows"][1]["points_over_face"]["1"], [1, 0], atol=1e-9)
    assert "SYNTHETIC" not in comparison(plan(size=None), found).title


def test_every_network_has_the_encoders_of_its_streams() -> None:
    assert "modalities" in EXPERIMENTS.names()
    for name, streams in NETWORKS.items():
        recipe = with_streams(plan().recipe, NETWORKS[name], 3)
        assert (tuple(recipe.model.encoders), recipe.seed) == (streams, 3)
        assert recipe.train.patience == recipe.train.epochs
    assert {way.network for way in WAYS.values()} == set(NETWORKS)
    other = plan().recipe.model_copy(update={"model": plan().recipe.model.model_copy(update={"encoders": {}})})
    with pytest.raises(ConfigurationError, match="found none of face"):
        with_streams(other, NETWORKS["all"], 0)


@pytest.mark.parametrize("sound", ["", "other", "missing", "zeros"])
def test_the_sound_is_changed_and_nothing_else(sound: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, own = np.arange(8), np.array([1, 3, 4, 6])

    def samples(self: Store, stream: str, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        present = np.isin(rows, own) if stream == "audio" else np.ones(len(rows), bool)
        return np.where(present, rows + 1, 0)[:, None], present

    def opened(self: Store, path: Path) -> None:
        self.streams = {"audio": type("Stored", (), {"rows": own})()}  # type: ignore[dict-item]
        self.index = rows  # type: ignore[assignment]

    monkeypatch.setattr(Store, "samples", samples)
    monkeypatch.setattr(Store, "__init__", opened)
    store = ChangedStream(Path("store"), "audio", sound)
    np.testing.assert_array_equal(store.samples("face", rows)[0][:, 0], rows + 1)
    found, present = store.samples("audio", rows)
    np.testing.assert_array_equal(present, np.isin(rows, own) & (sound != "missing"))
    assert not found[~np.isin(rows, own)].any()
    heard = found[own, 0]
    expected = {"": own + 1, "zeros": 0 * own, "missing": 0 * own}
    if sound == "other":
        assert sorted(heard.tolist()) == (own + 1).tolist()
        assert heard.tolist() != (own + 1).tolist()
        np.testing.assert_array_equal(store.samples("audio", own[::-1])[0][:, 0], heard[::-1])
    else:
        np.testing.assert_array_equal(heard, expected[sound])
