"""What a store is made of, and in which order its samples and windows are learned from."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from abaw_ray.config.model import ModelConfig
from abaw_ray.config.noise import LabelNoise
from abaw_ray.config.section import Section


class SpaceMap(Section):
    """A regression space whose labels are made from those of another one, by dimensions of one name."""

    source: str
    """The space that databases have."""
    names: list[str] = Field(min_length=1)
    """Of its dimensions, among those of the source."""
    low: float = -1.0
    high: float = 1.0
    """Range, onto which the source's is mapped: low + (x - low of the source) * the ratio of the ranges' lengths."""


class PrepareConfig(Section):
    """Databases -> store."""

    databases: dict[str, dict[str, Any]] = {}
    """Database name -> `root` and the options of its adapter."""
    image_size: int = Field(112, ge=16)
    """Side of a stored face in pixels."""
    encoding: Literal["raw", "jpeg"] = "raw"
    jpeg_quality: int = Field(95, ge=1, le=100)
    smallest_face: int = Field(8, ge=1)
    """Least side in pixels of a face where it is cut out; smaller ones are left out as `tiny_face`."""
    keep_damaged: bool = False
    """Keep what can be seen of images that are damaged within; False: they are left out as `damaged_image`."""
    reduced_decoding: bool = False
    """Decode JPEG photos at a half, a quarter or an eighth of their size where all their faces stay at least twice as
    large as they are stored: faster, and stored faces differ by about 1 of 255 on average. False: exact."""
    block_rows: int = Field(1024, ge=1)
    """Most images in one block file."""
    exclude_leaks: Literal["none", "validation", "train"] = "none"
    """Leave out the validation, or the train labels of still pictures that are in both splits, of any databases."""
    near_duplicates: int | None = Field(None, ge=0, le=15)
    """Bits of 64 in which perceptual hashes of a picture may differ, for those that are nearly the same."""
    label_noise: dict[Annotated[str, Field(min_length=1)], dict[str, LabelNoise]] = {}
    """Annotators that are made up, for experiments with wrong labels: name -> label space -> noise. Each has the train
    labels of the annotator without a name, whose own stay as they are, with errors that follow from the seed, its name
    and what an image is of. `loss.label_sets` trains on them."""
    label_maps: dict[str, SpaceMap] = {}
    """Label spaces that are made from others that databases have: name -> from which, so that a database with numbers
    of its own joins others. {valence_arousal: {source: vad, names: [valence, arousal]}} makes -1 to 1 of 1 to 10."""
    exclude_leaking_videos: bool = False
    """Leave out of validation the videos that are in another task's training split; False, as the reference."""


Balance = Literal["class", "sqrt", "repeat", "none"]
"""How often the balance groups of a task are drawn: classes (multiclass), cells of the histogram (regression)."""


class SamplingConfig(Section):
    """Order of samples."""

    sets: list[str] | None = None
    """Training sets to learn from; None: all of the store. The network's tasks are those of its sets."""
    batch_size: int = Field(64, ge=1)
    """Images of each source set in a step, over all workers together."""
    steps_per_epoch: int | None = Field(None, ge=1)
    """None: the smallest set's size divided by the batch size."""
    balance: Balance | dict[str, Balance] = "class"
    """Of all tasks, or by task, `class` where not named. A row of a group with the share f of the rows weighs: class:
    1 / f, every group equally often (reference); sqrt: 1 / sqrt(f), groups by the square root of their size; repeat:
    max(1, sqrt(repeat_threshold / f)) (Gupta et al., CVPR 2019, equation 1; of attributes the greatest of those that
    are present); none: 1."""
    repeat_threshold: float | None = Field(None, gt=0, le=1)
    """Share of the rows below which `repeat` draws a group more often. None: an equal share of every group."""
    database_temperature: float | None = Field(None, gt=0)
    """T: databases of n rows have shares n^(1 / T) of a set (Conneau et al., ACL 2020, section 3.1), each balanced by
    itself: 1 by their size, the larger T the more alike. None: the balance of all rows together decides."""
    joint_weights: Literal["sum", "normalised"] = "sum"
    """Balance weights of a set with both labels: plain sum (reference), or each term scaled to sum 1 first."""
    placement: Literal["replicate", "partition"] = "replicate"
    """Images that a node reads: of the whole store, or, `partition`, of blocks that are dealt to the nodes anew each
    epoch, for stores larger than a node's disk. Classes are then drawn as often as before, but a node's part of a batch
    comes from its own blocks: the samples depend on the number of nodes. On one node it changes nothing.

    It is for training a CNN: temporal training reads features of every video on every node."""


class JoinedCNN(Section):
    """A CNN whose features are joined to those of the recipe's `model`."""

    model: ModelConfig
    heads: dict[str, str | dict[str, Any]] = {}
    """Task -> its head, where it is not that of `model`."""
    outputs: dict[str, int]
    """Task -> length of its output."""


class TemporalConfig(Section):
    """Windows of frames, and networks over the features of a CNN."""

    databases: list[str] = ["affwild2"]
    """Databases of videos whose windows are learned from."""
    window: int = Field(32, ge=2)
    """Frames of a window. Training windows begin every half window, those of evaluation every window."""
    batch_size: int = Field(16, ge=1)
    """Windows of each task in a step, over all workers together."""
    kind: str | dict[str, Any] = "gru"
    """Network over the frames of a window: `gru`, `transformer`, `tcn`, or `kind` and options; see
    `models/sequences`."""
    hidden: int = Field(64, ge=1)
    """Width of a GRU in each direction; a Transformer and a TCN are twice as wide, as both directions together."""
    joined: list[JoinedCNN] = []
    """Further CNNs, whose features are joined along their width to those of `model`, in this order. Training notes here
    what it was given features of; nothing is dumped where there is none."""

    @model_serializer(mode="wrap")
    def _without_none_joined(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = dump(self)
        if not values.get("joined"):
            values.pop("joined", None)
        return values
