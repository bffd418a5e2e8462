"""What the benchmark of a GPU compares with: a DataLoader of PIL and torchvision, as training scripts have it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from abaw_ray.streams.base import FACE
from abaw_ray.training.data import SetBatch


class Files(Dataset[Tensor]):
    """JPEG files, each as often as needed: decoded, enlarged by 1.2, cropped, and flipped by PIL.

    Args:
        files: of faces of `size` x `size` pixels.
        size: of faces and crops.
        length: number of images.
    """

    def __init__(self, files: list[Path], size: int, length: int) -> None:
        from torchvision.transforms import v2

        self._files, self._length = files, length
        steps = [v2.Resize(int(1.2 * size)), v2.RandomCrop(size), v2.RandomHorizontalFlip(), v2.PILToTensor()]
        self._view = v2.Compose(steps)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, number: int) -> Tensor:
        view: Tensor = self._view(Image.open(self._files[number % len(self._files)]).convert("RGB"))
        return view


def loader_batches(data: Files, like: Mapping[str, SetBatch], num_workers: int) -> Iterator[dict[str, SetBatch]]:
    """Batches of a DataLoader's images on the device, with the labels of the batch `like`.

    Args:
        data: the images.
        like: a batch on the device.
        num_workers: processes of the DataLoader.
    """
    sizes = [len(part.labels.labels[next(iter(part.labels.labels))]) for part in like.values()]
    device = next(iter(like.values())).samples.kept[FACE].device
    loader = DataLoader(
        data,
        sum(sizes),
        shuffle=True,
        num_workers=num_workers,
        pin_memory=device.type == "cuda",
        drop_last=True,
        persistent_workers=num_workers > 0,
    )
    for images in itertools.chain.from_iterable(itertools.repeat(loader)):
        views = images.to(device, non_blocking=True).contiguous(memory_format=torch.channels_last)
        parts = dict(zip(like, views.split(sizes), strict=True))
        yield {
            name: replace(part, samples=replace(part.samples, kept={FACE: parts[name]}), uniforms=None)
            for name, part in like.items()
        }
