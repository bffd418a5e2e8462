"""Passes of a network that drop units, as in training, with everything else as in evaluation (MC dropout).

Gal, Ghahramani, "Dropout as a Bayesian approximation", ICML 2016: each pass is a network drawn at random. Within a pass
every row loses the same units (Kirsch et al., "BatchBALD", NeurIPS 2019), so that a pass is one network, and
what it says of a row depends on no other row: not on the size of batches, their order, or the number of workers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from abaw_ray.errors import ConfigurationError
from abaw_ray.models.cnn import MultiTaskCNN
from abaw_ray.models.sets import FrameNetwork, Network, Streams
from abaw_ray.models.temporal import TemporalNetwork
from abaw_ray.streams.base import FACE

T = TypeVar("T")

DROPOUT = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)


class DropoutPasses:
    """A network with other units dropped in each pass; between passes it is as it was.

    Modules stay in evaluation mode, batch norm with them: what dropout does is done from outside. Dropped are the
    modules Dropout, Dropout1d, 2d and 3d, each by its own rate; streams (`model.modality_dropout`) are not. Of a
    temporal network it is what is over the features, since features are computed once.

    Args:
        network: on its device, in evaluation mode.
        num_passes: at least 2.
        seed: other seeds drop other units; the same units are dropped on every device.

    Raises:
        ConfigurationError: nothing in the network drops units.
    """

    def __init__(self, network: Network, num_passes: int, seed: int) -> None:
        self._network, self.num_passes, self._seed = network, num_passes, seed
        part = network.heads if isinstance(network, TemporalNetwork) else network
        named = {name: module for name, module in part.named_modules() if isinstance(module, DROPOUT)}
        self._modules = {name: module for name, module in named.items() if module.p > 0}
        if not self._modules:
            what = f"{len(named)} of rate 0" if named else "none"
            raise ConfigurationError(
                f"{num_passes} passes of a network without dropout would be the same: found modules of dropout: {what};"
                " expected a rate above 0, as of model.head_dropout for a CNN, or of temporal.kind's option dropout"
            )
        self._masks: dict[tuple[str, int, torch.Size], Tensor] = {}

    def of_frames(self, samples: Streams) -> list[dict[str, Tensor]]:
        """Task -> logits (batch, outputs) of each pass of a network of frames."""
        network = self._network
        if isinstance(network, MultiTaskCNN) and all(".classifier." in name for name in self._modules):
            features = network.task_features(samples.streams[FACE])  # which are the same in all passes
            return self.each(lambda: network.classified(features))
        assert isinstance(network, FrameNetwork), "a network of frames"
        return self.each(lambda: network.of_streams(samples))

    def of_windows(self, features: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
        """Task -> logits (windows * frames, outputs) of each pass of a temporal network."""
        assert isinstance(self._network, TemporalNetwork), "a temporal network"
        network = self._network
        return self.each(lambda: network(features))

    def each(self, ask: Callable[[], T]) -> list[T]:
        """What `ask`, which asks the network, gives in each pass.

        Raises:
            ConfigurationError: it goes past all that drops units.
        """
        found = []
        for number in range(self.num_passes):
            with self._dropping(number):
                found.append(ask())
        if not self._masks:
            raise ConfigurationError("the network's dropout takes no part in its predictions: all passes are the same")
        return found

    @contextmanager
    def _dropping(self, number: int) -> Iterator[None]:
        with ExitStack() as stack:
            for name, module in self._modules.items():
                stack.enter_context(module.register_forward_hook(partial(self._dropped, name, number)))
            for part in self._network.modules():
                if getattr(part, "fused_attn", False):  # of timm: goes past its module of dropout
                    setattr(part, "fused_attn", False)  # noqa: B010  (a tensor or a module for type checkers)
                    stack.callback(setattr, part, "fused_attn", True)
            yield

    def _dropped(self, name: str, number: int, module: nn.Module, inputs: tuple[Tensor], output: Any) -> Tensor:
        """Inputs (rows, ...) without the units of this pass."""
        (given,) = inputs
        shape = given.shape[1:] if isinstance(module, nn.Dropout) else (given.shape[1], *[1] * (given.dim() - 2))
        key = name, number, torch.Size(shape)
        if key not in self._masks:
            self._masks[key] = self._mask(module.p, *key).to(given.device)  # type: ignore[arg-type]
        return given * self._masks[key].to(given.dtype)

    def _mask(self, rate: float, name: str, number: int, shape: torch.Size) -> Tensor:
        """0 for the units that are dropped, 1 / (1 - rate) for others."""
        seeds = np.random.SeedSequence([self._seed, number, *name.encode()])
        generator = torch.Generator().manual_seed(int(seeds.generate_state(1)[0]))
        return (torch.rand(shape, generator=generator) >= rate).float() / (1 - rate)
