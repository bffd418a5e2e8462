"""Wrong labels on purpose: what an annotator makes of true ones. NumPy only.

An error follows from a key (of seed and annotator) and the id of the row alone, whatever other rows there are and
whoever computes it. Only the row that an inconsistent label is taken from depends on which rows there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from abaw_ray.config import (
    AdditiveNoise,
    ConfusionNoise,
    InconsistentNoise,
    LabelNoise,
    OutlierNoise,
    SymmetricNoise,
)
from abaw_ray.errors import ConfigurationError
from abaw_ray.identity import uniforms_of
from abaw_ray.spaces import Kind, LabelSpace

OF_KINDS: Mapping[type, tuple[Kind, ...]] = {
    SymmetricNoise: ("multiclass", "multilabel"),
    ConfusionNoise: ("multiclass", "multilabel"),
    AdditiveNoise: ("regression",),
    OutlierNoise: ("regression",),
    InconsistentNoise: ("multiclass", "multilabel", "regression"),
}
ATTRIBUTE = ("absent", "present")


def require_fit(noise: LabelNoise, space: LabelSpace, key: str) -> None:
    """Refuses noise that is not for labels of a space.

    Args:
        noise: of the labels.
        space: of the labels.
        key: of the recipe that has the noise, for the message.

    Raises:
        ConfigurationError: another kind of labels, or a class that there is none of.
    """
    kinds = OF_KINDS[type(noise)]
    if space.kind not in kinds or space.open:
        found = f"{space.kind} labels{', open' if space.open else ''}"
        raise ConfigurationError(f"{key}: {noise.kind} noise is of {' and '.join(kinds)} labels, found {found}")
    if isinstance(noise, ConfusionNoise):
        known = space.names if space.kind == "multiclass" else ATTRIBUTE
        named = {*noise.changes, *(label for labels in noise.changes.values() for label in labels)}
        unknown = sorted(named - set(known))
        if unknown:
            raise ConfigurationError(f"{key}.changes: {', '.join(unknown)} not among {', '.join(known)}")


def noisy_labels(
    noise: LabelNoise,
    space: LabelSpace,
    labels: np.ndarray,
    ids: np.ndarray,
    key: str,
    inconsistent: Sequence[str] = (),
) -> np.ndarray:
    """What an annotator makes of labels.

    Args:
        noise: the annotator's, fit for the space.
        space: of the labels.
        labels: (n, size) float32 true ones; NaN where a number is not known, as of a class that the database lacks.
        ids: (n,) uint64 of the rows, as of `identity.image_ids`.
        key: other keys give other errors, as other seeds and annotators have.
        inconsistent: names of the spaces whose labels the annotator makes inconsistent, this one's among them.

    Returns:
        (n, size) float32; what is not known stays so.
    """
    if isinstance(noise, InconsistentNoise):
        return _inconsistent(noise, space, labels, ids, key, sorted(inconsistent))
    u = uniforms_of(ids, f"{key}/{space.name}", 2 * space.size)
    if isinstance(noise, AdditiveNoise):
        from scipy.special import ndtri

        errors = noise.bias + noise.deviation * ndtri(np.maximum(u[:, : space.size], 2.0**-54))
        return np.clip(labels + errors, space.low, space.high).astype(np.float32)
    if isinstance(noise, OutlierNoise):
        drawn = space.low + (space.high - space.low) * u[:, space.size :]
        return np.where((u[:, :1] < noise.rate) & ~np.isnan(labels), drawn, labels).astype(np.float32)
    if space.kind == "multilabel":
        return _attributes_turned(noise, labels, u[:, : space.size])
    return _other_classes(noise, space, labels, u)


def _attributes_turned(noise: SymmetricNoise | ConfusionNoise, labels: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Every attribute by itself, by its own random number (n, size)."""
    if isinstance(noise, SymmetricNoise):
        of_absent = of_present = noise.rate / 2 if noise.any_class else noise.rate
    else:
        of_absent = noise.changes.get("absent", {}).get("present", 0.0)
        of_present = noise.changes.get("present", {}).get("absent", 0.0)
    turned = u < np.where(labels > 0.5, of_present, of_absent)
    return np.where(turned & ~np.isnan(labels), 1 - labels, labels).astype(np.float32)


def _other_classes(
    noise: SymmetricNoise | ConfusionNoise, space: LabelSpace, labels: np.ndarray, u: np.ndarray
) -> np.ndarray:
    """A class in the place of the largest, by two random numbers of each row; other labels stay, distributions too."""
    has = ~np.isnan(labels)
    true = np.where(has, labels, -1.0).argmax(1)
    if isinstance(noise, SymmetricNoise):
        drawn_from = has.copy()
        if not noise.any_class:
            drawn_from[np.arange(len(labels)), true] = False
        p = noise.rate * drawn_from / np.maximum(drawn_from.sum(1, keepdims=True), 1)
    else:
        matrix = np.zeros((space.size, space.size))
        for name, changes in noise.changes.items():
            for label, rate in changes.items():
                matrix[space.names.index(name), space.names.index(label)] = rate
        p = matrix[true] * has
    bounds = np.cumsum(p, axis=1)
    hit = u[:, 0] < bounds[:, -1]
    drawn = np.minimum((u[:, :1] >= bounds).sum(1), space.size - 1)
    changed = np.where(has, np.arange(space.size) == drawn[:, None], np.nan)
    return np.where(hit[:, None], changed, labels).astype(np.float32)


def _inconsistent(
    noise: InconsistentNoise, space: LabelSpace, labels: np.ndarray, ids: np.ndarray, key: str, spaces: Sequence[str]
) -> np.ndarray:
    """Labels of other rows, where this space's is the one of `spaces` that is drawn for the row."""
    hit, which, donor = uniforms_of(ids, f"{key}/inconsistent", 3).T
    drawn = np.minimum((which * len(spaces)).astype(np.int64), len(spaces) - 1) == spaces.index(space.name)
    others = len(labels) - 1
    if others < 1:
        return labels
    places = np.arange(len(labels))
    step = 1 + np.minimum((donor * others).astype(np.int64), others - 1)
    taken = labels[(places + step) % len(labels)]
    return np.where(((hit < noise.rate) & drawn)[:, None], taken, labels)
