"""Where the time of training steps goes."""

from __future__ import annotations

import time


class StepClock:
    """Seconds spent waiting for data and computing, since the last `read`."""

    def __init__(self, images_per_step: int) -> None:
        self._images_per_step = images_per_step
        self._mark = time.perf_counter()
        self._all_data = self._all = 0.0
        self._reset()

    def data_ready(self) -> None:
        self._data += self._lap()

    def step_done(self) -> None:
        self._step += self._lap()
        self._num_steps += 1

    def log_written(self) -> None:
        """What was done since the step counts for neither."""
        self._lap()

    def read(self) -> dict[str, float]:
        """Tag -> mean seconds a step, images a second (over all workers), share of time (0 to 1) without data; starts
        anew."""
        total = self._data + self._step
        self._all_data, self._all = self._all_data + self._data, self._all + total
        values = {
            "speed/data_seconds": self._data / max(self._num_steps, 1),
            "speed/step_seconds": self._step / max(self._num_steps, 1),
            "speed/images_per_second": self._num_steps * self._images_per_step / max(total, 1e-9),
            "utilisation/waiting_for_data": self._data / max(total, 1e-9),
        }
        self._reset()
        return values

    @property
    def waiting(self) -> float:
        """Share of all time until the last `read`, 0 to 1, without data."""
        return self._all_data / max(self._all, 1e-9)

    def _reset(self) -> None:
        self._data = self._step = 0.0
        self._num_steps = 0

    def _lap(self) -> float:
        before, self._mark = self._mark, time.perf_counter()
        return self._mark - before
