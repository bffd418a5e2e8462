"""Memory and use of a process's machine."""

from __future__ import annotations

import time

import pytest
import torch

from abaw_ray.monitoring.usage import GIB, Usage


def test_busy_cores_and_memory_of_this_process():
    machine = Usage(torch.device("cpu"))
    until = time.process_time() + 0.05
    while time.process_time() < until:
        pass
    found = machine.read()
    assert set(found) == {"utilisation/cpu_cores", "memory/process_gib"}
    assert found["utilisation/cpu_cores"] > 0
    held = torch.ones(64 * 2**20)  # 256 MiB
    assert machine.read()["memory/process_gib"] > found["memory/process_gib"] + 0.2
    del held


def test_a_gpu_that_does_not_tell_its_use_is_not_asked_again(monkeypatch: pytest.MonkeyPatch):
    asked = []

    def utilization(device: torch.device) -> int:
        asked.append(device)
        raise OSError("not supported")

    for number, name in enumerate(("memory_allocated", "memory_reserved", "max_memory_allocated"), 1):
        monkeypatch.setattr(torch.cuda, name, lambda device, size=number: size * GIB)
    monkeypatch.setattr(torch.cuda, "utilization", utilization)
    machine = Usage(torch.device("cuda"))
    for _ in range(2):
        found = machine.read()
        assert {key: found[key] for key in found if "gpu" in key} == {
            "memory/gpu_allocated_gib": 1,
            "memory/gpu_reserved_gib": 2,
            "memory/gpu_peak_gib": 3,
        }
    assert len(asked) == 1
    monkeypatch.setattr(torch.cuda, "utilization", lambda device: 40)
    assert Usage(torch.device("cuda")).read()["utilisation/gpu"] == 0.4
