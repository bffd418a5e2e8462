"""Objectives, KD losses and teachers from outside the package, in training: one worker and two, cut off and resumed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from test_loop import run, spawned, weights, with_changes

from abaw_ray.config import Recipe, load_recipe
from abaw_ray.errors import MissingInputError
from abaw_ray.training.job import Job

OWN = ["plugins=[own_parts]", "objectives={spread: {weight: 0.5}, guess: {weight: 0.1, own_steps: 2}}"]
KD = ["loss.kd={scaled: {}, feature: {weight: 0.1}, dkd: {beta: 2}, kl: {}}", "loss.teacher=first"]


@pytest.fixture(scope="module")
def own(recipe: Recipe) -> Recipe:
    return load_recipe(None, [*OWN, *KD, "train.learning_rate=1e-4"], base=recipe)


@pytest.fixture(scope="module")
def teacher(store: Path, recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teacher")
    run(Job(with_changes(recipe, train={"epochs": 1}), str(store), str(folder / "run")), folder)
    return folder / "0"


def learned(folder: Path) -> dict[str, torch.Tensor]:
    """What the losses have learned."""
    state = torch.load(folder / "losses.pt", weights_only=True)
    of_added = {f"{name}/{k}": v for name, part in state["added"]["objectives"].items() for k, v in part.items()}
    return dict(state["objective"]) | of_added


def largest_difference(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
    assert a.keys() == b.keys()
    return max(float((a[name] - b[name]).abs().max()) for name in a)


def test_two_workers_learn_what_one_does(store, own, teacher, tmp_path):
    """Losses of pairs need the rows of both workers, and parameters of losses the gradients of both."""
    job = Job(with_changes(own, train={"epochs": 1}), str(store), str(tmp_path / "run"), (str(teacher), str(teacher)))
    (result,) = run(job, tmp_path / "one")
    assert {"spread/mixed_va", "guess/mixed_va"} <= result.losses.keys()
    arguments = (2, str(tmp_path / "rendezvous"), job, tmp_path / "two")
    torch.multiprocessing.spawn(spawned, arguments, nprocs=2, join=True)
    one, two = tmp_path / "one" / "0", tmp_path / "two" / "0"
    assert largest_difference(weights(one), weights(two)) < 1e-5
    assert largest_difference(learned(one), learned(two)) < 1e-5
    assert float(learned(one)["kd.scaled.scale"]) != 1


def test_a_resumed_run_goes_on_with_what_the_losses_have_learned(store, own, teacher, tmp_path):
    job = Job(own, str(store), str(tmp_path / "run"), (str(teacher),))
    run(job, tmp_path / "whole")
    run(job, tmp_path / "resumed", resume=tmp_path / "whole" / "0")
    assert largest_difference(weights(tmp_path / "whole" / "1"), weights(tmp_path / "resumed" / "1")) == 0
    assert largest_difference(learned(tmp_path / "whole" / "1"), learned(tmp_path / "resumed" / "1")) == 0


def test_the_network_learns_from_an_adversary_in_each_second_step_only(store, own, tmp_path):
    """With a weight of 0 the network is the same with and without; the objective learns by itself all the same."""
    one = with_changes(own, train={"epochs": 1})
    adversary = {"guess": {"weight": 0.0}}
    for name, objectives in (("without", {}), ("with", adversary), ("adversarial", {"guess": {"weight": 1.0}})):
        job = Job(one.model_copy(update={"objectives": objectives}), str(store), str(tmp_path / name / "run"))
        run(job, tmp_path / name)
    without, beside = weights(tmp_path / "without" / "0"), weights(tmp_path / "with" / "0")
    assert largest_difference(without, beside) == 0
    assert largest_difference(without, weights(tmp_path / "adversarial" / "0")) > 1e-5
    state = torch.load(tmp_path / "with" / "0" / "losses.pt", weights_only=True)["added"]
    assert state["num_updates"] == 4
    assert {int(s["step"]) for s in state["optimizers"]["guess"]["state"].values()} == {4}
    assert not (tmp_path / "without" / "0" / "losses.pt").exists()


def test_a_plugin_that_is_not_there_is_named():
    with pytest.raises(MissingInputError, match=r"plugins: no module nowhere_at_all; put its folder on PYTHONPATH"):
        load_recipe(None, ["plugins=[nowhere_at_all]"])
