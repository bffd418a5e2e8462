"""Backbones of public face recognition weights that timm does not have, registered under names of their own there.

iresnet18, 34, 50, 100, 200   InsightFace's arcface_torch (Deng et al., ArcFace, CVPR 2019), for 112 x 112 pixels
resnet50_caffe                the ResNet-50 of VGGFace2 in Caffe's form (Cao et al., FG 2018)

Tensors have the names of the public files. Mean and deviation are those that the files were trained with.
"""

from __future__ import annotations

from typing import Any

import torch
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.resnet import Bottleneck, ResNet
from torch import Tensor, nn

__all__ = ["iresnet18", "iresnet34", "iresnet50", "iresnet100", "iresnet200", "resnet50_caffe"]

_WIDTHS = (64, 128, 256, 512)
_NUM_FEATURES = 512


class _Block(nn.Module):
    """Batch norm, convolution, batch norm, PReLU, convolution with the stride, batch norm; and the way around them."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.prelu = nn.PReLU(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, stride, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = (
            nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
            if stride > 1 or inputs != outputs
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        own = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        return self.bn3(self.conv2(own)) + self.downsample(x)


class IResNet(nn.Module):
    """Images (batch, in_chans, S, S) -> features (batch, 512), of S * S / 256 places by a linear layer.

    Args:
        layers: blocks of each stage.
        img_size: side of the images in pixels.
        in_chans: their channels.
        num_classes: of the classifier; 0: there is none.
        drop_rate: of the dropout before the linear layer.
    """

    def __init__(
        self,
        layers: tuple[int, int, int, int],
        img_size: int = 112,
        in_chans: int = 3,
        num_classes: int = 0,
        drop_rate: float = 0.0,
    ) -> None:
        super().__init__()
        self.num_classes, self.num_features = num_classes, _NUM_FEATURES
        self.conv1 = nn.Conv2d(in_chans, _WIDTHS[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(_WIDTHS[0])
        self.prelu = nn.PReLU(_WIDTHS[0])
        inputs, side = _WIDTHS[0], img_size
        for number, (blocks, width) in enumerate(zip(layers, _WIDTHS, strict=True), start=1):
            stage = [_Block(inputs if block == 0 else width, width, 2 if block == 0 else 1) for block in range(blocks)]
            self.add_module(f"layer{number}", nn.Sequential(*stage))
            inputs, side = width, -(-side // 2)
        self.bn2 = nn.BatchNorm2d(inputs)
        self.dropout = nn.Dropout(drop_rate)
        self.fc = nn.Linear(inputs * side * side, _NUM_FEATURES)
        self.features = nn.BatchNorm1d(_NUM_FEATURES)
        self.features.weight.requires_grad_(False)  # it is 1: what follows has a scale of its own
        self.head = nn.Linear(_NUM_FEATURES, num_classes) if num_classes else nn.Identity()
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0, 0.1)

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Layers by name, as timm's networks give them."""
        block = r"^layer(\d+)" if coarse else r"^layer(\d+)\.(\d+)"
        return {"stem": r"^(conv1|bn1|prelu)\.", "blocks": [(block, None), (r"^(bn2|fc|features)\.", (99999,))]}

    def forward_features(self, x: Tensor) -> Tensor:
        """Maps (batch, 512, S / 16, S / 16)."""
        x = self.prelu(self.bn1(self.conv1(x)))
        for number in range(1, len(_WIDTHS) + 1):
            x = self.get_submodule(f"layer{number}")(x)
        return self.bn2(x)

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Features, or logits, of the maps of `forward_features`."""
        # channels by channels, whatever the layout in memory
        x = self.features(self.fc(self.dropout(torch.flatten(x, 1))))
        return x if pre_logits else self.head(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))


class CaffeResNet(ResNet):
    """A ResNet of bottlenecks as Caffe has it: the stride is in the first, 1 x 1, convolution of a stage, pooling takes
    in what lies over the border, and the channels are blue, green, red. It takes red, green, blue as all others."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.maxpool = nn.Sequential(nn.MaxPool2d(kernel_size=3, stride=2, padding=0, ceil_mode=True))
        for block in self.modules():
            if isinstance(block, Bottleneck):
                block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride

    def forward_features(self, x: Tensor) -> Tensor:
        return super().forward_features(x.flip(1))


def _described(mean: tuple[float, ...], std: float, **others: Any) -> dict[str, Any]:
    """What timm keeps of a network; mean and deviation are of values from 0 to 255."""
    colours = {"mean": tuple(value / 255 for value in mean), "std": (std / 255,) * 3}
    return {"num_classes": 0, "first_conv": "conv1", "interpolation": "bilinear", **colours, **others}


_IRESNET = _described((127.5, 127.5, 127.5), 127.5, input_size=(3, 112, 112), fixed_input_size=True, classifier="head")
_CAFFE = _described((131.0912, 103.8827, 91.4953), 1.0, input_size=(3, 224, 224), classifier="fc")

_DESCRIBED: dict[str, Any] = {f"{name}.untrained": _IRESNET for name in __all__[:5]}
default_cfgs = generate_default_cfgs(_DESCRIBED | {"resnet50_caffe.untrained": _CAFFE})


def _iresnet(name: str, layers: tuple[int, int, int, int], pretrained: bool, options: dict[str, Any]) -> nn.Module:
    made: nn.Module = build_model_with_cfg(IResNet, name, pretrained, layers=layers, **options)
    return made


@register_model
def iresnet18(pretrained: bool = False, **options: Any) -> nn.Module:
    return _iresnet("iresnet18", (2, 2, 2, 2), pretrained, options)


@register_model
def iresnet34(pretrained: bool = False, **options: Any) -> nn.Module:
    return _iresnet("iresnet34", (3, 4, 6, 3), pretrained, options)


@register_model
def iresnet50(pretrained: bool = False, **options: Any) -> nn.Module:
    return _iresnet("iresnet50", (3, 4, 14, 3), pretrained, options)


@register_model
def iresnet100(pretrained: bool = False, **options: Any) -> nn.Module:
    return _iresnet("iresnet100", (3, 13, 30, 3), pretrained, options)


@register_model
def iresnet200(pretrained: bool = False, **options: Any) -> nn.Module:
    return _iresnet("iresnet200", (6, 26, 60, 6), pretrained, options)


@register_model
def resnet50_caffe(pretrained: bool = False, **options: Any) -> nn.Module:
    made: nn.Module = build_model_with_cfg(
        CaffeResNet, "resnet50_caffe", pretrained, block=Bottleneck, layers=(3, 4, 6, 3), **options
    )
    return made
