"""A run's whole configuration: validated, loaded from recipes, changed by overrides, dumped as YAML."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError, model_validator

from abaw_ray.config.augment import AugmentConfig
from abaw_ray.config.checkpoint import CheckpointConfig
from abaw_ray.config.data import PrepareConfig, SamplingConfig, TemporalConfig
from abaw_ray.config.loss import LossConfig
from abaw_ray.config.model import ModelConfig
from abaw_ray.config.section import Section
from abaw_ray.config.train import OptimConfig, TrainConfig
from abaw_ray.config.yaml_values import apply_override, merge, put, recipe_values
from abaw_ray.errors import ConfigurationError, MissingInputError, wrong_values
from abaw_ray.plugins import import_plugins


class Recipe(Section):
    """Everything a run depends on beside its data."""

    seed: int = Field(0, ge=0)
    plugins: list[str] = []
    """Modules, by dotted names, that register parts from outside the package; every process imports them."""
    prepare: PrepareConfig = PrepareConfig()
    tasks: dict[str, dict[str, Any]] = {}
    """Options of tasks: name of the label space -> options; see `tasks.base.TaskOptions` and the task's own."""
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    objectives: dict[str, dict[str, Any]] = {}
    """Losses beside those of the tasks' heads: name -> its options; see `objectives`."""
    sampling: SamplingConfig = SamplingConfig()
    augment: AugmentConfig = AugmentConfig()
    temporal: TemporalConfig = TemporalConfig()
    train: TrainConfig = TrainConfig()
    optim: OptimConfig = OptimConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()

    @property
    def backbones(self) -> tuple[str, ...]:
        """Names of the backbones, the joined ones after the model's."""
        return (self.model.backbone, *(cnn.model.backbone for cnn in self.temporal.joined))

    @model_validator(mode="after")
    def _sharp(self) -> Recipe:
        if self.optim.sharpness_radius is not None and (self.train.accumulate > 1 or self.train.precision == "float16"):
            raise ValueError("optim.sharpness_radius: expected train.accumulate 1 and another precision than float16")
        return self

    @model_validator(mode="after")
    def _warmed_up(self) -> Recipe:
        warmup, epochs = self.optim.warmup_epochs, self.train.epochs
        if warmup > 0 and warmup >= epochs:
            raise ValueError(f"optim.warmup_epochs: found {warmup:g}, expected fewer than train.epochs, {epochs}")
        return self


def load_recipe(source: str | None = None, overrides: list[str] | None = None, base: Recipe | None = None) -> Recipe:
    """A recipe from a file, or from a name among the installed recipes, with `a.b=c` overrides.

    Args:
        source: file or name; None: nothing but `base`.
        overrides: one value each, applied last.
        base: what `source` and the overrides leave as it is; None: the defaults.

    Raises:
        MissingInputError: neither a file nor an installed recipe is called so.
        ConfigurationError: an unknown key, a wrong type or a value out of range; the message names the key.
    """
    values = base.model_dump(mode="json") if base is not None else {}
    merge(values, _read(source) if source else {})
    for override in overrides or []:
        apply_override(values, override)
    return parse_recipe(values, source or "the default recipe")


def parse_recipe(values: dict[str, Any], source: str) -> Recipe:
    """Validates `values`; errors name `source` and the key."""
    try:
        recipe = Recipe.model_validate(values)
    except ValidationError as error:
        lines = [f"  {line}" for line in wrong_values(error)]
        raise ConfigurationError("\n".join([f"{source} cannot be used:", *lines])) from None
    import_plugins(recipe.plugins, source)
    return recipe


def parse_recipe_text(content: bytes, source: str) -> Recipe:
    """The recipe that a file holds; errors name `source` and the key or line."""
    return parse_recipe(recipe_values(content, source), source)


def change_recipe(recipe: Recipe, changes: dict[str, Any], source: str) -> Recipe:
    """The recipe with values of dotted keys, as `loss.temperature`; errors name `source` and the key."""
    values = recipe.model_dump(mode="json")
    for key, value in changes.items():
        put(values, key, value, source)
    return parse_recipe(values, source)


def dump_recipe(recipe: Recipe) -> str:
    """The resolved recipe as YAML, every key included."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)


def recipe_names() -> list[str]:
    """Names of the installed recipes, as `demo`."""
    root = Path(str(resources.files("abaw_ray") / "recipes"))
    return sorted(str(p.relative_to(root).with_suffix("")) for p in root.rglob("*.yaml"))


def _read(source: str) -> dict[str, Any]:
    path = Path(source)
    if source in recipe_names():
        path = Path(str(resources.files("abaw_ray") / "recipes" / f"{source}.yaml"))
    elif not path.is_file():
        known = ", ".join(recipe_names())
        raise MissingInputError(f"no recipe file {source}, and no installed recipe of that name; installed: {known}")
    return recipe_values(path.read_bytes(), str(path))
