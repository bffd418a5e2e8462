"""How many CPUs are used: those that a process was given, not those that its machine has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from abaw_ray.threads import available_cpus


@pytest.fixture(autouse=True)
def sixteen_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)))


def machine(root: Path, groups: str, limits: dict[str, str]) -> Path:
    """A root folder with this process's control groups, and files below /sys/fs/cgroup."""
    for name, text in {"proc/self/cgroup": groups, **{f"sys/fs/cgroup/{k}": v for k, v in limits.items()}}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("groups", "limits", "expected"),
    [
        ("0::/\n", {}, 16),
        ("0::/\n", {"cpu.max": "max 100000\n"}, 16),
        ("0::/\n", {"cpu.max": "400000 100000\n"}, 4),
        ("0::/\n", {"cpu.max": "250000 100000\n"}, 3),
        ("0::/\n", {"cpu.max": "10000 100000\n"}, 1),
        ("0::/\n", {"cpu.max": "6400000 100000\n"}, 16),
        ("0::/a b/job\n", {"a b/cpu.max": "200000 100000\n", "a b/job/cpu.max": "max 100000\n"}, 2),
        ("0::/docker/1f\n", {"cpu.max": "300000 100000\n"}, 3),
        ("4:cpu,cpuacct:/\n0::/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 16),
        ("4:cpuacct,cpu:/x\n", {"cpu/cpu.cfs_quota_us": "150000\n", "cpu/cpu.cfs_period_us": "50000\n"}, 3),
        ("3:cpuset:/\n2:memory:/m\n", {}, 16),
    ],
)
def test_limits_of_containers_count(tmp_path: Path, groups: str, limits: dict[str, str], expected: int) -> None:
    assert available_cpus(machine(tmp_path, groups, limits)) == expected


def test_a_machine_without_control_groups(tmp_path: Path) -> None:
    assert available_cpus(tmp_path) == 16


def test_a_process_bound_to_one_cpu_has_one_thread() -> None:
    code = (
        "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]);"
        "from abaw_ray.threads import num_threads; print(num_threads())"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, env=environment, capture_output=True, timeout=300).stdout == b"1\n"
