"""The network: heads, source sets, weights from files."""

from __future__ import annotations

import pytest
import timm
import torch
from safetensors.torch import save_file

from abaw_ray.config import ModelConfig
from abaw_ray.errors import ConfigurationError, MissingInputError
from abaw_ray.models.backbone import create_backbone
from abaw_ray.models.cnn import MultiTaskCNN

OUTPUTS = {"expression": 7, "valence_arousal": 40}


def network(**config) -> MultiTaskCNN:
    return MultiTaskCNN(ModelConfig(backbone="test_efficientnet", **config), OUTPUTS)


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
    torch.testing.assert_close(per_set.forward_sets(images)["a"]["expression"], alone)
    assert not torch.allclose(joint.forward_sets(images)["a"]["expression"], alone, atol=1e-3)


def test_joint_forward_gives_each_set_its_own_rows():
    net = network(batch_norm="joint").eval()
    images = {"a": torch.rand(3, 3, 64, 64) * 255, "b": torch.rand(5, 3, 64, 64) * 255}
    for name, heads in net.forward_sets(images).items():
        for task, logits in heads.items():
            torch.testing.assert_close(logits, net(images[name])[task], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_backbone_weights_from_a_file(tmp_path, suffix):
    source = timm.create_model("test_efficientnet", num_classes=8)
    path = tmp_path / f"weights.{suffix}"
    if suffix == "pth":
        torch.save({"state_dict": source.state_dict()}, path)
    else:
        save_file(source.state_dict(), path)
    loaded = create_backbone("test_efficientnet", str(path)).state_dict()
    assert all(torch.equal(v, source.state_dict()[k]) for k, v in loaded.items())


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file(timm.create_model("test_vit").state_dict(), path)
    with pytest.raises(ConfigurationError, match="does not fit test_efficientnet"):
        create_backbone("test_efficientnet", str(path))


def test_unknown_backbone_and_missing_file_are_named():
    with pytest.raises(ConfigurationError, match="resnet5000"):
        create_backbone("resnet5000")
    with pytest.raises(MissingInputError, match=r"nowhere\.pth"):
        create_backbone("test_efficientnet", "nowhere.pth")
