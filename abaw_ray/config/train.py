"""Optimisation."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from abaw_ray.config.section import Section


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
    test_views: int = Field(1, ge=1, le=10)
    """Views of each face whose predictions are averaged in evaluations, training's own too, and in competition entries:
    1: the centre; 2: and its mirror image; up to 10: and shifted crops (see `augmentation.evaluation_views`). They take
    so many times the time. `predict` and exported files look at the centre alone. Not for labels that tell left from
    right."""
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
