"""What a run was computed on: devices and versions, for those who read its numbers later."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("abaw-ray", "torch", "ray", "timm")


def describe_machine(device: torch.device) -> dict[str, Any]:
    """`device` (the name of the GPU or processor) and `versions` of Python and of what numbers depend on."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue  # a package that is run from its folder has no version
    return {"device": _name(device), "versions": versions}


def _name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
