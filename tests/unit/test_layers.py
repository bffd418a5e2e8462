"""Layers of a backbone: frozen ones stay as they are, and rates fall towards the first."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from abaw_ray.config import ModelConfig, TrainConfig, load_recipe
from abaw_ray.errors import ConfigurationError
from abaw_ray.models.backbone import create_backbone
from abaw_ray.models.cnn import MultiTaskCNN
from abaw_ray.models.kinds import NETWORKS
from abaw_ray.models.layers import parameter_groups

NAME, SIZE = "test_resnet", 32
OUTPUTS = {"a": 3, "b": 2}


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    backbone = create_backbone(NAME, SIZE)
    for module in backbone.modules():
        if isinstance(module, _BatchNorm):
            nn.init.ones_(module.weight)  # the last of a block begins at zero
    save_file(backbone.state_dict(), path)
    return str(path)


def network_with(weights: str, **options: object) -> MultiTaskCNN:
    config = ModelConfig.model_validate({"backbone": NAME, "weights": weights, **options})
    return MultiTaskCNN(config, OUTPUTS, SIZE)


def changed_by_a_step(network: MultiTaskCNN) -> set[str]:
    """Names of tensors of the backbone that a step of training changes."""
    before = copy.deepcopy(network.backbone.state_dict())
    network.train()
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], 0.1)
    torch.manual_seed(0)
    logits = network(torch.rand(4, 3, SIZE, SIZE) * 255)
    torch.stack([(values**2).mean() for values in logits.values()]).sum().backward()
    optimizer.step()
    return {k for k, v in network.backbone.state_dict().items() if not torch.equal(v, before[k])}


@pytest.mark.parametrize(("number", "frozen"), [(1, ("conv1", "bn1")), (3, ("conv1", "bn1", "layer1", "layer2"))])
def test_frozen_stages_stay_with_their_statistics_and_the_others_learn(weights, number, frozen):
    network = network_with(weights, freeze_stages=number)
    changed = changed_by_a_step(network)
    assert {name.partition(".")[0] for name in network.backbone.state_dict()} - {
        name.partition(".")[0] for name in changed
    } == set(frozen)
    modes = {n: m.training for n, m in network.backbone.named_modules() if isinstance(m, _BatchNorm)}
    assert all(training != n.startswith(frozen) for n, training in modes.items())


def test_a_frozen_backbone_leaves_the_heads_to_learn(weights):
    network = network_with(weights, freeze_stages=5)
    assert changed_by_a_step(network) == set()
    assert {name.partition(".")[0] for name, p in network.named_parameters() if p.requires_grad} == {"heads"}


def test_frozen_batch_norm_stays_while_convolutions_learn(weights):
    network = network_with(weights, freeze_batch_norm=True)
    norms = {n for n, m in network.backbone.named_modules() if isinstance(m, _BatchNorm)}
    changed = changed_by_a_step(network)
    assert norms
    assert not {name for name in changed if name.rpartition(".")[0] in norms}
    assert {name.partition(".")[0] for name in changed} == {"conv1", "layer1", "layer2", "layer3", "layer4"}
    assert all(m.training for m in network.heads.modules())


def test_what_is_frozen_needs_weights_and_stages(weights):
    with pytest.raises(ValueError, match=r"expected model\.weights"):
        ModelConfig(freeze_stages=1)
    with pytest.raises(ConfigurationError, match="found 6, expected at most 5, all of test_resnet"):
        network_with(weights, freeze_stages=6)


def test_an_encoder_of_images_is_frozen_too(weights):
    encoder = f"model.encoders={{face: {{kind: image_cnn, weights: {weights}}}}}"
    recipe = load_recipe(None, [f"model.backbone={NAME}", encoder, "model.freeze_stages=2"])
    network = NETWORKS.get("streams", "kind")(recipe, OUTPUTS, {"face": (3, SIZE, SIZE)}).train()
    first = {n for n, p in network.named_parameters() if not p.requires_grad}
    assert {name.split(".")[3] for name in first} == {"conv1", "bn1", "layer1"}
    assert not network.get_submodule("encoders.face.backbone.bn1").training


# Rates


def groups_of(network: nn.Module, **options: object) -> dict[str, tuple[float, float]]:
    """Name of each parameter -> factor of its rate, and decay; every one that needs a gradient is in one group."""
    groups = parameter_groups(network, TrainConfig.model_validate(options), exempt={"heads.a.classifier.1.bias"})
    names = {id(p): name for name, p in network.named_parameters()}
    found = [(names[id(p)], (g["lr_scale"], g["weight_decay"])) for g in groups for p in g["params"]]
    assert len(found) == len(dict(found)) == sum(p.requires_grad for p in network.parameters())
    return dict(found)


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_convnext", "test_efficientnet"])
def test_rates_fall_by_the_same_factor_from_layer_to_layer(name):
    network = MultiTaskCNN(ModelConfig(backbone=name), OUTPUTS, 160)
    rates = {key: rate for key, (rate, _) in groups_of(network, layer_decay=0.5).items()}
    assert {rate for key, rate in rates.items() if key.startswith("heads.")} == {1.0}
    backbone = sorted({rate for key, rate in rates.items() if key.startswith("backbone.")}, reverse=True)
    assert backbone == pytest.approx([0.5 ** (k + 1) for k in range(len(backbone))])
    assert rates[next(iter(rates))] == min(rates.values())


def test_the_blocks_of_a_transformer_are_its_layers():
    network = MultiTaskCNN(ModelConfig(backbone="test_vit"), OUTPUTS, 160)
    rates = {key: rate for key, (rate, _) in groups_of(network, layer_decay=0.5).items()}
    number = len(network.backbone.blocks)
    of_blocks = [rates[f"backbone.blocks.{block}.mlp.fc1.weight"] for block in range(number)]
    assert [b / a for a, b in itertools.pairwise(of_blocks)] == [2.0] * (number - 1)
    assert rates["backbone.patch_embed.proj.weight"] == rates["backbone.pos_embed"] == of_blocks[0] / 2


def test_without_layer_decay_there_is_one_rate_and_exempt_parameters_have_no_decay(weights):
    network = network_with(weights, freeze_stages=1)
    found = groups_of(network, weight_decay=0.3)
    assert found.pop("heads.a.classifier.1.bias") == (1.0, 0.0)
    assert set(found.values()) == {(1.0, 0.3)}
