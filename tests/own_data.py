"""A database, its label spaces, a kind of stream and a task from outside the package: see `own_parts`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from abaw_ray.blocks.row_readers import FixedSizeRows, RowReader
from abaw_ray.databases import DATABASES
from abaw_ray.databases.base import Database, LabelTable, Options, Problems, RowBuilder, SetMember
from abaw_ray.databases.reading.parsing import videos_table
from abaw_ray.spaces import LabelSpace, Split
from abaw_ray.streams import KINDS
from abaw_ray.streams.base import Source, Stream
from abaw_ray.streams.kind import Cut, CutSettings, Kind, NoSample, cut_by_file
from abaw_ray.tasks import TASKS
from abaw_ray.tasks.multiclass import Multiclass

COLOUR = LabelSpace(name="colour", kind="multiclass", names=("red", "green", "blue"))
MARKS = LabelSpace(name="marks", kind="multilabel", names=("bright", "warm"))
LIGHT = LabelSpace(name="light", kind="regression", names=("level",), low=0, high=255)
DEPTH = LabelSpace(name="depth", kind="regression", names=("near", "far"), low=1, high=10)
WHO = LabelSpace(name="who", kind="multiclass", open=True)
MOOD = LabelSpace(name="clip_mood", kind="multiclass", names=("dull", "gay"), level="clip")
SPACES = (COLOUR, MARKS, LIGHT, DEPTH, WHO, MOOD)
SHARES = Stream(name="shares", kind="shares", size=3, encoding="bytes")
CORNER = Stream(name="corner", kind="image", size=16, encoding="jpeg", crop="box")
NUM_VIDEOS, NUM_FRAMES, SIZE = 16, 6, 32
MUTE = 5
"""The video without shares."""


def make(root: Path) -> None:
    """Videos of one colour each, that get lighter frame by frame."""
    for video in range(NUM_VIDEOS):
        (root / str(video)).mkdir(parents=True)
        for frame in range(NUM_FRAMES):
            picture = np.zeros((SIZE, SIZE, 3), np.uint8)
            picture[..., 2 - video % 3] = 90 + 25 * frame
            cv2.imwrite(str(root / str(video) / f"{frame}.png"), picture)


def read(root: Path, options: Options) -> LabelTable:
    rows = RowBuilder(SPACES, [SHARES, CORNER])
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
            path = f"{video}/{frame}.png"
            sources = {"corner": Source(path, (0, 0, SIZE / 2, SIZE / 2))}
            if video != MUTE:
                sources["shares"] = Source(path)
            rows.add(str(video), frame, path, labels, subject=person, sources=sources)
        rows.label_clip(str(video), {"clip_mood": (MOOD.one_hot(video % 2), split)})
    table, unseen = rows.table(), rows.unseen()
    videos = videos_table({str(v): NUM_FRAMES for v in range(NUM_VIDEOS)}, table, unseen)
    return LabelTable(SPACES, table, Problems(), unseen, videos, clips=rows.clips(), streams=(SHARES, CORNER))


class Shares(Kind):
    """The shares of red, green and blue in a picture, in 255ths."""

    encodings = ("bytes",)

    def shape(self, stream: Stream) -> tuple[int, ...]:
        return (stream.size,)

    def field(self, stream: Stream) -> pa.Field:
        return pa.field("shares", pa.list_(pa.uint8(), stream.size))

    def cut(self, rows: pa.Table, root: Path, stream: Stream, settings: CutSettings) -> Cut:
        def opened(path: Path) -> np.ndarray:
            picture = cv2.imread(str(path))
            if picture is None:
                raise NoSample("no_shares", "no picture")
            return picture[..., ::-1].reshape(-1, 3).sum(0, dtype=np.int64)

        def cut_out(sums: np.ndarray, geometry: list[float], frame: int) -> np.ndarray:
            return (255 * sums // sums.sum()).astype(np.uint8)

        return cut_by_file(rows, root, np.zeros((rows.num_rows, stream.size), np.uint8), opened, cut_out)

    def reader(self, stream: Stream, locate: Callable[[int], Path], num_rows: Sequence[int]) -> RowReader:
        return FixedSizeRows(locate, num_rows, self.field(stream), self.shape(stream), np.uint8)


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
KINDS.register("shares", Shares())
