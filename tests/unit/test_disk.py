"""Disks that are full or cannot be written: one message with what, where and how much, and nothing half is left."""

from __future__ import annotations

import errno
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from paper import EXPRESSION
from ray.train import ControllerError
from torch import nn

from abaw_ray.blocks.files import write_json, write_table, write_text
from abaw_ray.config import Recipe
from abaw_ray.disk import write_errors_named
from abaw_ray.errors import ConfigurationError, StorageError
from abaw_ray.models import checkpoint
from abaw_ray.storage import local_folder

MANY = "x" * 100_000


@contextmanager
def small_files() -> Iterator[None]:
    """No file can grow beyond 16 KiB, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 14, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def save_checkpoint(folder: Path, width: int) -> None:
    """A checkpoint of about 4 * width bytes of weights and twice as many of the optimiser."""
    network = nn.Linear(width, 1)
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.ones(width)).sum().backward()
    optimizer.step()
    description = checkpoint.Description(
        role="teacher",
        epoch=0,
        spaces=(EXPRESSION,),
        image_size=32,
        store_hash="hash",
        stopping={},
        scores={},
        decisions={},
    )
    folder.mkdir(exist_ok=True)
    checkpoint.save(folder, network, optimizer, Recipe(), description)


def in_a_folder(folder: Path) -> None:
    with local_folder(folder) as local:
        (local / "figure.png").write_text(MANY)


WRITERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "text": (lambda folder: write_text(folder / "a.txt", MANY), "a.txt"),
    "json": (lambda folder: write_json(folder / "new" / "a.json", {"a": MANY}), "new/a.json"),
    "table": (lambda folder: write_table(folder / "a.arrow", pa.table({"a": list(range(10_000))})), "a.arrow"),
    "weights": (lambda folder: save_checkpoint(folder, 10_000), "model.safetensors"),
    "optimiser": (lambda folder: save_checkpoint(folder, 3_000), "optimizer.pt"),
    "figures": (in_a_folder, ""),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_what_could_not_be_written_is_named(tmp_path: Path, kind: str) -> None:
    write, name = WRITERS[kind]
    with small_files(), pytest.raises(StorageError) as raised:
        write(tmp_path)
    assert str(raised.value) == f"{tmp_path / name}: cannot be written (File too large)"
    assert not list(tmp_path.rglob(".unfinished-*"))
    write(tmp_path)


def test_of_a_full_disk_it_is_said_how_much_is_free(tmp_path: Path) -> None:
    def write() -> None:
        with write_errors_named(tmp_path / "new" / "a.txt"), Path("/dev/full").open("w") as stream:
            stream.write(MANY)

    with pytest.raises(StorageError) as raised:
        write()
    message = str(raised.value)
    assert message.startswith(f"{tmp_path}/new/a.txt: cannot be written (No space left on device); ")
    assert " are free there" in message
    assert "run the same command again" in message


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "Disk quota exceeded.*GiB are free there"),
        (OSError(errno.EROFS, "Read-only file system", "/data/run/a"), "^/data/run/a: .*Read-only file system"),
        (PermissionError(errno.EACCES, "Permission denied", "/data/run/a"), "^/data/run/a: .*Permission denied"),
        # the text is all that comes from another process
        (ControllerError(OSError(errno.ENOSPC, "Error writing bytes to file")), "No space left.*are free there"),
    ],
)
def test_each_refusal_of_a_disk_has_its_reason(tmp_path: Path, error: Exception, message: str) -> None:
    with pytest.raises(StorageError, match=message), write_errors_named(tmp_path):
        raise error


@pytest.mark.parametrize(
    "error",
    [KeyError("a"), OSError(errno.ECONNRESET, "reset"), FileNotFoundError(2, "no"), ConfigurationError("[Errno 28]")],
)
def test_other_errors_stay_what_they_are(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)) as raised, write_errors_named(tmp_path):
        raise error
    assert raised.value is error
