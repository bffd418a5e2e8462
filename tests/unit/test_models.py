"""The network: heads, source sets, GRUs over time."""

from __future__ import annotations

import torch
from faces import as_streams

from abaw_ray.config import ModelConfig, TemporalConfig
from abaw_ray.models.cnn import MultiTaskCNN
from abaw_ray.models.sequences.gru import TaskGRU
from abaw_ray.models.temporal import TemporalNetwork

OUTPUTS = {"expression": 7, "valence_arousal": 40}


def network(**config) -> MultiTaskCNN:
    return MultiTaskCNN(ModelConfig(backbone="test_efficientnet", **config), OUTPUTS, 64)


def test_reference_head_layers_and_sizes():
    head = network().heads["valence_arousal"]
    kinds = [type(m).__name__ for m in [*head.features, *head.classifier]]
    assert kinds == ["BatchNorm1d", "Linear", "ReLU", "BatchNorm1d", "Dropout", "Linear"]
    assert (head.features[1].out_features, head.classifier[1].out_features) == (128, 40)


def test_paper_head_has_no_batch_norm():
    assert not any(isinstance(m, torch.nn.BatchNorm1d) for m in network(head="paper").heads.modules())


def test_every_set_goes_through_batch_norm_by_itself():
    images = {"a": torch.rand(8, 3, 64, 64) * 255, "b": torch.rand(8, 3, 64, 64) * 30}
    torch.manual_seed(0)
    per_set, joint = network(head_dropout=0.0).train(), network(head_dropout=0.0, batch_norm="joint").train()
    joint.load_state_dict(per_set.state_dict())
    alone = per_set(images["a"])["expression"]
    sets = {name: as_streams(of_set) for name, of_set in images.items()}
    torch.testing.assert_close(per_set.forward_sets(sets).logits["a"]["expression"], alone)
    assert not torch.allclose(joint.forward_sets(sets).logits["a"]["expression"], alone, atol=1e-3)


def test_joint_forward_gives_each_set_its_own_rows():
    net = network(batch_norm="joint").eval()
    images = {"a": torch.rand(3, 3, 64, 64) * 255, "b": torch.rand(5, 3, 64, 64) * 255}
    for name, heads in net.forward_sets({name: as_streams(of_set) for name, of_set in images.items()}).logits.items():
        for task, logits in heads.items():
            torch.testing.assert_close(logits, net(images[name])[task], atol=1e-5, rtol=1e-4)


# Over time


def temporal() -> TemporalNetwork:
    torch.manual_seed(0)
    config = ModelConfig(backbone="test_efficientnet")
    return TemporalNetwork(config, TemporalConfig(), OUTPUTS, 64)


def test_grus_have_the_reference_s_number_of_parameters():
    # 74,496 in each GRU, 903 and 5,160 in the two classifiers
    network = temporal()
    counts = {t: [sum(p.numel() for p in part.parameters()) for part in h.children()] for t, h in network.heads.items()}
    assert counts == {"expression": [74_496, 903], "valence_arousal": [74_496, 5_160]}


def test_the_cnn_takes_no_gradient_and_stays_in_evaluation_mode():
    network = temporal().train()
    assert not any(module.training for module in network.cnn.modules())
    assert not any(p.requires_grad for p in network.cnn.parameters())
    assert network.heads.training


def test_logits_are_flat_and_depend_on_the_frames_before_and_after():
    network = temporal().eval()
    features = {t: torch.randn(3, 8, 128) for t in ("expression", "valence_arousal")}
    logits = network(features)
    assert {t: tuple(z.shape) for t, z in logits.items()} == {"expression": (24, 7), "valence_arousal": (24, 40)}
    changed = {t: f.clone() for t, f in features.items()}
    changed["expression"][0, 4] += 1.0
    difference = (network(changed)["expression"] - logits["expression"]).abs().sum(1).view(3, 8)
    assert (difference[0] > 0).all()
    assert (difference[1:] == 0).all()
    torch.testing.assert_close(network(changed)["valence_arousal"], logits["valence_arousal"])


def test_task_features_are_what_the_classifiers_take():
    net = network().eval()
    images = torch.rand(2, 3, 64, 64) * 255
    features, logits = net.task_features(images), net(images)
    for task, head in net.heads.items():
        assert features[task].shape == (2, 128)
        torch.testing.assert_close(head.classifier(features[task]), logits[task])


def test_a_gru_reads_both_ways():
    gru = TaskGRU(4, 3, 2).eval()
    x = torch.randn(1, 6, 4)
    backwards = gru(x.flip(1)).flip(1)
    assert not torch.allclose(gru(x), backwards)
    assert gru.gru.bidirectional
