"""Peers in the benchmark of loading; their libraries are imported where they are used.

Those that give images by number (Hugging Face datasets, MosaicML streaming) are asked for the same balanced rows as
ours; those that give a stream (Ray Data, LitData, WebDataset) shuffle it their own way, without balancing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from loading_contenders import BATCH, CORES, Batches, Contender, Form, Mode, batches_by_rows, in_form
from loading_images import SIDE, Faces, decoded
from PIL import Image
from torch import Tensor

SHAPE = (SIDE, SIDE, 3)
PART = 500  # images of a file
SHUFFLE = 1000  # images that are shuffled together


def stacked(images: Sequence[Any]) -> Tensor:
    """Images (SIDE, SIDE, 3), as arrays or PIL images, as a batch."""
    return torch.from_numpy(np.stack([np.asarray(image) for image in images]))


@dataclass(frozen=True)
class RayData(Contender):
    """Parquet files, read, decoded (by OpenCV) and shuffled in tasks: the files, and the images among `SHUFFLE`.

    The list of files is repeated, so that no epoch ends in the middle of the measurement.
    """

    modes: ClassVar[tuple[Mode, ...]] = ("tasks",)

    def write(self, faces: Faces, folder: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq
        from ray.data.extensions import ArrowTensorArray

        folder.mkdir()
        for start in range(0, len(faces), PART):
            numbers = range(start, min(start + PART, len(faces)))
            if self.encoding == "raw":
                column = ArrowTensorArray.from_numpy(np.stack([faces.pixels(n) for n in numbers]))
            else:
                column = pa.array([faces.encoded(n) for n in numbers], pa.binary())
            pq.write_table(pa.table({"image": column}), folder / f"{start:06d}.parquet", compression="none")

    def batches(self, faces: Faces, folder: Path, mode: Mode, form: Form) -> Batches:
        import ray

        if not ray.is_initialized():
            ray.init(num_cpus=CORES, include_dashboard=False, log_to_driver=False)
        ray.data.DataContext.get_current().enable_progress_bars = False
        files = [str(f) for f in sorted(folder.iterdir())]
        data = ray.data.read_parquet(files * (200_000 // len(faces) + 1), shuffle="files")
        if self.encoding == "jpeg":
            data = data.map_batches(_decode_column, batch_size=BATCH)
        data = data.map_batches(_shuffled, batch_size=SHUFFLE)
        for batch in data.iter_torch_batches(batch_size=BATCH, prefetch_batches=4):
            yield in_form(batch["image"], form)


def _shuffled(batch: Any) -> Any:
    return {"image": np.random.default_rng().permutation(batch["image"])}


def _decode_column(batch: Any) -> Any:
    return {"image": np.stack([decoded(encoded) for encoded in batch["image"]])}


@dataclass(frozen=True)
class HuggingFace(Contender):
    """A memory-mapped dataset by lists of rows: raw as Arrow's fixed-size lists, JPEG as `Image`, decoded by PIL."""

    def write(self, faces: Faces, folder: Path) -> None:
        import datasets

        column = datasets.List(datasets.Value("uint8"), length=SIDE * SIDE * 3)
        features = datasets.Features({"image": column if self.encoding == "raw" else datasets.Image()})
        cache = str(folder.with_name(f"{folder.name}-cache"))

        def rows() -> Iterator[dict[str, Any]]:
            for n in range(len(faces)):
                yield {"image": faces.pixels(n).reshape(-1) if self.encoding == "raw" else {"bytes": faces.encoded(n)}}

        datasets.disable_progress_bars()
        datasets.Dataset.from_generator(rows, features=features, cache_dir=cache).save_to_disk(str(folder))

    def batches(self, faces: Faces, folder: Path, mode: Mode, form: Form) -> Batches:
        import datasets

        data = datasets.load_from_disk(str(folder))
        if self.encoding == "jpeg":
            return batches_by_rows(faces, lambda rows: stacked(data[rows.tolist()]["image"]), mode, form)
        tables = data.with_format("arrow")

        def read(rows: np.ndarray) -> Tensor:
            column = tables[rows.tolist()]["image"].combine_chunks()
            return torch.from_numpy(column.flatten().to_numpy().reshape(-1, *SHAPE).copy())

        return batches_by_rows(faces, read, mode, form)


@dataclass(frozen=True)
class Mosaic(Contender):
    """MDS shards by number, which is also what its own iteration does; JPEG by its `jpeg` encoding, PIL."""

    def write(self, faces: Faces, folder: Path) -> None:
        from streaming import MDSWriter

        kind = f"ndarray:uint8:{SIDE},{SIDE},3" if self.encoding == "raw" else "jpeg"
        with MDSWriter(out=str(folder), columns={"image": kind}) as writer:
            for n in range(len(faces)):
                # of a picture that was opened by name, the file's own bytes are kept
                writer.write({"image": faces.pixels(n) if self.encoding == "raw" else Image.open(faces.files[n])})

    def batches(self, faces: Faces, folder: Path, mode: Mode, form: Form) -> Batches:
        from streaming import StreamingDataset
        from streaming.base.util import clean_stale_shared_memory

        clean_stale_shared_memory()
        data = StreamingDataset(local=str(folder), shuffle=False, batch_size=BATCH)
        return batches_by_rows(faces, lambda rows: stacked([data[n]["image"] for n in rows.tolist()]), mode, form)


@dataclass(frozen=True)
class LitData(Contender):
    """Chunks of `optimize`, shuffled; JPEG by its own serializer, torchvision."""

    def write(self, faces: Faces, folder: Path) -> None:
        from litdata import optimize

        optimize(
            fn=_Sample(faces, self.encoding),
            inputs=list(range(len(faces))),
            output_dir=str(folder),
            chunk_bytes="64MB",
            num_workers=1,
        )

    def batches(self, faces: Faces, folder: Path, mode: Mode, form: Form) -> Batches:
        from litdata import ParallelStreamingDataset, StreamingDataLoader, StreamingDataset

        def collate(samples: Sequence[tuple[Any]]) -> Tensor:
            images = [image for (image,) in samples]
            batch = stacked(images) if self.encoding == "raw" else torch.stack(images).permute(0, 2, 3, 1).contiguous()
            return in_form(batch, form)

        shuffled = StreamingDataset(str(folder), shuffle=True)
        endless = ParallelStreamingDataset([shuffled], length=float("inf"))
        workers = CORES if mode == "workers" else 0
        return iter(StreamingDataLoader(endless, batch_size=BATCH, num_workers=workers, collate_fn=collate))


@dataclass(frozen=True)
class _Sample:
    faces: Faces
    encoding: str

    def __call__(self, number: int) -> Any:
        if self.encoding == "raw":
            return self.faces.pixels(number)
        return Image.open(self.faces.files[number])


@dataclass(frozen=True)
class WebDataset(Contender):
    """Tar files drawn with replacement, and a shuffle buffer; JPEG decoded by OpenCV."""

    def write(self, faces: Faces, folder: Path) -> None:
        import webdataset

        folder.mkdir()
        with webdataset.ShardWriter(str(folder / "%06d.tar"), maxcount=PART, verbose=0) as writer:
            for n in range(len(faces)):
                file = faces.pixels(n).tobytes() if self.encoding == "raw" else faces.encoded(n)
                writer.write({"__key__": f"{n:06d}", "image": file})

    def batches(self, faces: Faces, folder: Path, mode: Mode, form: Form) -> Batches:
        import webdataset

        def image(file: bytes) -> np.ndarray:
            return np.frombuffer(file, np.uint8).reshape(SHAPE) if self.encoding == "raw" else decoded(file)

        def collate(samples: Sequence[tuple[np.ndarray]]) -> Tensor:
            batch = stacked([image for (image,) in samples])
            return in_form(batch, form)

        urls = [str(f) for f in sorted(folder.iterdir())]
        data = webdataset.WebDataset(urls, resampled=True).shuffle(SHUFFLE).to_tuple("image").map_tuple(image)
        data = data.batched(BATCH, collation_fn=collate, partial=False)
        if mode == "process":
            return iter(data)
        return iter(webdataset.WebLoader(data, batch_size=None, num_workers=CORES))
