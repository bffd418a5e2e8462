"""A database, its label spaces and a task from outside the package, registered as a user's are: see `own_parts`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from abaw_ray.databases import DATABASES
from abaw_ray.databases.base import Database, LabelTable, Options, Problems, RowBuilder, SetMember
from abaw_ray.databases.reading.parsing import videos_table
from abaw_ray.spaces import LabelSpace, Split
from abaw_ray.tasks import TASKS
from abaw_ray.tasks.multiclass import Multiclass

COLOUR = LabelSpace(name="colour", kind="multiclass", names=("red", "green", "blue"))
MARKS = LabelSpace(name="marks", kind="multilabel", names=("bright", "warm"))
LIGHT = LabelSpace(name="light", kind="regression", names=("level",), low=0, high=255)
DEPTH = LabelSpace(name="depth", kind="regression", names=("near", "far"), low=1, high=10)
WHO = LabelSpace(name="who", kind="multiclass", open=True)
MOOD = LabelSpace(name="clip_mood", kind="multiclass", names=("dull", "gay"), level="clip")
SPACES = (COLOUR, MARKS, LIGHT, DEPTH, WHO, MOOD)
NUM_VIDEOS, NUM_FRAMES, SIZE = 16, 6, 32


def make(root: Path) -> None:
    """Videos of one colour each, that get lighter frame by frame."""
    for video in range(NUM_VIDEOS):
        (root / str(video)).mkdir(parents=True)
        for frame in range(NUM_FRAMES):
            picture = np.zeros((SIZE, SIZE, 3), np.uint8)
            picture[..., 2 - video % 3] = 90 + 25 * frame
            cv2.imwrite(str(root / str(video) / f"{frame}.png"), picture)


def read(root: Path, options: Options) -> LabelTable:
    rows = RowBuilder(SPACES)
    for video in range(NUM_VIDEOS):
        split = Split.VALIDATION if video % 4 == 3 else Split.TRAIN
        for frame in range(NUM_FRAMES):
            person, level = f"person {video % 5}", 90 + 25 * frame
            labels: dict[str, Any] = {
                "colour": (COLOUR.one_hot(video % 3), split),
                "marks": ([float(frame > 2), float(video % 3 == 0)], split),
                "light": ([level], split),
                "depth": ([1 + frame, np.nan if frame % 2 else 10 - frame], split),
                "who": (person, split),
            }
            rows.add(str(video), frame, f"{video}/{frame}.png", labels, subject=person)
        rows.label_clip(str(video), {"clip_mood": (MOOD.one_hot(video % 2), split)})
    table, unseen = rows.table(), rows.unseen()
    videos = videos_table({str(v): NUM_FRAMES for v in range(NUM_VIDEOS)}, table, unseen)
    return LabelTable(SPACES, table, Problems(), unseen, videos, clips=rows.clips())


class Colour(Multiclass):
    """A multiclass task with a criterion of its own."""

    def _criterion(self, macro_f1: float, accuracy: float) -> float:
        return accuracy


DATABASES.register(
    "patches",
    Database(
        name="patches",
        title="Patches of colour",
        obtain="nowhere: the tests make it",
        options=Options,
        read=read,
        crop="whole",
        sets=lambda options: (
            SetMember("of_frames", ("colour", "marks", "light", "depth", "who")),
            SetMember("of_clips", ("clip_mood",)),
        ),
        sequential=True,
    ),
)
TASKS.register("colour", Colour)
