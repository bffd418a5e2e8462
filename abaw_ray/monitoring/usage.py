"""Memory and use of the processor and of the GPU, of one process."""

from __future__ import annotations

import os
import time
from pathlib import Path

import torch

GIB = 1024**3
STATM = Path("/proc/self/statm")


class Usage:
    """What a training process takes of its machine.

    Args:
        device: that it computes on.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._has_nvml = device.type == "cuda"
        self._wall, self._cpu = time.monotonic(), time.process_time()

    def read(self) -> dict[str, float]:
        """Tag -> memory in GiB, busy CPU cores since the last call, use of the GPU from 0 to 1.

        What the machine does not tell is left out.
        """
        wall, cpu = time.monotonic(), time.process_time()
        busy = (cpu - self._cpu) / max(wall - self._wall, 1e-9)
        self._wall, self._cpu = wall, cpu
        values = {"utilisation/cpu_cores": busy}
        if STATM.is_file():  # of Linux
            values["memory/process_gib"] = int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / GIB
        return values | self._gpu() if self._device.type == "cuda" else values

    def _gpu(self) -> dict[str, float]:
        values = {
            "memory/gpu_allocated_gib": torch.cuda.memory_allocated(self._device) / GIB,
            "memory/gpu_reserved_gib": torch.cuda.memory_reserved(self._device) / GIB,
            "memory/gpu_peak_gib": torch.cuda.max_memory_allocated(self._device) / GIB,
        }
        if self._has_nvml:
            try:
                values["utilisation/gpu"] = torch.cuda.utilization(self._device) / 100
            except Exception:  # no NVML, or one that does not tell, as of a part of a GPU; its errors are of its own
                self._has_nvml = False
        return values
