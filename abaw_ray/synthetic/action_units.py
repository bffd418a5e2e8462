"""Which facial action units a drawn face shows: movements beyond a threshold, as an annotator would see them."""

from __future__ import annotations

import numpy as np

from abaw_ray.synthetic.faces import Actions
from abaw_ray.synthetic.labels import ACTION_UNITS

THRESHOLDS: dict[str, dict[str, float]] = {
    "AU1": {"inner_brow": 0.35, "brow_raise": 0.4},
    "AU2": {"brow_raise": 0.35},
    "AU4": {"frown": 0.3},
    "AU6": {"cheek_raise": 0.3},
    "AU7": {"eye_open": -0.22},
    "AU10": {"upper_lip": 0.25, "nose_wrinkle": 0.45},
    "AU12": {"corner": 0.3},
    "AU15": {"corner": -0.3},
    "AU23": {"press": 0.2},
    "AU24": {"press": 0.3},
    "AU25": {"jaw_open": 0.18, "upper_lip": 0.45},
    "AU26": {"jaw_open": 0.33},
}
"""Unit -> movement -> how far it goes, or how far the opposite way, for the unit to be seen; any of them is enough."""


def action_units(actions: np.ndarray) -> np.ndarray:
    """Which units are shown.

    Args:
        actions: (frames, num_actions), as the fields of `Actions`.

    Returns:
        (frames, 12) int8, 0 or 1, in the order of `ACTION_UNITS`.
    """
    shown = np.zeros((len(actions), len(ACTION_UNITS)), np.int8)
    for unit, name in enumerate(ACTION_UNITS):
        for movement, threshold in THRESHOLDS[name].items():
            moved = actions[:, Actions._fields.index(movement)] * np.sign(threshold)
            shown[:, unit] |= moved > abs(threshold)
    return shown
