"""What an evaluation does where the device is: networks predict, what is fitted is fitted, and all is scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from abaw_ray.blocks.reader import Store
from abaw_ray.evaluation.decisions import ValidationDecisions
from abaw_ray.evaluation.ensemble_weights import FittedWeights, equal_weights, fit_weights
from abaw_ray.evaluation.ensembles import Member, ask_each, comparable, databases_of
from abaw_ray.evaluation.evaluator import HEADLINE, Evaluation, Evaluator
from abaw_ray.evaluation.mixtures import Predicted, mixed
from abaw_ray.evaluation.predictions import POOLED
from abaw_ray.evaluation.smoothing import CANDIDATES, Smoothing, parse_smoothing
from abaw_ray.evaluation.uncertain_networks import FoundUncertainty, UncertaintySettings, hear, judge
from abaw_ray.inference.predict import Progress, share_of
from abaw_ray.models import checkpoint
from abaw_ray.models.sets import Network
from abaw_ray.spaces import Split
from abaw_ray.storage import AnyPath
from abaw_ray.world import World, local_device

TUNE = "tune"
"""As a smoothing: the one with the best criterion on the validation split."""

EQUAL, FIT = "equal", "fit"
"""As weights of an ensemble's members: all the same, or fitted on the validation split (see `ensemble_weights`)."""


@dataclass(frozen=True)
class Asked:
    """What answers are to be made with.

    Args:
        smooth: over time, or `tune`.
        weights: of an ensemble's members.
        decided: before; None: it is fitted.
        uncertainty: what is asked of the networks' uncertainty; None: nothing.
    """

    smooth: str | None
    weights: str = EQUAL
    decided: ValidationDecisions | None = None
    uncertainty: UncertaintySettings | None = None


@dataclass(frozen=True)
class Alone:
    """How good a member of an ensemble is by itself, evaluated like the ensemble.

    Args:
        criterion: what models are selected by.
        criteria: task -> its part of it, nuisances too.
    """

    criterion: float
    criteria: dict[str, float]


@dataclass(frozen=True)
class Found:
    """What an evaluation found.

    Args:
        evaluation: of the predictions of all networks together.
        smoothing: that it was made with.
        smoothings_tried: criterion of each; None: none was.
        faceless: the videos without any face.
        weights: of an ensemble: task -> weight of each member.
        fitted: task -> how they were fitted, where they were.
        alone: each member of an ensemble.
        uncertainty: of all of them together, where it was asked for.
    """

    evaluation: Evaluation
    smoothing: str | None
    smoothings_tried: dict[str, float] | None
    faceless: list[str]
    weights: dict[str, list[float]]
    fitted: dict[str, FittedWeights]
    alone: list[Alone]
    uncertainty: FoundUncertainty | None


def evaluate_members(
    members: Sequence[Member], store_path: AnyPath, split: Split, asked: Asked, progress: Progress | None
) -> Found:
    """Evaluates networks together.

    Args:
        members: one, or those of an ensemble.
        store_path: to evaluate on.
        split: of its labels.
        asked: what answers are made with.
        progress: shows how far it is.
    """
    store, world, decided = Store(store_path), World(device=local_device()), asked.decided
    if asked.uncertainty is not None:
        for member in members:  # before the first has predicted anything
            asked.uncertainty.require(checkpoint.load(member.path).network(world.device), store)
    heard = []

    def ask(evaluator: Evaluator, network: Network, show: Progress | None) -> tuple[Evaluator, Predicted]:
        if asked.uncertainty is None:
            predicted = evaluator.predict(network, world, show)
        else:
            predicted = evaluator.predict(network, world, share_of(show, 0, 2))
            heard.append(hear(evaluator, network, asked.uncertainty, world, share_of(show, 1, 2)))
        return evaluator.without_features(), predicted

    answers = ask_each(members, store, split, ask, databases_of(members), progress=progress)
    first = answers[0][0]
    fitted = {}
    if asked.weights == FIT:
        tables = [evaluator.table(predicted.frames)[0] for evaluator, predicted in answers]
        fitted = fit_weights(tables, first.tasks)
    given = {name: of_task.weights for name, of_task in fitted.items()}
    if decided is not None and decided.weights is not None:
        given = decided.weights
    weights = {name: given.get(name, equal_weights(len(members))) for name in first.tasks}
    together = mixed(comparable(members, [predicted for _, predicted in answers]), weights)
    smoothing, tried = parse_smoothing(asked.smooth) if asked.smooth not in (None, TUNE) else None, None
    if asked.smooth == TUNE:
        smoothing, tried = tune_smoothing(first, together)
    alone = []
    if len(members) > 1:
        fits = decided is None
        alone = [_alone(m, *answer, smoothing, fits) for m, answer in zip(members, answers, strict=True)]
    decisions, uncertainty = decided.decisions if decided is not None else None, None
    if asked.uncertainty is not None:
        uncertainty = judge(first, heard, asked.uncertainty, decisions, smoothing, weights)
    return Found(
        evaluation=first.score(together, decisions, smoothing),
        smoothing=str(smoothing) if smoothing is not None else None,
        smoothings_tried=tried,
        faceless=first.frames.faceless,
        weights=weights,
        fitted=fitted,
        alone=alone,
        uncertainty=uncertainty,
    )


def _alone(
    member: Member, evaluator: Evaluator, predicted: Predicted, smoothing: Smoothing | None, fits: bool
) -> Alone:
    """A member by itself, with thresholds that are fitted on the same frames, or those of its own validation."""
    decisions = None if fits else checkpoint.load(member.path).description.decisions
    found = evaluator.score(predicted, decisions, smoothing)
    scores = found.scores[HEADLINE][POOLED]
    criteria = {name: task.criterion(scores[name]) for name, task in evaluator.tasks.items() if name in scores}
    return Alone(found.criterion, criteria)


def tune_smoothing(evaluator: Evaluator, predicted: Predicted) -> tuple[Smoothing | None, dict[str, float]]:
    """The smoothing with the best criterion, None if that is none at all, and the criterion of each candidate."""
    criteria = {"none": evaluator.score(predicted).criterion}
    criteria |= {str(s): evaluator.score(predicted, smoothing=s).criterion for s in CANDIDATES}
    best = max(criteria, key=lambda name: criteria[name])
    return (None if best == "none" else parse_smoothing(best)), criteria
