"""What a run is, for TensorBoard's Text and HParams tabs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from abaw_ray.blocks.reader import Store
from abaw_ray.config import Recipe, Section, dump_recipe
from abaw_ray.monitoring.hparams import Value, type_of
from abaw_ray.settings import changed_settings, settings_of
from abaw_ray.tasks.base import Task

COMPARED = (
    "seed",
    "model.backbone",
    "model.head",
    "loss.kd",
    "loss.temperature",
    "loss.hard_weight",
    "loss.shared_annotations",
    "sampling.sets",
    "sampling.batch_size",
    "sampling.steps_per_epoch",
    "augment.views",
    "train.epochs",
    "train.learning_rate",
    "train.weight_decay",
    "train.precision",
)
"""Settings that have a column in HParams."""

OTHERS = "other settings"
"""The column of those that differ from the default recipe beside them."""

SHOWN = ("role", "seed", "model.backbone", "loss.temperature", "train.learning_rate")
"""Columns that TensorBoard shows before any are chosen."""


@dataclass(frozen=True)
class RunDescription:
    """A run in training.

    Args:
        role: teacher or student.
        kind: of network, as in `checkpoint.Description`.
        recipe: its configuration.
        store: that it is trained on.
        inputs: what else it is given, by what it is, as teachers -> their folders.
        tasks: of the network.
        set_tasks: training set -> tasks that it has labels of.
        num_parameters: of the network that are learned.
        num_workers: that train it together.
        device: of this one.
        is_trial: one of a sweep, which has a table of its trials of its own.
    """

    role: str
    kind: str
    recipe: Recipe
    store: Store
    inputs: Mapping[str, tuple[str, ...]]
    tasks: Mapping[str, Task]
    set_tasks: Mapping[str, tuple[str, ...]]
    num_parameters: int
    num_workers: int
    device: torch.device
    is_trial: bool = False

    @property
    def name(self) -> str:
        """What TensorBoard calls it, after the run's folder."""
        return f"{self.role}-{self.kind}"

    def texts(self) -> dict[str, str]:
        """Tag -> Markdown: what it is, settings that differ from the default recipe, and the whole recipe."""
        changed = changed_settings(self.recipe, Recipe())
        default = settings_of(Recipe())
        rows = [(key, value, default.get(key, "")) for key, value in changed.items()]
        return {
            "run": _table(("", ""), self._facts().items()),
            "recipe/changed": _table(("setting", "this run", "default"), rows) if rows else "The default recipe.",
            "recipe/whole": f"```yaml\n{dump_recipe(self.recipe)}```",
        }

    def parameters(self) -> dict[str, Value]:
        """Column of HParams -> this run's value; the same columns for all runs, as TensorBoard takes those of any."""
        settings, default = _values(self.recipe), _values(Recipe())
        others = {k: v for k, v in settings.items() if k not in COMPARED and v != default.get(k)}
        own: dict[str, Value] = {
            "role": self.role,
            "kind": self.kind,
            "num_teachers": len(self.inputs.get("teachers", ())),
        }
        as_text = ", ".join(f"{key}={value}" for key, value in others.items())
        return own | {key: settings[key] for key in COMPARED} | {OTHERS: as_text}

    def parameter_types(self) -> dict[str, int]:
        """Of `parameters`: those of the default recipe, where a setting may have none."""
        default = self.parameters() | {key: _values(Recipe())[key] for key in COMPARED}
        return {key: type_of([value]) for key, value in default.items()}

    def _facts(self) -> dict[str, str]:
        manifest = self.store.manifest
        databases = [f"{entry.name}: {entry.num_images:,} images" for entry in manifest.databases]
        sets = [f"{name}: {', '.join(tasks)}" for name, tasks in self.set_tasks.items()]
        tasks = [f"{name}: {task.space.kind}, {task.space.size}" for name, task in self.tasks.items()]
        return {
            "role": self.role,
            "network": f"{self.kind}, {' + '.join(self.recipe.backbones)}, {self.num_parameters:,} parameters",
            **{what: "<br>".join(places) for what, places in self.inputs.items() if places},
            "store": f"{self.store.path}, content {manifest.content_hash[:12]}",
            "databases": "<br>".join(databases),
            "training sets": "<br>".join(sets),
            "tasks": "<br>".join(tasks),
            "image size": f"{self.store.image_size} pixels",
            "workers": f"{self.num_workers}, on {self.device.type}",
            "torch": torch.__version__,
        }


def _table(heading: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> str:
    """A table in Markdown."""
    lines = [heading, ("---",) * len(heading), *rows]
    return "\n".join(f"| {' | '.join(_cell(value) for value in line)} |" for line in lines)


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


def _values(recipe: Recipe) -> dict[str, Value]:
    """Dotted keys of settings -> values; lists and mappings as one line of JSON."""
    values: dict[str, Value] = {}
    for name, of_recipe in recipe.model_dump(mode="json").items():
        is_section = isinstance(getattr(recipe, name), Section)
        parts = {f"{name}.{key}": value for key, value in of_recipe.items()} if is_section else {name: of_recipe}
        values |= {k: json.dumps(v) if isinstance(v, dict | list) else v for k, v in parts.items()}
    return values
