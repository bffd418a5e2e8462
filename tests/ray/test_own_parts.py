"""Everything that has a name, from outside the package, in one student's training on two workers.

A database, spaces of every kind, a kind of stream, a task, an encoder, a fusion, a head, objectives, a KD loss, a
teacher and a search space.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import own_data
import own_space
import pytest

from abaw_ray.blocks.reader import Store
from abaw_ray.config import Recipe, change_recipe, load_recipe
from abaw_ray.evaluation.evaluate import evaluate
from abaw_ray.models import checkpoint
from abaw_ray.models.streams import MultiStreamNetwork
from abaw_ray.preprocess.prepare import prepare
from abaw_ray.training.job import Job
from abaw_ray.training.resources import Resources
from abaw_ray.training.trainer import fit
from abaw_ray.tuning.spaces import check_space, load_space
from abaw_ray.world import local_device

RECIPE = [
    "plugins=[own_data, own_parts]",
    "model.encoders={face: {kind: patches, side: 4}, shares: vector_mlp, corner: {kind: patches, side: 4}}",
    "model.fusion=mean",
    "model.head=narrow",
    "model.head_features=16",
    "tasks={who: {role: nuisance, head: {kind: reversal, strength: 0.1}}, depth: {form: plain, loss: smooth_l1}}",
    "sampling.batch_size=16",
    "sampling.steps_per_epoch=8",
    "train.epochs=2",
    "train.learning_rate=0.01",
]
STUDENT = [
    "model.encoders={face: {kind: patches, side: 4}, shares: vector_mlp}",
    "loss.kd={scaled: {}, kl: {}}",
    "loss.teacher=first",
    "objectives={spread: {weight: 0.01}, guess: {weight: 0.01, own_steps: 2}}",
]
TARGETS = ("colour", "marks", "light", "depth", "clip_mood")


@pytest.fixture(scope="module")
def own_recipe(recipe: Recipe) -> Recipe:
    return load_recipe(None, RECIPE, base=recipe)


@pytest.mark.slow
def test_a_student_of_nothing_but_own_parts(cluster: None, own_recipe: Recipe, tmp_path: Path) -> None:
    own_data.make(tmp_path / "patches")
    prepare(own_recipe, tmp_path / "store", {"patches": {"root": tmp_path / "patches"}})
    store = Store(tmp_path / "store")
    assert set(store.spaces) == {space.name for space in own_data.SPACES}
    assert store.spaces["who"].names == tuple(f"person {k}" for k in range(5))
    shares, present = store.samples("shares", np.arange(len(store.index)))
    has_none = np.array(store.index.video(np.arange(len(store.index)))) == str(own_data.MUTE)
    np.testing.assert_array_equal(present, ~has_none)
    assert set(map(tuple, shares[present].tolist())) == {(255, 0, 0), (0, 255, 0), (0, 0, 255)}
    assert not shares[has_none].any()
    teacher, student = str(tmp_path / "teacher"), str(tmp_path / "student")
    fit(Job(own_recipe, str(store.path), teacher), Resources(2))
    searched = load_space(own_space.__file__)
    with_losses = load_recipe(None, STUDENT, base=own_recipe)
    check_space(searched, with_losses, "own_space")
    drawn = change_recipe(with_losses, {key: domain.sample() for key, domain in searched.items()}, "own_space")
    summary = fit(Job(drawn, str(store.path), student, (teacher, teacher)), Resources(2))
    assert (summary["kind"], summary["num_epochs"]) == ("streams", 2)
    trained = checkpoint.load(tmp_path / "student")
    network = trained.network(local_device())
    assert isinstance(network, MultiStreamNetwork)
    parts = [type(part).__name__ for part in (*network.encoders.values(), network.fusion, *network.heads.values())]
    assert set(parts) == {"Patches", "VectorMLP", "Mean", "Narrow", "ReversalHead"}
    assert trained.description.streams == {"shares": (3,)}, "its teacher has more"
    assert "losses.pt" in trained.description.files
    scores = evaluate(tmp_path / "student", store.path, tmp_path / "scores")["scores"]["every_frame"]["all"]
    assert scores.keys() == {*TARGETS, "who", "criterion"}
    assert scores["colour"]["criterion"] == scores["colour"]["accuracy"], "the own task's"
    tasks = trained.tasks(trained.recipe)
    assert scores["criterion"] == pytest.approx(sum(tasks[t].criterion(scores[t]) for t in TARGETS)), "without who"
    assert scores["colour"]["accuracy"] > 0.9
    assert scores["depth"]["mae_near"] < 2
