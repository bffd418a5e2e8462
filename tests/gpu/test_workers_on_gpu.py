"""Collectives with tensors of the GPU: of one process by the GPU's library, and of two that share it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn

from abaw_ray.world import World


class Together(int):
    """A number of workers that World does not take for a single one, so that it asks the process group."""

    def __eq__(self, other: object) -> bool:
        return False

    def __gt__(self, other: int) -> bool:
        return True

    __hash__ = int.__hash__


@pytest.fixture
def alone(device: torch.device, tmp_path: Path) -> Iterator[World]:
    """The only worker of a process group."""
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, init_method=f"file://{tmp_path}/rendezvous", rank=0, world_size=1)
    yield World(0, Together(1), device)
    dist.destroy_process_group()


def network_on(device: torch.device) -> nn.Module:
    """Weights in both layouts, and buffers of both kinds of numbers."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 36, 2))
    return network.to(device).to(memory_format=torch.channels_last)


def check_collectives(world: World) -> None:
    """Every collective of a worker whose numbers are its rank + 1, against what they add up to."""
    own, ranks = float(world.rank + 1), range(int(world.size))
    part = torch.full((3,), own, device=world.device, requires_grad=True)
    total = world.sum(part)
    assert total.tolist() == [sum(r + 1.0 for r in ranks)] * 3
    total.sum().backward()
    assert part.grad is not None
    assert part.grad.tolist() == [1.0] * 3

    # rows in columns' order: what is gathered has the order of the rows
    rows = (torch.arange(6.0, device=world.device).view(2, 3) + 10 * own).t().requires_grad_()
    gathered = world.gather_rows(rows)
    expected = [[10 * (r + 1.0) + k, 10 * (r + 1.0) + 3 + k] for r in ranks for k in range(3)]
    assert gathered.tolist() == expected
    gathered.sum().backward()

    num_rows = 5
    everything = torch.arange(num_rows * 2.0, device=world.device).view(num_rows, 2)
    mine = everything[world.shard(num_rows)]
    assert torch.equal(world.gather(mine, num_rows), everything)

    network = network_on(world.device)
    for buffer in network.buffers():
        buffer.fill_(own)
    world.share_buffers(network)
    assert all((buffer == 1).all() for buffer in network.buffers())

    weight, unused = (nn.Parameter(torch.zeros(2, device=world.device)) for _ in range(2))
    weight.grad = torch.full_like(weight, own)
    world.average_gradients([weight, unused])
    mean = sum(r + 1.0 for r in ranks) / len(ranks)
    assert weight.grad.tolist() == [mean] * 2
    assert unused.grad is not None
    assert unused.grad.tolist() == [0.0] * 2

    check_wrapped(world)
    assert world.on_node(f"{world.rank:04x}").nodes == tuple(ranks)
    world.wait_for_all()


def check_wrapped(world: World) -> None:
    """That gradients under DDP are the mean of every worker's."""
    images = torch.rand((4, 3, 8, 8), generator=torch.Generator().manual_seed(1)).to(world.device)
    plain = network_on(world.device)
    plain(images).sum().backward()
    wrapped = world.wrap(network_on(world.device))
    (wrapped(images).sum() * (world.rank + 1)).backward()
    mean = sum(r + 1.0 for r in range(int(world.size))) / int(world.size)
    for expected, found in zip(plain.parameters(), wrapped.parameters(), strict=True):
        assert expected.grad is not None
        torch.testing.assert_close(found.grad, expected.grad * mean, rtol=1e-3, atol=1e-4)


def test_one_worker_of_a_process_group_is_alone(alone):
    check_collectives(alone)


def test_a_worker_without_a_group_needs_none(device):
    world = World(device=device)
    part = torch.ones(3, device=device)
    assert world.sum(part) is world.gather_rows(part) is world.gather(part, 3) is part
    network = network_on(device)
    assert world.wrap(network) is network


def one_of_two(rank: int, folder: str, device: torch.device) -> None:
    """Writes `unsupported` if gloo cannot take tensors of the device; the CPU's are tried then."""
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # a machine without a network has no other
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    try:
        dist.all_gather([torch.empty(1, device=device) for _ in range(2)], torch.ones(1, device=device))
    except RuntimeError as error:
        (Path(folder) / "unsupported").write_text(str(error))
        device = torch.device("cpu")
    if device.type == "cpu":
        torch.set_num_threads(1)
    check_collectives(World(rank, 2, device))
    dist.destroy_process_group()


def test_two_workers_that_share_the_gpu_add_up(device, tmp_path):
    torch.multiprocessing.spawn(one_of_two, (str(tmp_path), device), nprocs=2, join=True)
    unsupported = tmp_path / "unsupported"
    if unsupported.is_file():
        pytest.skip(f"right on the CPU, but gloo takes no tensors of this device: {unsupported.read_text()[:200]}")
