"""What an optimiser goes on from on another device than the one it was saved on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from checkpoints import make_checkpoint
from torch import nn

from abaw_ray.models import checkpoint
from abaw_ray.training.resume import restore


def step(optimizer: torch.optim.Optimizer, network: nn.Module) -> None:
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()


@pytest.mark.parametrize(("saved", "own"), [(True, False), (False, True)])
def test_how_a_step_is_computed_is_the_devices(tmp_path: Path, saved: bool, own: bool) -> None:
    """One kernel takes a GPU's steps, and not a CPU's; what they go on from is the same."""
    trained = checkpoint.load(make_checkpoint(tmp_path / "made", 1))
    networks = [trained.network(torch.device("cpu")).requires_grad_(True) for _ in range(2)]
    before, after = (
        torch.optim.Adam(n.parameters(), 0.1, fused=f) for n, f in zip(networks, (saved, own), strict=True)
    )
    step(before, networks[0])
    folder = tmp_path / "saved"
    folder.mkdir()
    checkpoint.save(folder, networks[0], before, trained.recipe, trained.description)
    restore(folder, networks[1], after)
    assert after.param_groups[0]["fused"] is own
    for optimizer, network in zip((before, after), networks, strict=True):
        step(optimizer, network)
    for one, other in zip(*(network.parameters() for network in networks), strict=True):
        torch.testing.assert_close(one, other)
