"""Readers of checkpoints and of weight files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from fuzz.engine import Harness, Target
from fuzz.of_stores import with_hash


def _description(root: Path) -> Target:
    from checkpoints import make_checkpoint  # of the tests

    from abaw_ray.models import checkpoint

    folder = make_checkpoint(root / "checkpoint")

    def read() -> None:
        found = checkpoint.load(folder)
        found.tasks(found.recipe)
        _ = found.description.crop, found.description.shapes

    finish = with_hash("abaw_ray.models.checkpoint:Description")
    return Target(folder / "checkpoint.json", read, finish=finish, named="checkpoint")


def _part(name: str) -> Harness:
    """A file of a checkpoint, whose hash is put right in its description."""

    def make(root: Path) -> Target:
        import torch
        from checkpoints import make_checkpoint  # of the tests

        from abaw_ray.models import checkpoint

        folder = make_checkpoint(root / "checkpoint")
        described = checkpoint.read_description(folder)
        file = folder / name

        def read() -> None:
            sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
            described.save(folder, described.files | {name: sha256})
            found = checkpoint.load(folder)
            if name == checkpoint.WEIGHTS:
                found.network(torch.device("cpu"))

        return Target(file, read, named="checkpoint")

    return make


def _step(root: Path) -> Target:
    from abaw_ray.training.step_checkpoints import read_step

    values = {"version": 1, "epoch": 0, "step": 3, "num_workers": 1, "store_hash": "0" * 64, "state_sha256": "0" * 64}
    file = root / "step.json"
    file.write_text(json.dumps(values))
    return Target(file, lambda: read_step(root))


def _weights(ending: str) -> Harness:
    """A file of weights for a small network."""

    def make(root: Path) -> Target:
        import timm
        import torch
        from safetensors.torch import save_file

        from abaw_ray.models.state_dicts import load_weights

        network: Any = timm.create_model("test_efficientnet", num_classes=0)
        file = root / f"weights{ending}"
        if ending == ".safetensors":
            save_file(network.state_dict(), file)
        else:
            torch.save({"state_dict": network.state_dict()}, file)
        return Target(file, lambda: load_weights(network, "test_efficientnet", file))

    return make


HARNESSES: dict[str, Harness] = {
    "checkpoint-description": _description,
    "checkpoint-weights": _part("model.safetensors"),
    "checkpoint-recipe": _part("recipe.yaml"),
    "checkpoint-step": _step,
    "weights-safetensors": _weights(".safetensors"),
    "weights-torch": _weights(".pt"),
}
