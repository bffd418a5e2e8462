"""Backbone, encoders and heads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from abaw_ray.config.section import Section

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
    grey: bool = False
    """Colours are left out of all images, in training and afterwards: for networks that learn from grey pictures alone,
    which say something else of the same picture in colours."""
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
