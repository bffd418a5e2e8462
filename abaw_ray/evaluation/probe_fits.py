"""Probes: what a fresh classifier finds in features that were not made for it (Alain and Bengio, 2016)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

HIDDEN = 128
"""Units of the probe with one hidden layer."""
MAX_STEPS = 200
LEAST_DEVIATION = 1e-6


class Half(NamedTuple):
    """Rows that a probe learns from, or that it is tested on.

    Args:
        features: (n, width) float32.
        classes: (n,) int64 from 0.
    """

    features: np.ndarray
    classes: np.ndarray


def probe_accuracies(learned: Half, tested: Half, num_classes: int, seed: int = 0) -> dict[str, float]:
    """Share of the tested rows whose class probes name: `linear`, and `one_layer` with a hidden layer of 128 ReLU.

    Features are scaled to mean 0 and deviation 1 over the rows that are learned from. Probes minimise the sum of the
    cross-entropies + |w|² / 2 over their weights by L-BFGS, as logistic regression with C = 1. Without any rows, or
    where a probe gives no number, accuracies are those of what it says all the same.
    """
    centre, spread = learned.features.mean(0), np.maximum(learned.features.std(0), LEAST_DEVIATION)
    seen, unseen = (torch.from_numpy((half.features - centre) / spread).float() for half in (learned, tested))
    width, classes = learned.features.shape[1], torch.from_numpy(learned.classes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        probes = {
            "linear": nn.Linear(width, num_classes),
            "one_layer": nn.Sequential(nn.Linear(width, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, num_classes)),
        }
    accuracies = {}
    for name, probe in probes.items():
        _fit(probe, seen, classes)
        with torch.inference_mode():
            found = probe(unseen).argmax(-1).numpy()
        accuracies[name] = float((found == tested.classes).mean())
    return accuracies


def _fit(probe: nn.Module, features: Tensor, classes: Tensor) -> None:
    """Minimises the mean of the cross-entropies + |w|² / (2 n)."""
    weights = [p for p in probe.parameters() if p.dim() > 1]
    optimizer = torch.optim.LBFGS(probe.parameters(), max_iter=MAX_STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        penalty = torch.stack([w.square().sum() for w in weights]).sum() / (2 * len(features))
        total = F.cross_entropy(probe(features), classes) + penalty
        total.backward()
        return total

    optimizer.step(loss)
