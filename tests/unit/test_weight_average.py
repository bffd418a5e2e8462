"""The moving average of the weights: its values, which weights a checkpoint keeps, and how a run goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from checkpoints import make_checkpoint
from learners import equal, learner_of, resumes, run, training_recipe, weights
from stores import make_store
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from abaw_ray.models import checkpoint
from abaw_ray.monitoring import tags
from abaw_ray.monitoring.run_log import read_metrics
from abaw_ray.training.updates import Updates
from abaw_ray.world import World


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("made") / "store").path


def test_the_average_follows_the_weights_with_a_decay_that_grows(store):
    recipe = training_recipe("optim.average=0.5")
    stage, learner = learner_of(store, recipe)
    updates = Updates(learner, recipe, 3)
    expected = None
    for number, batch in enumerate(stage.batches(0, World())):
        learner.step(batch, True, 1)
        updates.done()
        trained = {name: p.detach().clone() for name, p in learner.network.named_parameters()}
        decay = min(0.5, 1 - (1 + number) ** (-2 / 3))
        expected = {n: decay * expected[n] + (1 - decay) * p for n, p in trained.items()} if expected else trained
    averaged = dict(updates.networks["averaged"].named_parameters())
    assert expected is not None
    for name, value in expected.items():
        torch.testing.assert_close(averaged[name].detach(), value)


@pytest.mark.parametrize("backbone", ["test_nfnet", "test_efficientnet"])
def test_the_better_weights_are_kept_and_a_run_goes_on_with_both(store, tmp_path, backbone):
    recipe = training_recipe(f"model.backbone={backbone}", "optim.average=0.9", "train.epochs=3")
    assert resumes(recipe, store, tmp_path)
    for line in read_metrics(tmp_path / "whole" / "run"):
        criteria = line["criteria"]
        assert line["criterion"] == max(criteria.values())
        described = checkpoint.load(tmp_path / "whole" / str(line["epoch"])).description
        assert criteria[described.weights] == line["criterion"]
        assert set(criteria) == {"trained", "averaged"}
    events = EventAccumulator(str(next((tmp_path / "whole" / "run").rglob("events*")).parent)).Reload()
    for name in ("trained", "averaged"):
        assert len(events.Scalars(f"{tags.CRITERION}_of_{name}_weights")) == 3


@pytest.mark.parametrize("kept", ["trained", "averaged"])
def test_whichever_weights_are_kept_training_goes_on_from_the_trained_ones(store, kept):
    recipe = training_recipe("optim.average=0.9")
    stage, learner = learner_of(store, recipe)
    updates = Updates(learner, recipe, 3)
    for batch in stage.batches(0, World()):
        learner.step(batch, True, 1)
        updates.done()
    before = {name: network.state_dict() for name, network in updates.networks.items()}
    assert not equal(before["trained"], before["averaged"])
    _, resumed = learner_of(store, recipe)
    resumed.network.load_state_dict(before[kept])
    again = Updates(resumed, recipe, 3)
    again.resume(1, kept, updates.state(kept))
    assert equal({name: network.state_dict() for name, network in again.networks.items()}, before)


def test_the_average_changes_nothing_of_what_is_trained(store, tmp_path):
    for name, settings in (("plain", []), ("averaged", ["optim.average=0.9"])):
        run(training_recipe("train.epochs=1", *settings), store, tmp_path / name)
    plain, folder = weights(tmp_path / "plain" / "0"), tmp_path / "averaged" / "0"
    others = torch.load(folder / "training.pt", weights_only=True)["weights"]
    trained = others.get("trained", weights(folder))
    assert equal(trained, plain)
    assert not (tmp_path / "plain" / "0" / "training.pt").exists()


def test_a_checkpoint_without_the_note_has_the_hash_that_it_had(tmp_path):
    folder = make_checkpoint(tmp_path / "checkpoint")
    described = checkpoint.load(folder).description
    assert described.weights == "trained"
    assert described.hash() != described.model_copy(update={"weights": "averaged"}).hash()
    lines = [line for line in (folder / "checkpoint.json").read_text().splitlines() if '"weights"' not in line]
    (folder / "checkpoint.json").write_text("\n".join(lines))
    assert checkpoint.load(folder).description == described
