"""AFEW-VA: film clips with 68 landmarks and valence and arousal in whole steps from -10 to 10."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from abaw_ray.synthetic.behaviour import deck, drift, head_motion, moving
from abaw_ray.synthetic.faces import Actions, Pose, random_identity
from abaw_ray.synthetic.labels import EXPRESSIONS
from abaw_ray.synthetic.records import FaceTruth, Written, write_png
from abaw_ray.synthetic.scenes import Face, random_background, random_camera, take_picture

NAME = "afew_va"
STREAM = 3
NUM_FOLDERS = 12
WIDTH, HEIGHT = 176, 144
LARGEST_LABEL = 10
CLIPS_PER_FOLDER = {"tiny": 1, "small": 4, "medium": 12}
FRAMES = {"tiny": (8, 12), "small": (18, 33), "medium": (18, 33)}
EMOTIONS = dict.fromkeys(EXPRESSIONS, 1.0)


@dataclass(frozen=True)
class Clip:
    seed: int
    number: int
    folder: str
    num_images: int
    emotion: int

    @property
    def name(self) -> str:
        return f"{self.number + 1:03d}"


def plan(seed: int, size: str) -> list[Clip]:
    rng = np.random.default_rng([seed, STREAM])
    per_folder = CLIPS_PER_FOLDER[size]
    num_clips = NUM_FOLDERS * per_folder
    emotions = [EXPRESSIONS.index(n) for n in deck(rng, num_clips, EMOTIONS, at_least=1)]
    lengths = rng.integers(*FRAMES[size], num_clips)
    return [Clip(seed, k, f"{k // per_folder + 1:02d}", int(lengths[k]), emotions[k]) for k in range(num_clips)]


def write(root: Path, clip: Clip) -> Written:
    """Writes a clip's frames and its json."""
    rng = np.random.default_rng([clip.seed, STREAM, clip.number])
    num_frames = clip.num_images
    who = random_identity(rng)
    behaviour = moving(rng, num_frames, [clip.emotion])
    poses = head_motion(rng, num_frames, (0.15, 0.10, 0.18))
    places = np.array([WIDTH / 2, 0.46 * HEIGHT]) + drift(rng, num_frames, 2, memory=40) * (14, 6)
    scale = HEIGHT * rng.uniform(0.29, 0.36)
    background = random_background(rng, WIDTH, HEIGHT)
    # a film is shot with better cameras than a web video
    camera = replace(random_camera(rng), noise=float(rng.uniform(0.5, 3)))
    rated = behaviour.va + rng.normal(0, 0.06, 2) + 0.05 * drift(rng, num_frames, 2, memory=15)
    labels = np.rint(np.clip(rated, -1, 1) * LARGEST_LABEL).astype(int)

    folder = root / clip.folder / clip.name
    folder.mkdir(parents=True)
    units = behaviour.action_units.tolist()
    frames, written = {}, Written()
    for frame in range(num_frames):
        actions, pose = Actions(*behaviour.actions[frame].tolist()), Pose(*poses[frame].tolist())
        x, y = places[frame].tolist()
        picture, shapes = take_picture(rng, background, [Face(who, actions, pose, (x, y), scale)], camera)
        landmarks = shapes[0].landmarks() + rng.normal(0, 0.012 * scale, (68, 2))
        write_png(folder / f"{frame:05d}.png", picture)
        frames[f"{frame:05d}"] = {
            "landmarks": landmarks.round(3).tolist(),
            "valence": int(labels[frame, 0]),
            "arousal": int(labels[frame, 1]),
        }
        error = np.abs(labels[frame] / LARGEST_LABEL - behaviour.va[frame]).max()
        written.truth.append(
            FaceTruth(
                database=NAME,
                video=f"{clip.folder}_{clip.name}",
                frame=frame,
                image=f"{clip.folder}/{clip.name}/{frame:05d}.png",
                identity=clip.number,
                expression=int(behaviour.expression[frame]),
                intensity=float(behaviour.intensity[frame]),
                valence=float(behaviour.va[frame, 0]),
                arousal=float(behaviour.va[frame, 1]),
                action_units=units[frame],
                has_expression_label=False,
                has_va_label=True,
                has_au_label=False,
                expression_invalid=False,
                va_invalid=False,
                au_invalid=False,
                expression_noisy=False,
                va_noisy=bool(error > 0.5 / LARGEST_LABEL),
                au_noisy=False,
                image_missing=False,
            )
        )
    content = {"actor": f"actor {clip.number + 1}", "video_id": clip.name, "frames": frames}
    (folder / f"{clip.name}.json").write_text(json.dumps(content), newline="\n")
    written.counts["num_clips"] += 1
    return written
