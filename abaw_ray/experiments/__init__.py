"""Experiments of related papers, one file each, by name: what `reproduce` runs beside the main paper's tables.

A module here that defines `EXPERIMENT` adds one.
"""

from __future__ import annotations

from abaw_ray.experiments.base import Experiment
from abaw_ray.plugins import Registry

EXPERIMENTS: Registry[Experiment] = Registry(__name__, "EXPERIMENT", "experiment")
