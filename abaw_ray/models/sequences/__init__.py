"""Networks over the frames of a window, one file each. A module here that defines `SEQUENCE` is one."""

from __future__ import annotations

from abaw_ray.config import TemporalConfig, parse_options
from abaw_ray.models.parts import chosen
from abaw_ray.models.sequences.base import Sequence
from abaw_ray.plugins import Registry

SEQUENCES: Registry[type[Sequence]] = Registry(__name__, "SEQUENCE", "temporal network")


def build_sequence(config: TemporalConfig, in_features: int, out_features: int) -> Sequence:
    """The network of one task that `temporal.kind` names.

    Args:
        config: kind and width.
        in_features: length of a frame's features.
        out_features: length of its logits.

    Raises:
        ConfigurationError: an unknown kind or option.
    """
    sequence, options = chosen(SEQUENCES, config.kind, "temporal.kind")
    return sequence(in_features, config.hidden, out_features, parse_options(sequence.Options, options, "temporal.kind"))
