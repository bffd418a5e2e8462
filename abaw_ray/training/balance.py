"""Balance of the training sets of a store: how often each of their rows is drawn, by all tasks they are made for."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from abaw_ray.blocks.reader import SourceSet
from abaw_ray.config import Balance, SamplingConfig
from abaw_ray.errors import ConfigurationError
from abaw_ray.sampling.weights import database_weights, set_groups, set_weights
from abaw_ray.tasks.balance import balance_groups, balance_weights
from abaw_ray.tasks.base import Task

Vectors = Callable[[str, np.ndarray], np.ndarray]
"""Gives the label vectors (n, size) of a task that rows (n,) are trained with."""


def set_balance(
    source: SourceSet, database: np.ndarray, labels: Vectors, tasks: Mapping[str, Task], config: SamplingConfig
) -> np.ndarray:
    """Balance weights (n,) float64 of a set's rows; with a temperature each database is balanced by itself.

    Args:
        source: the set, with at least one row.
        database: (rows,) of all rows of the store.
        labels: of the rows.
        tasks: of the network, by name.
        config: how.
    """

    def weights(rows: np.ndarray) -> np.ndarray:
        return set_weights(_by_task(balance_weights, rows, source, labels, tasks, config), config.joint_weights)

    if config.database_temperature is None:
        return weights(source.rows)
    found, databases = np.zeros(len(source.rows)), database[source.rows]
    for code in np.unique(databases):
        found[databases == code] = weights(source.rows[databases == code])
    return database_weights(found, databases, config.database_temperature)


def set_balance_groups(
    source: SourceSet, database: np.ndarray, labels: Vectors, tasks: Mapping[str, Task], config: SamplingConfig
) -> np.ndarray:
    """Groups (n,) int64, from 0, of rows of equal `set_balance`, whose arguments these are."""

    def groups(rows: np.ndarray) -> np.ndarray:
        return set_groups(_by_task(balance_groups, rows, source, labels, tasks, config))

    if config.database_temperature is None:
        return groups(source.rows)
    found, databases = np.zeros(len(source.rows), np.int64), database[source.rows]
    before = 0
    for code in np.unique(databases):
        own = databases == code
        found[own] = before + groups(source.rows[own])
        before = int(found.max()) + 1
    return found


def require_balance(tasks: Mapping[str, Task], config: SamplingConfig) -> None:
    """Checks that `sampling.balance` and the losses' weights are of these tasks, and not both of one.

    Raises:
        ConfigurationError: a task there is none of, or one whose rare classes would count twice.
    """
    named = config.balance if isinstance(config.balance, dict) else {}
    unknown = sorted(named.keys() - tasks.keys())
    if unknown:
        raise ConfigurationError(f"sampling.balance: {', '.join(unknown)} not among the tasks: {', '.join(tasks)}")
    for name, task in tasks.items():
        how, weighting = of_task(config, name), getattr(task, "class_weighting", "none")
        if weighting != "none" and how != "none":
            raise ConfigurationError(
                f"tasks.{name}.class_weights={weighting} is in the place of balanced sampling, found sampling.balance"
                f" {how}: rare classes would count twice; set sampling.balance={{{name}: none}} or class_weights=none"
            )


def of_task(config: SamplingConfig, name: str) -> Balance:
    """How the rows of a task's sets are balanced by it."""
    return config.balance.get(name, "class") if isinstance(config.balance, dict) else config.balance


def _by_task(
    balance: Callable[..., np.ndarray],
    rows: np.ndarray,
    source: SourceSet,
    labels: Vectors,
    tasks: Mapping[str, Task],
    config: SamplingConfig,
) -> list[np.ndarray]:
    """What `balance_weights` or `balance_groups` gives of some rows of a set by each of its tasks."""
    return [
        balance(tasks[name], labels(name, rows), of_task(config, name), config.repeat_threshold)
        for name in source.tasks
    ]
