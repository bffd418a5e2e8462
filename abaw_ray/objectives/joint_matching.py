"""The joint distribution of images, labels and noise, matched by adversaries (Zhang et al., WACV 2021, noisyFER).

The network in training is the encoder E of a bidirectional generative network (Donahue and Simonyan, NeurIPS 2019):
from an image x it gives labels y, and by a small network over its features noise z. A decoder G gives an image from the
labels of a row, as its annotators gave them, and noise of a standard normal distribution. Discriminators D of images,
of noise, of each task's labels, and of all together, give scores S. They learn to tell the two sides apart by the hinge
loss, while the others learn to make that wrong:

    L_D = mean relu(1 - S(x, E(x))) + mean relu(1 + S(G(z, y), z, y))
    L_E = weight * mean S(x, E(x))           L_G = -mean S(G(z, y), z, y)

beside the losses of the tasks' heads. Means are over rows, then over the discriminators. L_D is 2 where all scores are
0, and 0 where the sides are told apart by a margin of 1 each.

The paper's code shows the discriminator of classes logits on the network's side and 0 and 1 on the decoder's, which it
tells apart at once; here it is shown probabilities.

A row counts for the labels that it has. Where one is missing neither side has it: the decoder is not told, and what the
network says of it is hidden.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from abaw_ray.errors import ConfigurationError
from abaw_ray.models.sets import Streams
from abaw_ray.objectives.base import Context, Objective, ObjectiveOptions, Player, StepData
from abaw_ray.objectives.matching_networks import Decoder, Discriminators, NoiseEncoder, Parts
from abaw_ray.objectives.terms import SetLabels, Term
from abaw_ray.spaces import LabelSpace
from abaw_ray.streams.base import FACE
from abaw_ray.tasks import targets
from abaw_ray.tasks.base import Task
from abaw_ray.tasks.soft import masked_sum

NAME = "joint_matching"


class JointMatchingOptions(ObjectiveOptions):
    """Options of the matching. Defaults of all but `width` are those of the paper's code for RAF-DB, where the matching
    begins after 5 epochs (`delay`)."""

    learning_rate: float = Field(1e-4, gt=0)
    """Of the discriminators, the decoder and the encoder of noise."""
    own_steps: int = Field(2, ge=1)
    """Steps of the discriminators for each step of the decoder and the encoder of noise, and for each in which the
    network learns from them."""
    image_size: Literal[8, 16, 32, 64, 128] = 64
    """Side in pixels of the images that are matched, to which those of the network are scaled."""
    width: int = Field(64, ge=1)
    """Channels next to the images; each halving of their side doubles them, up to eight times as many."""
    features: int = Field(512, ge=1)
    """Features of each discriminator, and of the encoder of noise."""
    noise: int = Field(100, ge=1)
    """Numbers of noise."""


class JointMatching(Objective):
    """L_E for the network; L_D, and the two sides of L_E and L_G, for three players with optimisers of their own.

    All target tasks of the network are matched, of any kind. Noise is drawn by each worker for its own rows.

    Raises:
        ConfigurationError: a network that takes no faces, or training rows without one.
    """

    Options = JointMatchingOptions
    options: JointMatchingOptions

    def __init__(self, options: ObjectiveOptions, context: Context) -> None:
        super().__init__(options, context)
        if FACE not in context.shapes:
            found = ", ".join(context.shapes) or "features of another network"
            raise ConfigurationError(f"objectives.{NAME}: the network takes {found}, expected faces, which are matched")
        if context.lacking.get(FACE):
            raise ConfigurationError(
                f"objectives.{NAME}: {context.lacking[FACE]} training rows have no face, and faces are matched; name"
                " training sets of faces in sampling.sets"
            )
        own = self.options
        self._tasks = {name: context.tasks[name] for name in targets(context.tasks)}
        sizes = {name: task.space.size for name, task in self._tasks.items()}
        width = sum(context.feature_widths[name] for name in self._tasks)
        self.noise_encoder = NoiseEncoder(width, own.features, own.noise)
        self.decoder = Decoder(own.noise + sum(sizes.values()), own.image_size, own.width)
        self.discriminators = Discriminators(sizes, own.noise, own.image_size, own.width, own.features)

    def players(self) -> dict[str, Player]:
        """The discriminators, and at the network's rate the decoder and the encoder of noise."""
        period = self.options.own_steps
        return {
            "discriminators": Player(self.discriminators, self._told_apart),
            "decoder": Player(self.decoder, self._decoder_terms, period),
            "noise_encoder": Player(self.noise_encoder, self.terms, period),
        }

    def terms(self, step: StepData) -> list[Term]:
        """Mean score of what the network makes of its images."""
        return self._terms(step, lambda source: _sums(self._scored(self._of_network(step, source))))

    def _decoder_terms(self, step: StepData) -> list[Term]:
        """-Mean score of what the decoder makes of labels."""
        return self._terms(step, lambda source: _sums(self._scored(self._of_decoder(step, source)), -1.0))

    def _told_apart(self, step: StepData) -> list[Term]:
        """Mean hinge loss of the discriminators."""

        def sums(source: str) -> Tensor:
            with torch.no_grad():
                parts = self._of_network(step, source).followed_by(self._of_decoder(step, source))
            losses = []
            for scores, rows in self._scored(parts):
                of_network, of_decoder = scores.chunk(2)
                losses.append((hinge(of_network, of_decoder), rows.chunk(2)[0]))
            return _sums(losses)

        return self._terms(step, sums)

    def _terms(self, step: StepData, sums: Callable[[str], Tensor]) -> list[Term]:
        return [Term(source, NAME, sums(source), mean_of_means) for source in step.labels]

    def _scored(self, parts: Parts) -> list[tuple[Tensor, Tensor]]:
        """Scores (n,) of each discriminator, and the rows that count (n,) bool."""
        return list(self.discriminators(parts).values())

    def _of_network(self, step: StepData, source: str) -> Parts:
        """Images, and what the network says of them."""
        labels, features = step.labels[source], step.network.features[source]
        logits = step.network.logits[source]
        said = {name: _said(task, logits[name], labels) for name, task in self._tasks.items()}
        noise = self.noise_encoder(torch.cat([features[name].float() for name in self._tasks], dim=1))
        return Parts(self._images(step.inputs[source]), noise, said, self._known(labels))

    def _of_decoder(self, step: StepData, source: str) -> Parts:
        """Labels, noise, and the images that the decoder makes of them."""
        labels = step.labels[source]
        given = {
            name: _hidden(_scaled(labels.labels[name].float(), task.space), _unknown(labels, name))
            for name, task in self._tasks.items()
        }
        first = next(iter(given.values()))
        noise = torch.randn(len(first), self.options.noise, device=first.device)
        return Parts(self.decoder(noise, given), noise, given, self._known(labels))

    def _known(self, labels: SetLabels) -> Mapping[str, Tensor]:
        return {name: labels.labelled[name] for name in self._tasks}

    def _images(self, samples: Streams) -> Tensor:
        """Views of faces (n, 3, S, S) from 0 to 255 as they are matched."""
        images = samples.streams[FACE].float() / 127.5 - 1.0
        side = self.options.image_size
        return F.interpolate(images, (side, side), mode="bilinear", antialias=True)


def hinge(of_network: Tensor, of_decoder: Tensor) -> Tensor:
    """relu(1 - S) of scores of the network's side + relu(1 + S) of the decoder's, both (n,): (n,), >= 0."""
    return (1.0 - of_network).relu() + (1.0 + of_decoder).relu()


def mean_of_means(sums: Tensor) -> Tensor:
    """The mean over discriminators of their rows' mean; those without a row do not count.

    Args:
        sums: (discriminators * 2,) float64: of each the sum over its rows, and their number.
    """
    totals, counts = sums.view(-1, 2).unbind(1)
    return (totals / counts.clamp(min=1.0)).sum() / (counts > 0).sum().clamp(min=1)


def _sums(values: Sequence[tuple[Tensor, Tensor]], sign: float = 1.0) -> Tensor:
    """What `mean_of_means` takes, of values (n,) of each discriminator and the rows that count (n,)."""
    pairs = [torch.stack([sign * masked_sum(of_rows, rows), rows.double().sum()]) for of_rows, rows in values]
    return torch.cat(pairs)


def _said(task: Task, logits: Tensor, labels: SetLabels) -> Tensor:
    """What the network says, as a label: probabilities of the classes that the row's database has, or values."""
    name = task.space.name
    unknown = _unknown(labels, name)
    if task.space.kind == "multiclass":
        logits = logits.float().masked_fill(unknown & labels.labelled[name][:, None], -torch.inf)
    return _hidden(_scaled(task.decode(logits), task.space), unknown)


def _unknown(labels: SetLabels, name: str) -> Tensor:
    """Which numbers of the labels there are not: (n, size) bool."""
    return labels.labels[name].isnan() | ~labels.labelled[name][:, None]


def _hidden(values: Tensor, unknown: Tensor) -> Tensor:
    return torch.where(unknown, 0.0, values)


def _scaled(values: Tensor, space: LabelSpace) -> Tensor:
    """Values of a regression from -1 to 1."""
    if space.kind != "regression":
        return values
    return (2.0 * values - (space.high + space.low)) / (space.high - space.low)


OBJECTIVE = JointMatching
