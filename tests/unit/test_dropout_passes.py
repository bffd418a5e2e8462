"""Passes of a network that drop units: they differ, are repeatable, and leave all else as it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from checkpoints import make_checkpoint, small_recipe
from stores import make_store

from abaw_ray.blocks.reader import Store
from abaw_ray.errors import ConfigurationError
from abaw_ray.inference.distributions import predict_distributions
from abaw_ray.inference.dropout_passes import DropoutPasses
from abaw_ray.inference.predict import predict_rows
from abaw_ray.inference.samples import FrameSamples
from abaw_ray.models import checkpoint
from abaw_ray.models.temporal import TemporalNetwork
from abaw_ray.world import World


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(make_store(tmp_path_factory.mktemp("store")).path)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_checkpoint(tmp_path_factory.mktemp("run") / "checkpoint")


def asked(trained, store, passes=None, rows=None, batch=128, world=None):
    recipe = small_recipe(f"train.evaluation_batch_size={batch}")
    network = trained.network(World().device)
    chosen = DropoutPasses(network, *passes) if passes else None
    rows = rows if rows is not None else np.arange(len(store.index))
    return predict_distributions(network, chosen, trained.tasks(recipe), store, None, rows, recipe, world or World())


def test_passes_differ_and_their_seed_repeats_them_whatever_the_batch_and_the_order(store, run):
    trained, rows = checkpoint.load(run), np.arange(len(store.index))
    found = asked(trained, store, (5, 0))
    again = asked(trained, store, (5, 0), rows[::-1], batch=3)
    other = asked(trained, store, (5, 1))
    for name, of_task in found.items():
        assert (of_task.uncertainty()["epistemic"] > 1e-6).mean() > 0.9
        np.testing.assert_allclose(of_task.p, again[name].p[::-1], atol=1e-5)
        np.testing.assert_allclose(of_task.entropy, again[name].entropy[::-1], atol=1e-4)
        assert np.abs(of_task.p - other[name].p).max() > 1e-4


def test_passes_leave_the_network_as_it_was(store, run):
    """Batch norm is as in evaluation: its statistics, and what it does, are those of no pass."""
    trained = checkpoint.load(run)
    network, recipe = trained.network(World().device), small_recipe()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    tasks, rows = trained.tasks(recipe), np.arange(len(store.index))
    plain = predict_rows(network, tasks, store, rows, recipe, World())
    predict_distributions(network, DropoutPasses(network, 3, 0), tasks, store, None, rows, recipe, World())
    assert not any(module.training for module in network.modules())
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    for name, values in predict_rows(network, tasks, store, rows, recipe, World()).items():
        np.testing.assert_array_equal(values, plain[name])


def test_a_pass_drops_units_at_their_rate_and_keeps_their_sum():
    network = torch.nn.Sequential(torch.nn.BatchNorm1d(10_000), torch.nn.Dropout(0.3))
    network.eval()
    given = torch.ones(2, 10_000)
    with torch.inference_mode():
        outputs = DropoutPasses(network, 2, 0).each(lambda: network(given))
    for output in outputs:
        assert torch.equal(output[0], output[1])  # a pass is one network for all rows
        assert float((output == 0).float().mean()) == pytest.approx(0.3, abs=0.02)
        assert float(output.mean()) == pytest.approx(1, abs=0.03)
    assert not torch.equal(*outputs)
    assert torch.equal(network(given), outputs[0].new_ones(2, 10_000) / (1 + 1e-5) ** 0.5)


def test_maps_lose_whole_channels():
    network = torch.nn.Dropout2d(0.5).eval()
    (first, _) = DropoutPasses(network, 2, 0).each(lambda: network(torch.ones(1, 64, 3, 3)))
    assert set(first.mean((2, 3)).unique().tolist()) == {0.0, 2.0}


def test_a_head_that_drops_gives_the_same_by_features_and_by_images(store, run):
    """Where units are dropped in classifiers alone, what is before them is computed once."""
    trained = checkpoint.load(run)
    network = trained.cnn(World().device)
    passes = DropoutPasses(network, 3, 0)
    samples = FrameSamples.read(store, network.streams, np.arange(5)).centre_views(small_recipe().augment)
    with torch.inference_mode():
        once = passes.of_frames(samples)
        each = passes.each(lambda: network.of_streams(samples))
    for one, other in zip(once, each, strict=True):
        for name, logits in one.items():
            torch.testing.assert_close(logits, other[name])


@pytest.mark.parametrize("kind", ["tcn", "transformer"])
def test_what_is_over_features_drops_units_too(kind):
    recipe = small_recipe(f"temporal.kind={{kind: {kind}, dropout: 0.4}}", "temporal.hidden=8")
    torch.manual_seed(0)
    network = TemporalNetwork(recipe.model, recipe.temporal, {"t": 4}, 16).eval()
    features = {"t": torch.randn(2, 4, recipe.model.head_features)}
    with torch.inference_mode():
        plain = network(features)["t"]
        passes = DropoutPasses(network, 3, 0)
        first, second, _ = (of["t"] for of in passes.of_windows(features))
        (again, *_) = (of["t"] for of in DropoutPasses(network, 3, 0).of_windows({"t": features["t"][1:]}))
        assert float((first - second).abs().max()) > 1e-3
        torch.testing.assert_close(again, first[4:], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(network(features)["t"], plain)


def test_attention_drops_though_it_is_computed_in_one():
    recipe = small_recipe("temporal.kind={kind: transformer, dropout: 0.4}", "temporal.hidden=8")
    network = TemporalNetwork(recipe.model, recipe.temporal, {"t": 4}, 16).eval()
    for name, module in network.named_modules():
        if isinstance(module, torch.nn.Dropout) and not name.endswith("attn_drop"):
            module.p = 0.0
    features = {"t": torch.randn(2, 4, recipe.model.head_features)}
    with torch.inference_mode():
        first, second = (of["t"] for of in DropoutPasses(network, 2, 0).of_windows(features))
    assert float((first - second).abs().max()) > 1e-4
    assert all(block.attn.fused_attn for block in network.heads["t"].blocks)


def test_passes_of_a_network_without_dropout_are_refused(tmp_path):
    """They would be the same: the certainty of all of them says nothing."""
    recipe = small_recipe("model.head_dropout=0")
    silent = checkpoint.load(make_checkpoint(tmp_path / "cnn", recipe=recipe)).cnn(World().device)
    with pytest.raises(ConfigurationError, match=r"3 passes .*: [0-9]+ of rate 0; expected .*model\.head_dropout"):
        DropoutPasses(silent, 3, 0)
    gru = checkpoint.load(make_checkpoint(tmp_path / "gru", kind="temporal")).network(World().device)
    with pytest.raises(ConfigurationError, match=r"dropout: none; expected .*temporal\.kind"):
        DropoutPasses(gru, 3, 0)  # its CNN's heads drop, and take no part
