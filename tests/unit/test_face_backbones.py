"""Networks of public face recognition weights: names, shapes and arithmetic are those of the public files."""

from __future__ import annotations

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from abaw_ray.config import ModelConfig
from abaw_ray.errors import ConfigurationError
from abaw_ray.models.backbone import create_backbone, feature_width
from abaw_ray.models.cnn import MultiTaskCNN
from abaw_ray.models.weight_sources import colours_for


@pytest.mark.parametrize(
    ("name", "millions", "blocks"),
    [("iresnet18", 24.0, (2, 2, 2, 2)), ("iresnet50", 43.6, (3, 4, 14, 3)), ("iresnet100", 65.2, (3, 13, 30, 3))],
)
def test_iresnets_have_the_size_and_names_of_insightfaces(name, millions, blocks):
    backbone = create_backbone(name, 112)
    state = backbone.state_dict()
    assert sum(p.numel() for p in backbone.parameters()) / 1e6 == pytest.approx(millions, abs=0.1)
    assert tuple(len({k.split(".")[1] for k in state if k.startswith(f"layer{s}.")}) for s in range(1, 5)) == blocks
    assert {k.partition(".")[0] for k in state} == {
        *("conv1", "bn1", "prelu", "layer1", "layer2", "layer3", "layer4", "bn2", "fc", "features")
    }
    assert {k.removeprefix("layer2.0.") for k in state if k.startswith("layer2.0.") and k.endswith("weight")} == {
        *("bn1.weight", "conv1.weight", "bn2.weight", "prelu.weight", "conv2.weight", "bn3.weight"),
        *("downsample.0.weight", "downsample.1.weight"),
    }
    assert state["fc.weight"].shape == (512, 25088)
    assert feature_width(backbone) == 512


def test_an_iresnet_learns_at_another_size_of_images_but_the_weights_of_one_stay_there(tmp_path):
    save_file(create_backbone("iresnet18", 112).state_dict(), tmp_path / "backbone.safetensors")
    network = create_backbone("iresnet18", 100)
    assert network(torch.randn(2, 3, 100, 100)).shape == (2, 512)
    with pytest.raises(ConfigurationError, match=r"1 of another shape \(first: \['fc.weight'\]\)"):
        create_backbone("iresnet18", 64, str(tmp_path / "backbone.safetensors"))


def test_a_public_file_brings_the_colours_that_it_was_trained_with(tmp_path):
    path = tmp_path / "backbone.pth"
    torch.save(create_backbone("iresnet18", 112).state_dict(), path)
    network = MultiTaskCNN(ModelConfig(backbone="iresnet18", weights=str(path)), {"a": 3}, 112)
    assert network.mean.flatten().tolist() == network.std.flatten().tolist() == [127.5] * 3
    assert network(torch.rand(2, 3, 112, 112) * 255)["a"].shape == (2, 3)
    mean, std = colours_for(None, None, str(path), "resnet50_caffe")
    assert mean == pytest.approx((131.0912, 103.8827, 91.4953))
    assert std == pytest.approx((1, 1, 1))
    assert colours_for(None, None, None, "resnet50_caffe").mean == (123.675, 116.28, 103.53)


def test_the_caffe_resnet_has_resnet50s_tensors_and_its_stride_in_the_first_convolution():
    caffe, usual = create_backbone("resnet50_caffe", 64).eval(), timm.create_model("resnet50", num_classes=0)
    assert {k: v.shape for k, v in caffe.state_dict().items()} == {k: v.shape for k, v in usual.state_dict().items()}
    strided = {n for n, m in caffe.named_modules() if isinstance(m, nn.Conv2d) and m.stride == (2, 2)}
    assert strided == {"conv1"} | {f"layer{s}.0.{c}" for s in (2, 3, 4) for c in ("conv1", "downsample.0")}
    sizes: dict[str, torch.Size] = {}
    caffe.maxpool.register_forward_hook(lambda module, inputs, output: sizes.update(pool=output.shape[2:]))
    caffe(torch.zeros(1, 3, 224, 224))
    assert sizes["pool"] == (56, 56)


def test_the_caffe_resnet_takes_red_first_and_gives_its_weights_blue_first():
    caffe, images = create_backbone("resnet50_caffe", 64).eval(), torch.randn(2, 3, 64, 64)
    seen: list[torch.Tensor] = []
    caffe.conv1.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    caffe(images)
    torch.testing.assert_close(seen[0], images[:, [2, 1, 0]])


def test_no_weights_come_with_them():
    with pytest.raises(ConfigurationError, match="timm has no weights of iresnet50"):
        create_backbone("iresnet50", 112, "pretrained")
