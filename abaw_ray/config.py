"""A run's configuration: typed, validated, loaded from recipes, changed by dotted overrides, dumped as YAML.

Numbers are the paper's or its reference code's unless a comment says otherwise (Vu et al., ICCVW 2021).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from abaw_ray.errors import ConfigurationError, MissingInputError, quoted, wrong_values
from abaw_ray.plugins import import_plugins

UNREADABLE = (yaml.YAMLError, UnicodeDecodeError, ValueError, OverflowError, RecursionError)
"""What reading YAML ends with where a text is none, or a value is not what its tag says."""


class _Loader(yaml.SafeLoader):
    """The safe loader, which takes the last of a mapping's equal keys, refusing them."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"):
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"found {key.value} twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


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
    exclude_leaking_videos: bool = False
    """Leave out of validation the videos that are in another task's training split; False, as the reference."""


PRETRAINED = "pretrained"
"""`model.weights` of timm's own weights of the backbone."""
HUB = "hf-hub:"
"""What `model.weights` of a repository of the Hugging Face hub begins with."""


def of_hub(weights: str) -> bool:
    """Whether weights are named that come from a hub, and not a file or folder."""
    return weights == PRETRAINED or weights.startswith(HUB)


class ModelConfig(Section):
    """Backbone and heads."""

    backbone: str = "resnet50"
    """Any timm model by name, or a network of public face recognition weights: iresnet18, 34, 50, 100, 200 of
    InsightFace, `resnet50_caffe` of VGGFace2."""
    weights: str | None = None
    """First weights of the backbone: `pretrained` (timm's own, from its hub or the local cache), `hf-hub:org/name`, a
    run's or checkpoint's folder, or a file (safetensors, or a torch state dict); None: random weights."""
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    """Pixel mean and deviation (red, green, blue; 0-255). None: those that the weights were trained with; ImageNet's
    where there are no weights, or where nothing beside a file tells them."""
    freeze_stages: int = Field(0, ge=0)
    """First stages of the backbone that stay as their weights are, with the statistics of their batch norm. The stem,
    or the embedding of patches, is the first; of a transformer every block is one."""
    freeze_batch_norm: bool = False
    """All batch norm of the backbone stays as its weights are: statistics, scale and shift."""
    encoders: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], str | dict[str, Any]] = {}
    """Stream -> its encoder: a name of `models/encoders`, or `kind` and options. None: faces alone, by `backbone`."""
    fusion: str | dict[str, Any] = "concatenate"
    """What joins the encoders' features: a name of `models/fusion`, or `kind` and options."""
    modality_dropout: float = Field(0.0, ge=0, lt=1)
    """Probability in training that a stream of a sample is taken for missing; one that it has is always left."""
    head: str | dict[str, Any] = "reference"
    """Of every task that has no own: a name of `models/heads`, or `kind` and options. `reference`: batch norm, linear,
    ReLU, batch norm, dropout, linear; `paper`: linear, ReLU, dropout, linear."""
    head_features: int = Field(128, ge=1)
    head_dropout: float = Field(0.5, ge=0, lt=1)
    batch_norm: Literal["per_set", "joint"] = "per_set"
    """Forward each source set by itself, as the reference does, or all sets in one batch."""
    va_decode: Literal["endpoints", "centres"] = "endpoints"
    """Values of the 20 bins: equally spaced from -1 to 1 inclusive (reference), or the bin centres."""

    @model_validator(mode="after")
    def _of_streams(self) -> ModelConfig:
        values, fields = dict(self), type(self).model_fields
        changed = any(values[key] != fields[key].default for key in ("fusion", "modality_dropout"))
        if changed and not values["encoders"]:
            raise ValueError("fusion and modality_dropout are of streams; expected encoders")
        return self

    @model_validator(mode="after")
    def _of_weights(self) -> ModelConfig:
        if (self.freeze_stages or self.freeze_batch_norm) and self.weights is None and not self.encoders:
            raise ValueError("freeze_stages and freeze_batch_norm keep weights; expected model.weights")
        return self

    @property
    def weight_files(self) -> dict[str, str]:
        """Dotted keys -> files and folders of weights that are named; not weights of a hub."""
        files = {"model.weights": self.weights}
        for name, encoder in self.encoders.items():
            files[f"model.encoders.{name}.weights"] = encoder.get("weights") if isinstance(encoder, dict) else None
        return {key: file for key, file in files.items() if file is not None and not of_hub(file)}

    def with_weight_files(self, change: Callable[[str], str | None]) -> ModelConfig:
        """The section with other names of all its files and folders of weights; weights of a hub stay."""
        return self._with_weights(lambda weights: weights if of_hub(weights) else change(weights))

    def without_weights(self) -> ModelConfig:
        """The section for a network whose weights are loaded whole afterwards."""
        return self._with_weights(lambda weights: None)

    def _with_weights(self, change: Callable[[str], str | None]) -> ModelConfig:
        encoders = {
            name: encoder | {"weights": change(encoder["weights"])}
            if isinstance(encoder, dict) and encoder.get("weights") is not None
            else encoder
            for name, encoder in self.encoders.items()
        }
        weights = change(self.weights) if self.weights is not None else None
        return self.model_copy(update={"weights": weights, "encoders": encoders})


class LossConfig(Section):
    """Equations 1-10, and which KD losses are in the place of equations 4 and 5."""

    temperature: float = Field(1.5, gt=0)
    hard_weight: float = Field(0.6, ge=0, le=1)
    """Lambda of equation 8; the soft weight is 1 - it."""
    temperature_squared: bool = True
    """Multiply distillation losses by T^2 (reference code; not in the paper)."""
    teacher: str = "ensemble"
    """Kind of teacher: the mean of the networks that a student is given, or another of `teachers`."""
    kd: dict[str, dict[str, Any]] = {"kl": {}}
    """KD losses of a student, which add up: name -> its options. `kl` is the paper's; see `objectives/kd`."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Of multiclass tasks: share of every label that is spread evenly over the classes that its database has (Szegedy
    et al., CVPR 2016, section 7)."""
    ccc_weight: float = Field(1.0, ge=0)
    """Weight of 1 - CCC beside the cross-entropy (the paper prints 1/B)."""
    shared_annotations: bool = True
    """Equation 10; False: equation 9."""
    shared_weighting: Literal["per_frame", "group_mean"] = "per_frame"
    """How frames with and without a shared label combine: each frame equally (equation 10), or the mean of the
    two groups' means (reference code)."""
    reduction: Literal["mean", "sum"] = "mean"
    """A head's loss over its source sets: mean (reference code) or sum (equations 7, 9, 10)."""
    va_binning: Literal["exact", "float32"] = "exact"
    """`float32` repeats the reference's rounding: 8 of the 21 tenths fall one bin low."""
    task_weights: dict[str, float] = {}
    """Weight of each task's head; 1 where not named."""
    set_weights: dict[str, float] = {}
    """Weight of each training set among those that a head learns from; 1 where not named. With `reduction: mean` the
    mean is weighted, so that they move nothing between heads."""

    @field_validator("kd")
    @classmethod
    def _some(cls, losses: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        if not losses:
            raise ValueError("expected at least one KD loss; hard_weight 1 leaves them out")
        return losses

    @field_validator("set_weights")
    @classmethod
    def _positive(cls, weights: dict[str, float]) -> dict[str, float]:
        if any(weight <= 0 for weight in weights.values()):
            raise ValueError("expected weights > 0; sampling.sets leaves sets out")
        return weights

    @field_validator("task_weights")
    @classmethod
    def _not_negative(cls, weights: dict[str, float]) -> dict[str, float]:
        if any(weight < 0 for weight in weights.values()):
            raise ValueError("expected weights >= 0")
        return weights


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


class Operation(Section):
    """A change of some images, drawn for each by itself."""

    probability: float = Field(0.0, ge=0, le=1)
    """Share of the samples that are changed."""


class AffineConfig(Operation):
    """Turned, moved, scaled and sheared about the centre; borders are continued."""

    rotation: float = Field(10.0, ge=0, le=180)
    """Greatest angle in degrees, to both sides."""
    translation: float = Field(0.05, ge=0, le=0.5)
    """Greatest way along each axis, in sides."""
    scale: float = Field(0.1, ge=0, lt=1)
    """Sizes from 1 - it to 1 + it."""
    shear: float = Field(0.0, ge=0, lt=90)
    """Greatest angle in degrees."""


class JitterConfig(Operation):
    """Brightness, contrast and saturation by factors from 1 - strength to 1 + strength, and hue."""

    brightness: float = Field(0.3, ge=0, le=1)
    contrast: float = Field(0.3, ge=0, le=1)
    saturation: float = Field(0.3, ge=0, le=1)
    hue: float = Field(0.02, ge=0, le=0.5)
    """Greatest turn of the colours, to both sides; 1 is a whole turn."""


class BlurConfig(Operation):
    """Gaussian blur."""

    sigma: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(le=16)]] = (0.3, 1.5)
    """Least and greatest standard deviation in pixels."""


class JpegConfig(Operation):
    """Artefacts of JPEG compression."""

    quality: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(le=100)]] = (30, 90)
    """Least and greatest quality."""


class ErasingConfig(Operation):
    """A rectangle with the image's mean colour (Zhong et al., AAAI 2020, with another filling)."""

    area: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(le=1)]] = (0.02, 0.2)
    """Least and greatest share of the image."""
    aspect: float = Field(3.3, ge=1)
    """Greatest ratio of the sides, either way."""


class RandAugmentConfig(Operation):
    """Some of 14 operations, all of one strength (Cubuk et al., CVPR Workshops 2020)."""

    num_operations: int = Field(2, ge=1, le=14)
    """Of an image, one after the other; the same can come twice."""
    magnitude: int = Field(9, ge=0, le=30)
    """Strength."""


class MixupConfig(Operation):
    """Weighted means of two samples and of their labels (Zhang et al., ICLR 2018)."""

    alpha: float = Field(0.2, gt=0)
    """Shares are of Beta(alpha, alpha)."""


class CutmixConfig(Operation):
    """A rectangle of one image in another, and labels by area (Yun et al., ICCV 2019)."""

    alpha: float = Field(1.0, gt=0)
    """Shares are of Beta(alpha, alpha)."""


class AugmentConfig(Section):
    """Zoom, random crop and flip; and, off as long as their probability is 0, other changes in the training of a CNN.

    Windows over time, and views that teachers' outputs are kept for, have zoom, crop and flip alone.
    """

    zoom: float = Field(1.2, ge=1)
    """Faces are resized to int(zoom * size) and cropped back to size, randomly or (evaluation) in the centre."""
    crop: int | None = Field(None, ge=8)
    """Side in pixels of views that are cut out of the stored face as it is, for stores of a larger
    `prepare.image_size`: 112 of 134 is the same part of the face as zoom 1.2 of 112. None: faces are zoomed. Images of
    other streams are zoomed in either case."""
    flip: float = Field(0.5, ge=0, le=1)
    views: int | None = Field(None, ge=1)
    """How many crops and flips of each image training draws from; None: all (the reference). A teacher's outputs can
    be computed beforehand for a number of them."""
    views_seed: int = Field(0, ge=0)
    """Seed that the views are drawn with."""
    affine: AffineConfig = AffineConfig()
    rand_augment: RandAugmentConfig = RandAugmentConfig()
    jitter: JitterConfig = JitterConfig()
    grey: Operation = Operation()
    """Without colours."""
    blur: BlurConfig = BlurConfig()
    jpeg: JpegConfig = JpegConfig()
    erasing: ErasingConfig = ErasingConfig()
    mixup: MixupConfig = MixupConfig()
    cutmix: CutmixConfig = CutmixConfig()

    @property
    def operations(self) -> list[str]:
        """Names of what changes single images, beside zoom, crop and flip, in the order in which it does."""
        names = ("affine", "rand_augment", "jitter", "grey", "blur", "jpeg", "erasing")
        return [name for name in names if getattr(self, name).probability > 0]

    @property
    def mixings(self) -> list[str]:
        """Names of what mixes pairs of samples."""
        return [name for name in ("mixup", "cutmix") if getattr(self, name).probability > 0]

    @field_validator("blur", "jpeg", "erasing")
    @classmethod
    def _ascending(cls, section: Operation) -> Operation:
        for name, value in section:
            if isinstance(value, tuple) and value[0] > value[1]:
                raise ValueError(f"expected {name} from the least to the greatest, found {value[0]} and {value[1]}")
        return section

    @model_validator(mode="after")
    def _possible(self) -> AugmentConfig:
        if self.mixup.probability + self.cutmix.probability > 1:
            raise ValueError("expected mixup.probability + cutmix.probability <= 1: a pair is mixed in one way")
        if self.views is not None:
            require_plain_views(self)
        return self


def require_plain_views(config: AugmentConfig) -> None:
    """Checks that views can be numbered: that they are zoom, crop and flip.

    Raises:
        ValueError: something else changes images, or mixes them.
    """
    others = [*config.operations, *config.mixings]
    if others:
        raise ValueError(
            f"{', '.join(others)}: found a probability > 0 with a number of views; a view that a teacher's outputs are"
            " kept for is a crop and a flip: leave out augment.views and stored outputs, or set the probabilities to 0"
        )


class TrainConfig(Section):
    """Optimisation."""

    epochs: int = Field(40, ge=1)
    patience: int = Field(6, ge=1)
    """Stop after this many epochs in a row without a better criterion (paper: 5, reference code: 6)."""
    learning_rate: float = Field(1e-4, gt=0)
    betas: tuple[float, float] = (0.5, 0.999)
    weight_decay: float = Field(0.0, ge=0)
    layer_decay: float | None = Field(None, gt=0, le=1)
    """Factor of the learning rate from each layer of the backbone to the one before; None: one rate for all."""
    clip_norm: float | None = Field(None, gt=0)
    """Most that the norm of the gradient over all parameters may be; None: not clipped."""
    clip_value: float | None = Field(None, gt=0)
    """Most that any number of the gradient may be, in size; None: not clipped."""
    accumulate: int = Field(1, ge=1)
    """Steps whose gradients are averaged before one optimiser step; the CCC is taken over each step's batch."""
    micro_batches: int = Field(1, ge=1)
    """Parts that a step's batch is computed in, for a batch that a device has no memory for: losses and gradient are
    those of the whole batch, and batch norm is over each part. More than 1 take a second forward pass."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """auto: bfloat16 where the device computes it natively. float16 scales the loss, and leaves out the optimiser's
    steps whose gradient overflows; how many is said."""
    evaluation_batch_size: int = Field(256, ge=1)
    log_every: int = Field(20, ge=1)
    """Steps between TensorBoard points."""

    @model_validator(mode="after")
    def _clipped_one_way(self) -> TrainConfig:
        if self.clip_norm is not None and self.clip_value is not None:
            raise ValueError("expected clip_norm or clip_value, found both")
        return self


class OptimConfig(Section):
    """How weights are changed, beside the rates in `train`. Default: the paper's, Adam at a constant rate."""

    optimizer: str = "adam"
    """Any timm optimiser by name, as adamw, sgd or lion."""
    options: dict[str, Any] = {}
    """Options of the optimiser, as `momentum`. `betas` are those of `train` where it has two."""
    decay: Literal["all", "weights"] = "all"
    """What `train.weight_decay` makes smaller: all parameters, or, `weights`, none that are biases, of norms, or named
    by the backbone."""
    schedule: Literal["constant", "cosine", "step", "plateau"] = "constant"
    """Of the rate: cosine from `train.learning_rate` down to `min_rate` at the end of `train.epochs`; step: times
    `decay_rate` every `decay_epochs`; plateau: times `decay_rate` after `decay_epochs` in a row without a better
    criterion."""
    warmup_epochs: float = Field(0.0, ge=0)
    """Epochs at the beginning in which the rate rises evenly, step by step; they are part of the schedule's."""
    warmup_start: float = Field(0.01, ge=0, le=1)
    """Share of `train.learning_rate` that the warm-up begins with."""
    min_rate: float = Field(0.0, ge=0, le=1)
    """Share of `train.learning_rate` below which cosine and plateau do not go."""
    decay_epochs: int = Field(10, ge=1)
    decay_rate: float = Field(0.1, gt=0, lt=1)
    average: float | None = Field(None, gt=0, lt=1)
    """Decay of a moving average of the weights, which begins as a shorter one: in step n it is at most 1 - n^(-2/3). It
    is evaluated beside the trained weights, and the better are the epoch's. None: there is none."""
    sharpness_radius: float | None = Field(None, gt=0)
    """Radius of sharpness-aware minimisation (SAM, Foret et al., ICLR 2021), which takes every step's gradient twice;
    0.05 in the paper. None: the plain gradient."""
    sync_batch_norm: bool = False
    """Batch norm over the images of all workers, which have GPUs; else over those of each."""
    compile: bool = False
    """Compile the network by `torch.compile`; where that fails, it is said and training goes on without."""


class Recipe(Section):
    """Everything a run depends on beside its data."""

    seed: int = Field(0, ge=0)
    plugins: list[str] = []
    """Modules, by dotted names, that register parts from outside the package; every process imports them."""
    prepare: PrepareConfig = PrepareConfig()
    tasks: dict[str, dict[str, Any]] = {}
    """Options of tasks: name of the label space -> options; see `tasks.base.TaskOptions` and the task's own."""
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    objectives: dict[str, dict[str, Any]] = {}
    """Losses beside those of the tasks' heads: name -> its options; see `objectives`."""
    sampling: SamplingConfig = SamplingConfig()
    augment: AugmentConfig = AugmentConfig()
    temporal: TemporalConfig = TemporalConfig()
    train: TrainConfig = TrainConfig()
    optim: OptimConfig = OptimConfig()

    @model_validator(mode="after")
    def _sharp(self) -> Recipe:
        if self.optim.sharpness_radius is not None and (self.train.accumulate > 1 or self.train.precision == "float16"):
            raise ValueError("optim.sharpness_radius: expected train.accumulate 1 and another precision than float16")
        return self

    @model_validator(mode="after")
    def _warmed_up(self) -> Recipe:
        warmup, epochs = self.optim.warmup_epochs, self.train.epochs
        if warmup > 0 and warmup >= epochs:
            raise ValueError(f"optim.warmup_epochs: found {warmup:g}, expected fewer than train.epochs, {epochs}")
        return self


def load_recipe(source: str | None = None, overrides: list[str] | None = None, base: Recipe | None = None) -> Recipe:
    """A recipe from a file, or from a name among the installed recipes, with `a.b=c` overrides.

    Args:
        source: file or name; None: nothing but `base`.
        overrides: one value each, applied last.
        base: what `source` and the overrides leave as it is; None: the defaults.

    Raises:
        MissingInputError: neither a file nor an installed recipe is called so.
        ConfigurationError: an unknown key, a wrong type or a value out of range; the message names the key.
    """
    values = base.model_dump(mode="json") if base is not None else {}
    _merge(values, _read(source) if source else {})
    for override in overrides or []:
        _override(values, override)
    return parse_recipe(values, source or "the default recipe")


def parse_recipe(values: dict[str, Any], source: str) -> Recipe:
    """Validates `values`; errors name `source` and the key."""
    try:
        recipe = Recipe.model_validate(values)
    except ValidationError as error:
        lines = [f"  {line}" for line in wrong_values(error)]
        raise ConfigurationError("\n".join([f"{source} cannot be used:", *lines])) from None
    import_plugins(recipe.plugins, source)
    return recipe


OptionsT = TypeVar("OptionsT", bound=BaseModel)


def parse_options(kind: type[OptionsT], values: Mapping[str, Any], key: str) -> OptionsT:
    """Validates the options of a part that the recipe has at `key`; errors name it.

    Raises:
        ConfigurationError: an unknown option, a wrong type or a value out of range.
    """
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        lines = [f"  {line}" for line in wrong_values(error)]
        known = f"  known options: {', '.join(kind.model_fields) or 'none'}"
        raise ConfigurationError("\n".join([f"{key} cannot be used:", *lines, known])) from None


def parse_recipe_text(content: bytes, source: str) -> Recipe:
    """The recipe that a file holds; errors name `source` and the key or line."""
    return parse_recipe(_values(content, source), source)


def change_recipe(recipe: Recipe, changes: dict[str, Any], source: str) -> Recipe:
    """The recipe with values of dotted keys, as `loss.temperature`; errors name `source` and the key."""
    values = recipe.model_dump(mode="json")
    for key, value in changes.items():
        _put(values, key, value, source)
    return parse_recipe(values, source)


def dump_recipe(recipe: Recipe) -> str:
    """The resolved recipe as YAML, every key included."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)


def recipe_names() -> list[str]:
    """Names of the installed recipes, as `demo`."""
    root = Path(str(resources.files("abaw_ray") / "recipes"))
    return sorted(str(p.relative_to(root).with_suffix("")) for p in root.rglob("*.yaml"))


def _read(source: str) -> dict[str, Any]:
    path = Path(source)
    if source in recipe_names():
        path = Path(str(resources.files("abaw_ray") / "recipes" / f"{source}.yaml"))
    elif not path.is_file():
        known = ", ".join(recipe_names())
        raise MissingInputError(f"no recipe file {source}, and no installed recipe of that name; installed: {known}")
    return _values(path.read_bytes(), str(path))


def _values(content: bytes, source: str) -> dict[str, Any]:
    try:
        values = load_yaml(content.decode())
    except UNREADABLE as error:
        raise ConfigurationError(f"{source}: not a recipe in YAML: {error}") from None
    if not isinstance(values or {}, dict):
        raise ConfigurationError(f"{source}: found {type(values).__name__}, expected a mapping of sections")
    return values or {}


def load_yaml(text: str) -> Any:
    """The values that a text of YAML holds; raises one of `UNREADABLE`, as where a mapping has a key twice."""
    return yaml.load(text, _Loader)


def _merge(values: dict[str, Any], changes: dict[str, Any]) -> None:
    """Puts `changes` into `values`, section by section."""
    for key, change in changes.items():
        if isinstance(change, dict) and isinstance(values.get(key), dict):
            _merge(values[key], change)
        else:
            values[key] = change


def _override(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigurationError(f"override {quoted(override)}: expected key=value, as train.epochs=5")
    try:
        value = load_yaml(text)
    except UNREADABLE:
        raise ConfigurationError(f"override {quoted(override)}: {quoted(text)} is not a YAML value") from None
    _put(values, key.strip(), value, f"override {quoted(override)}")


def _put(values: dict[str, Any], key: str, value: Any, source: str) -> None:
    """Sets the value of a dotted key."""
    *parents, leaf = key.split(".")
    for parent in parents:
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            raise ConfigurationError(f"{source}: {parent} is not a section")
    values[leaf] = value
