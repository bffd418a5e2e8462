"""Networks over several streams: an encoder for each, a fusion, and a head for each task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from abaw_ray.config import ModelConfig, Recipe
from abaw_ray.errors import ConfigurationError
from abaw_ray.models.encoders import build_encoder
from abaw_ray.models.encoders.base import Encoder, Shape
from abaw_ray.models.fusion import build_fusion
from abaw_ray.models.heads import build_head, head_of
from abaw_ray.models.kinds import input_shapes, own_heads
from abaw_ray.models.outputs import HeadsOutput, SetsOutput, split_outputs
from abaw_ray.models.parts import Setting
from abaw_ray.models.sets import FrameNetwork, Streams

Outputs = dict[str, Tensor]
"""Task -> (rows, width)."""


class MultiStreamNetwork(FrameNetwork):
    """Streams -> logits of every task.

    A sample that lacks a stream does not go through its encoder, and is as in a network without the stream.

    Args:
        config: encoders, fusion, heads, batch norm, modality dropout.
        outputs: task -> length of its output.
        shapes: stream -> shape of one of its samples.
        heads: task -> its head, where it is not that of `config`.

    Raises:
        ConfigurationError: an unknown encoder, fusion, head or option of one, or a stream that there is not.
        MissingInputError: a file of weights is not there.
    """

    def __init__(
        self,
        config: ModelConfig,
        outputs: Mapping[str, int],
        shapes: Mapping[str, Shape],
        heads: Mapping[str, Setting] | None = None,
    ) -> None:
        super().__init__()
        unknown = sorted(config.encoders.keys() - shapes.keys())
        if unknown:
            raise ConfigurationError(f"model.encoders: {', '.join(unknown)} not among the streams: {', '.join(shapes)}")
        self._encoders = {
            name: build_encoder(setting, f"model.encoders.{name}", shapes[name], config)
            for name, setting in config.encoders.items()
        }
        self.encoders = nn.ModuleDict(self._encoders)
        self.fusion = build_fusion(config.fusion, "model.fusion", {n: e.width for n, e in self._encoders.items()})
        self._task_heads = {
            t: build_head(*head_of(t, config, heads), self.fusion.width, n, config) for t, n in outputs.items()
        }
        self.heads = nn.ModuleDict(self._task_heads)
        self._head_features = config.head_features
        self._joint, self._dropout = config.batch_norm == "joint", config.modality_dropout

    def forward(self, streams: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Outputs:
        """Task -> logits (batch, outputs): of clips a row a frame, or what its head makes of a clip.

        Args:
            streams: as of `Streams`.
            present: as of `Streams`.
        """
        return dict(self._outputs(streams, present).logits)

    @property
    def streams(self) -> tuple[str, ...]:
        """Those that it has encoders for."""
        return tuple(self._encoders)

    def of_streams(self, samples: Streams) -> Outputs:
        return self(*samples)

    def forward_sets(self, inputs: Mapping[str, Streams]) -> SetsOutput:
        """Logits and features of streams by source set; each set by itself unless the recipe says `joint`."""
        if not self._joint:
            return SetsOutput.of_sets({name: self._outputs(*streams) for name, streams in inputs.items()})
        sizes = [len(next(iter(streams.present.values()))) for streams in inputs.values()]
        joint = self._outputs(*_joined(list(inputs.values()), list(self._encoders), sizes))
        return split_outputs(joint, inputs, sizes)

    @property
    def feature_widths(self) -> dict[str, int]:
        """Task -> length of what its classifier takes."""
        return dict.fromkeys(self._task_heads, self._head_features)

    @property
    def shared_width(self) -> int:
        """Length of what all heads take."""
        return self.fusion.width

    def _outputs(self, streams: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> HeadsOutput:
        masks = self._masks(present)
        leading = masks[0].shape
        flat = {name: mask.flatten() for name, mask in zip(self._encoders, masks, strict=True)}
        encoded = {
            name: _encoded(encoder, streams[name].flatten(0, len(leading) - 1) if name in streams else None, flat[name])
            for name, encoder in self._encoders.items()
        }
        fused = self.fusion(encoded, flat).unflatten(0, leading)
        logits, features = {}, {}
        for task, head in self._task_heads.items():
            rows = head.rows(fused, masks.any(0)) if len(leading) == 2 else fused
            features[task] = head.features(rows)
            logits[task] = head.classifier(features[task])
        return HeadsOutput(logits, features, fused.flatten(0, len(leading) - 1))

    def _masks(self, present: Mapping[str, Tensor]) -> Tensor:
        """Which streams each sample has (streams, batch) or (streams, clips, frames), in the encoders' order.

        In training some are taken for missing, sample by sample, unless nothing would be left.
        """
        nothing = torch.zeros_like(next(iter(present.values())))
        masks = torch.stack([present.get(name, nothing) for name in self._encoders])
        if not self.training or not self._dropout:
            return masks
        draws = torch.rand(masks.shape[:2], device=masks.device).view(*masks.shape[:2], *[1] * (masks.dim() - 2))
        kept = masks & (draws >= self._dropout)
        return torch.where(kept.any(0), kept, masks)


def _encoded(encoder: Encoder, samples: Tensor | None, present: Tensor) -> Tensor:
    """Features (rows, width) of the samples (rows, *shape) that are present; zeros of others."""
    if bool(present.any()):
        assert samples is not None, "what is present is given"
        features = encoder(samples[present])
        return features.new_zeros(len(present), encoder.width).index_put((present,), features)
    # DDP waits for a gradient of every parameter
    nothing = sum((p.sum() * 0.0 for p in encoder.parameters()), torch.zeros((), device=present.device))
    return nothing.expand(len(present), encoder.width)


def _joined(sets: Sequence[Streams], names: Sequence[str], sizes: Sequence[int]) -> Streams:
    """The samples of several sets, one after the other; a stream that only some sets have is missing in the others."""
    streams, present = {}, {}
    for name in names:
        absent = [torch.zeros_like(next(iter(s.present.values()))) for s in sets]
        present[name] = torch.cat([s.present.get(name, none) for s, none in zip(sets, absent, strict=True)])
        example = next((s.streams[name] for s in sets if name in s.streams), None)
        if example is not None:
            blank = [example.new_zeros(size, *example.shape[1:]) for size in sizes]
            streams[name] = torch.cat([s.streams.get(name, b) for s, b in zip(sets, blank, strict=True)])
    return Streams(streams, present)


def build(recipe: Recipe, outputs: Mapping[str, int], shapes: Mapping[str, Shape]) -> MultiStreamNetwork:
    """See `kinds.Build`."""
    return MultiStreamNetwork(recipe.model, outputs, input_shapes(recipe, shapes), own_heads(recipe))


NETWORK = build
