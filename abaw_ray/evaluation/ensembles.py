"""Several trained networks that predict together: the mean of what they say, by weights for each task.

Each predicts by itself, as it would alone, one after the other, so that one is in memory at a time; CNNs and temporal
networks can be mixed. What is put together are their predictions (see `mixtures`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from abaw_ray.blocks.features import FeatureManifest
from abaw_ray.blocks.reader import Store
from abaw_ray.config import Recipe
from abaw_ray.errors import ConfigurationError
from abaw_ray.evaluation.evaluator import Evaluator
from abaw_ray.evaluation.mixtures import Predicted
from abaw_ray.inference.networks import open_network
from abaw_ray.inference.predict import Progress, share_of
from abaw_ray.models import checkpoint
from abaw_ray.models.checkpoint import Checkpoint
from abaw_ray.models.kinds import of_frames, streams_of
from abaw_ray.models.sets import Network
from abaw_ray.spaces import LabelSpace, Split
from abaw_ray.storage import AnyPath

T = TypeVar("T")

Runs = AnyPath | str | Sequence[AnyPath | str]
"""A finished run, or a checkpoint, or several, which are an ensemble."""


@dataclass(frozen=True)
class Member:
    """A network of an ensemble, or the only one, as it travels to where the device is.

    Args:
        path: of its checkpoint, absolute.
        kind: of network.
        recipe: how it predicts.
        features: of its CNNs on the store, in their order; none: it takes images.
    """

    path: AnyPath
    kind: str
    recipe: Recipe
    features: tuple[AnyPath, ...]

    @property
    def is_temporal(self) -> bool:
        """Whether it goes on from the features of a CNN."""
        return not of_frames(self.kind)


def load_members(runs: Runs) -> list[Checkpoint]:
    """The checkpoints of runs.

    Raises:
        ConfigurationError: none, or one that has other tasks than the first.
        MissingInputError, StoreError: no such run, or it is damaged.
    """
    several = runs if isinstance(runs, Sequence) and not isinstance(runs, str) else [runs]
    found = [checkpoint.load(run) for run in several]
    if not found:
        raise ConfigurationError("no run given; expected one, or the members of an ensemble")
    first = _spaces(found[0])
    for trained in found:
        own = _spaces(trained)
        if own != first:
            names = sorted(name for name in first.keys() | own.keys() if first.get(name) != own.get(name))
            raise ConfigurationError(
                f"{trained.path}: found {'; '.join(_described(name, own.get(name)) for name in names)}, expected"
                f" {'; '.join(_described(name, first.get(name)) for name in names)}, as {found[0].path}: an ensemble's"
                " members predict the same"
            )
    return found


def paths_of(trained: Sequence[Checkpoint]) -> str | list[str]:
    """Where the checkpoint is, or those of an ensemble, for people."""
    paths = [str(member.path) for member in trained]
    return paths if len(paths) > 1 else paths[0]


def members_of(trained: Sequence[Checkpoint], recipes: Sequence[Recipe], features: Sequence[AnyPath]) -> list[Member]:
    """Members that predict as recipes say.

    Args:
        trained: their checkpoints.
        recipes: of each.
        features: of CNNs on the store. Of an ensemble those members are given some whose CNNs' are all among them, in
            the CNNs' order; others compute their features.

    Raises:
        ConfigurationError: features that no member is given.
        MissingInputError, StoreError: no such features.
    """
    places = [place.resolve() for place in features]
    of_each = [tuple(places)]
    if len(trained) > 1:
        of_cnn = {FeatureManifest.read(place).cnn_sha256: place for place in places}
        of_each = [_features_of(member, of_cnn) for member in trained]
        unused = [str(place) for place in places if not any(place in of_member for of_member in of_each)]
        if unused:
            raise ConfigurationError(
                f"--features {', '.join(unused)}: of other CNNs than those that members go on from"
            )
    return [
        Member(member.path.resolve(), member.description.kind, recipe, of_member)
        for member, recipe, of_member in zip(trained, recipes, of_each, strict=True)
    ]


def _features_of(trained: Checkpoint, of_cnn: Mapping[str, AnyPath]) -> tuple[AnyPath, ...]:
    """Of those by the hashes of their CNNs, the ones of a member; none unless all of its CNNs are among them."""
    noted = trained.description.cnn_sha256 or ()
    cnns = (noted,) if isinstance(noted, str) else noted
    return tuple(of_cnn[cnn] for cnn in cnns) if all(cnn in of_cnn for cnn in cnns) else ()


def databases_of(members: Sequence[Member]) -> list[str] | None:
    """Databases that members are evaluated on: those of the temporal ones; None: all.

    Raises:
        ConfigurationError: temporal members that are for different ones.
    """
    of_each = {tuple(member.recipe.temporal.databases): member.path for member in members if member.is_temporal}
    if len(of_each) > 1:
        found = "; ".join(f"{', '.join(databases)} of {path}" for databases, path in of_each.items())
        raise ConfigurationError(
            f"temporal.databases: found {found}; expected the same of all temporal networks, as by"
            " --set temporal.databases=[...]"
        )
    return list(next(iter(of_each))) if of_each else None


def window_lengths(members: Sequence[Member]) -> set[int | None]:
    """Frames of the windows that temporal members take; None is there if a member takes single frames."""
    return {member.recipe.temporal.window if member.is_temporal else None for member in members}


def comparable(members: Sequence[Member], predicted: Sequence[Predicted]) -> list[Predicted]:
    """Predictions that can be put together: windows are left out unless all members have those of one length."""
    return list(predicted) if len(window_lengths(members)) == 1 else [Predicted(part.frames) for part in predicted]


def ask_each(
    members: Sequence[Member],
    store: Store,
    split: Split,
    ask: Callable[[Evaluator, Network, Progress | None], T],
    databases: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> list[T]:
    """What each member is asked, on the device of this process, one after the other.

    Args:
        members: on this machine, or where it can read.
        store: to predict for.
        split: of its labels.
        ask: given the member's evaluator, its network, and what shows how far it is.
        databases: of the store; None: all, or those of temporal networks.
        names: of the tasks; None: all.
        progress: shows how far all of them are.
    """

    def of_one(member: Member, show: Progress | None) -> T:
        trained = checkpoint.load(member.path)
        network, source = open_network(trained, store, member.recipe, member.features)
        tasks = trained.tasks(member.recipe)
        chosen = {name: task for name, task in tasks.items() if names is None or name in names}
        evaluator = Evaluator(store, chosen, split, member.recipe, source, databases, taken)
        evaluator.verify()
        return ask(evaluator, network, show)

    taken = [streams_of(member.recipe.model) for member in members]
    return [of_one(member, share_of(progress, number, len(members))) for number, member in enumerate(members)]


def _spaces(trained: Checkpoint) -> dict[str, LabelSpace]:
    return {space.name: space for space in trained.description.spaces}


def _described(name: str, space: LabelSpace | None) -> str:
    if space is None:
        return f"no task {name}"
    ranged = f" from {space.low:g} to {space.high:g}" if space.kind == "regression" else ""
    return f"{name}: {space.kind}{ranged} of {', '.join(space.names)}"
