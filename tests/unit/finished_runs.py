"""Finished runs of small untrained networks, as training leaves them, for the stores of `stores.make_store`."""

from __future__ import annotations

import json
from pathlib import Path

from checkpoints import make_checkpoint, small_recipe

from abaw_ray.config import dump_recipe

NUM_EPOCHS = 3


def finished_run(
    folder: Path, store: Path, seed: int = 0, teachers: tuple[Path, ...] = (), rate: float = 0.001
) -> Path:
    """A run whose second epoch of three was the best."""
    recipe = small_recipe(f"train.learning_rate={rate}")
    make_checkpoint(folder / "epoch-0001", seed=seed, recipe=recipe)
    pooled = {"valence_arousal": {"ccc_valence": 0.25, "ccc_arousal": 0.5}}
    lines = [
        {"epoch": epoch, "criterion": criterion, "scores": {"every_frame": {"all": pooled}}, "losses": {"total": 3.0}}
        for epoch, criterion in enumerate((0.125, 0.75, 0.5))
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "recipe.yaml").write_text(dump_recipe(recipe))
    values = {
        "kind": "cnn",
        "role": "student" if teachers else "teacher",
        "num_epochs": NUM_EPOCHS,
        "best_epoch": 1,
        "best_criterion": 0.75,
        "stopped_early": True,
        "seconds": 125.0,
        "num_workers": 2,
        "machine": {"device": "a processor", "versions": {"torch": "9.8"}},
        "best": "epoch-0001",
        "last": "epoch-0001",
        "teachers": [str(teacher) for teacher in teachers],
        "store": str(store),
        "features": None,
        "cnn": None,
        "teacher_outputs": None,
    }
    (folder / "run.json").write_text(json.dumps(values))
    return folder
