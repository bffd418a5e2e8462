"""When a step that diverged is found, where a device is waited for and where it is not."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from abaw_ray.config import Recipe
from abaw_ray.errors import DivergedError
from abaw_ray.training.divergence import Watch
from abaw_ray.training.job import Job
from abaw_ray.world import World


class Stage:
    """Steps of one image each: row, video and frame are the number of the step."""

    data = SimpleNamespace(rows=lambda epoch, step, world: {"set": torch.tensor([step])})
    store = SimpleNamespace(frames_of=lambda rows: [("faces", f"video {row}", row) for row in rows.tolist()])


def watch(folder: Path, device: str) -> Watch:
    stage: Any = Stage()
    return Watch(Job(Recipe(), "store", str(folder)), stage, World(device=torch.device(device)))


def numbers(**changes: float) -> dict[str, torch.Tensor]:
    values = {"total": 1.0, "expression/set": 1.0, "gradient norm": 1.0} | changes
    return {name: torch.tensor(value) for name, value in values.items()}


@pytest.mark.parametrize(("name", "value"), [("total", math.nan), ("gradient norm", math.inf)])
def test_a_number_that_is_none_ends_the_run_in_its_step(tmp_path, name, value):
    looking = watch(tmp_path, "cpu")
    looking.take(0, 0, {}, numbers())
    with pytest.raises(DivergedError, match=f"epoch 1, step 2: {name} {value} .*learning rate 0.0001"):
        looking.take(0, 1, {}, numbers(**{name: value}))


def test_a_gpu_is_not_waited_for_and_the_right_step_is_named(tmp_path):
    looking = watch(tmp_path, "cuda")
    looking.take(0, 0, {}, numbers())
    looking.take(0, 1, {}, numbers(**{"expression/set": math.nan}))
    with pytest.raises(DivergedError, match="epoch 1, step 2: expression/set nan"):
        looking.take(0, 2, {}, numbers())
    described = json.loads((tmp_path / "diverged" / "step.json").read_text())
    assert described["step"] == 1
    assert described["images"] == {
        "set": [{"worker": 1, "row": 1, "database": "faces", "video": "video 1", "frame": 1}]
    }


def test_the_last_step_of_an_epoch_is_looked_at_before_anything_is_saved(tmp_path):
    looking = watch(tmp_path, "cuda")
    looking.take(3, 9, {}, numbers(total=-math.inf))
    with pytest.raises(DivergedError, match="epoch 4, step 10: total -inf"):
        looking.look()
    looking.look()
