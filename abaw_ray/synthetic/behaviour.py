"""How an emotion shows: from expression classes and the valence-arousal plane to face movements, in time.

Both labels come from the same state and share part of their cues: every class sits at a place of the
valence-arousal circumplex, scaled by its intensity, and what is left of valence and arousal moves the face too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from abaw_ray.synthetic.action_units import action_units
from abaw_ray.synthetic.faces import Actions
from abaw_ray.synthetic.labels import EXPRESSIONS

NEUTRAL = EXPRESSIONS.index("Neutral")
EMOTIONS = tuple(k for k in range(len(EXPRESSIONS)) if k != NEUTRAL)
NEUTRAL_BELOW = 0.25
"""Below this intensity a face's expression is called Neutral."""

_CENTRES = {
    "Neutral": (0.0, 0.0),
    "Anger": (-0.50, 0.65),
    "Disgust": (-0.70, 0.30),
    "Fear": (-0.35, 0.80),
    "Happiness": (0.80, 0.35),
    "Sadness": (-0.65, -0.40),
    "Surprise": (0.20, 0.80),
}
CENTRES = np.array([_CENTRES[name] for name in EXPRESSIONS])
"""(7, 2): valence and arousal of each class at full intensity."""

MOVES: dict[str, dict[str, float]] = {
    "Neutral": {},
    "Anger": {"frown": 1.0, "brow_raise": -0.5, "eye_open": 0.1, "press": 0.8, "corner": -0.35, "nose_wrinkle": 0.25},
    "Disgust": {
        "nose_wrinkle": 1.0,
        "upper_lip": 0.8,
        "frown": 0.6,
        "eye_open": -0.4,
        "corner": -0.4,
        "cheek_raise": 0.5,
    },
    "Fear": {
        "brow_raise": 0.7,
        "inner_brow": 0.7,
        "frown": 0.3,
        "eye_open": 0.8,
        "stretch": 0.7,
        "jaw_open": 0.4,
        "corner": -0.2,
    },
    "Happiness": {
        "corner": 1.0,
        "cheek_raise": 0.9,
        "eye_open": -0.25,
        "stretch": 0.5,
        "jaw_open": 0.25,
        "upper_lip": 0.35,
    },
    "Sadness": {"inner_brow": 1.0, "corner": -0.8, "eye_open": -0.4, "press": 0.4, "brow_raise": -0.1},
    "Surprise": {"brow_raise": 1.0, "eye_open": 0.9, "jaw_open": 0.9, "stretch": -0.5},
}
"""Class -> movement of the face -> how far it goes at full intensity."""

_NEIGHBOURS = {
    "Anger": ("Disgust", "Sadness"),
    "Disgust": ("Anger", "Sadness"),
    "Fear": ("Surprise", "Sadness"),
    "Happiness": ("Surprise",),
    "Sadness": ("Disgust", "Fear"),
    "Surprise": ("Fear", "Happiness"),
}
_BLENDS = {EXPRESSIONS.index(k): [EXPRESSIONS.index(n) for n in v] for k, v in _NEIGHBOURS.items()}


def _table(rows: list[dict[str, float]]) -> np.ndarray:
    return np.array([[row.get(action, 0.0) for action in Actions._fields] for row in rows])


_PROTOTYPES = _table([MOVES[name] for name in EXPRESSIONS])
_RESIDUAL = _table(
    [
        {"corner": 0.7, "cheek_raise": 0.4, "frown": -0.4, "inner_brow": -0.2},  # valence
        {"eye_open": 0.8, "brow_raise": 0.5, "jaw_open": 0.35, "flush": 0.8},  # arousal
    ]
)
_FLUSH = Actions._fields.index("flush")
_RESIDUAL_SPREAD = np.array([0.2, 0.2])
_NUM_ACTIONS = len(Actions._fields)


@dataclass(frozen=True)
class Habits:
    """How one person moves: a gain on every movement, and the face at rest. Both (num_actions,)."""

    gain: np.ndarray
    rest: np.ndarray


def random_habits(rng: np.random.Generator) -> Habits:
    gain = np.clip(rng.normal(0.95, 0.25, _NUM_ACTIONS), 0.35, 1.5)
    rest = rng.normal(0, 0.10, _NUM_ACTIONS)
    return Habits(gain, rest)


@dataclass(frozen=True)
class Behaviour:
    """What a face shows, frame by frame.

    Args:
        expression: (frames,) int64, index in `EXPRESSIONS`.
        intensity: (frames,) in [0, 1].
        va: (frames, 2) in [-1, 1].
        actions: (frames, num_actions), as the fields of `Actions`.
    """

    expression: np.ndarray
    intensity: np.ndarray
    va: np.ndarray
    actions: np.ndarray

    @property
    def action_units(self) -> np.ndarray:
        """(frames, 12) int8, 0 or 1, as `ACTION_UNITS`."""
        return action_units(self.actions)


def still(rng: np.random.Generator, expression: int) -> Behaviour:
    """One picture of a face that shows `expression`."""
    emotion = int(rng.choice(EMOTIONS)) if expression == NEUTRAL else expression
    if expression == NEUTRAL:
        intensity = NEUTRAL_BELOW * rng.random() * rng.random()
    else:
        intensity = NEUTRAL_BELOW + (1 - NEUTRAL_BELOW) * rng.beta(1.8, 1.4)
    mixture = _mixture(rng, emotion)[None]
    residual = rng.normal(0, 1, (1, 2))
    noise = rng.normal(0, 1, (1, _NUM_ACTIONS))
    return _behave(mixture, np.array([intensity]), np.array([expression]), residual, noise, random_habits(rng))


def between(rng: np.random.Generator, shares: np.ndarray) -> Behaviour:
    """One picture of a face that shows several classes at once, each by its share (7,) of 1, at full intensity."""
    expression, noise = np.array([int(shares.argmax())]), rng.normal(0, 1, (1, _NUM_ACTIONS))
    return _behave(shares[None], np.ones(1), expression, np.zeros((1, 2)), noise, random_habits(rng))


def posed(rng: np.random.Generator, expression: int) -> np.ndarray:
    """Movements (num_actions,) of a face that shows `expression` alone, clearly, as everybody would."""
    return rng.uniform(0.8, 1.1) * _PROTOTYPES[expression] + rng.normal(0, 0.05, _NUM_ACTIONS)


def moving(rng: np.random.Generator, num_frames: int, emotions: list[int]) -> Behaviour:
    """A video in which the face shows each of `emotions` once, in order: neutral, onset, apex, offset.

    Args:
        emotions: indices in `EXPRESSIONS`; for Neutral no movement grows strong enough to be called an emotion.
    """
    mixture = np.zeros((num_frames, len(EXPRESSIONS)))
    intensity = np.zeros(num_frames)
    expression = np.full(num_frames, NEUTRAL)
    cuts = np.linspace(0, num_frames, len(emotions) + 1).round().astype(int)
    for emotion, start, end in zip(emotions, cuts[:-1], cuts[1:], strict=True):
        rise, hold, fall = np.sort(rng.uniform([0.0, 0.25, 0.75], [0.2, 0.4, 0.95]))
        apex = rng.uniform(0, 0.9 * NEUTRAL_BELOW) if emotion == NEUTRAL else rng.uniform(0.55, 1.0)
        time = np.linspace(0, 1, end - start, endpoint=False)
        intensity[start:end] = apex * np.interp(time, [0, rise, hold, fall, 1], [0, 0.05, 1, 0.8, 0])
        mixture[start:end] = _mixture(rng, int(rng.choice(EMOTIONS)) if emotion == NEUTRAL else emotion)
        expression[start:end] = emotion
    expression[intensity < NEUTRAL_BELOW] = NEUTRAL
    residual = drift(rng, num_frames, 2, memory=25)
    noise = drift(rng, num_frames, _NUM_ACTIONS, memory=8)
    behaviour = _behave(mixture, intensity, expression, residual, noise, random_habits(rng))
    behaviour.actions[:, Actions._fields.index("blink")] = _blinks(rng, num_frames)
    return behaviour


def drift(rng: np.random.Generator, num_frames: int, size: int, memory: float) -> np.ndarray:
    """(num_frames, size) slow noise of mean 0 and deviation 1 that forgets itself over `memory` frames."""
    keep = np.exp(-1 / memory)
    steps = rng.normal(0, np.sqrt(1 - keep**2), (num_frames, size))
    steps[0] = rng.normal(0, 1, size)
    for frame in range(1, num_frames):
        steps[frame] += keep * steps[frame - 1]
    return steps


def head_motion(rng: np.random.Generator, num_frames: int, spread: tuple[float, float, float]) -> np.ndarray:
    """(num_frames, 3) yaw, pitch and roll in radians: slow, about a resting pose; `spread` their deviations."""
    rest = rng.normal(0, 0.7, 3)
    return np.clip(rest + 0.7 * drift(rng, num_frames, 3, memory=30), -2.5, 2.5) * spread


def deck(rng: np.random.Generator, size: int, weights: dict[str, float], at_least: int) -> np.ndarray:
    """(size,) names in random order: each name of `weights` `at_least` times, the rest drawn by weight."""
    names = np.array(list(weights))
    chances = np.array(list(weights.values()))
    certain = np.repeat(names, at_least)[:size]
    drawn = rng.choice(names, size - len(certain), p=chances / chances.sum())
    return rng.permutation(np.concatenate([certain, drawn]))


def _mixture(rng: np.random.Generator, emotion: int) -> np.ndarray:
    """Weights of the classes in one appearance of an emotion: mostly itself, partly a neighbour."""
    weights = np.zeros(len(EXPRESSIONS))
    share = rng.uniform(0, 0.38)
    weights[emotion] += 1 - share
    weights[rng.choice(_BLENDS[emotion])] += share
    return weights


def _behave(
    mixture: np.ndarray,
    intensity: np.ndarray,
    expression: np.ndarray,
    residual: np.ndarray,
    noise: np.ndarray,
    habits: Habits,
) -> Behaviour:
    residual = residual * _RESIDUAL_SPREAD
    va = np.clip(intensity[:, None] * (mixture @ CENTRES) + residual, -1, 1)
    moves = intensity[:, None] * (mixture @ _PROTOTYPES)
    # flush follows arousal itself: a cue that only valence-arousal labels teach
    moves[:, _FLUSH] += 0.8 * va[:, 1]
    actions = habits.gain * (moves + residual @ _RESIDUAL) + habits.rest + 0.08 * noise
    actions[:, Actions._fields.index("blink")] = 0.0
    return Behaviour(expression, intensity, va, actions)


def _blinks(rng: np.random.Generator, num_frames: int) -> np.ndarray:
    blink = np.zeros(num_frames)
    for frame in np.flatnonzero(rng.random(num_frames) < 0.02):
        blink[frame : frame + 3] = (0.6, 1.0, 0.5)[: num_frames - frame]
    return blink
