"""What a run keeps to go on from."""

from __future__ import annotations

import re

from pydantic import Field, field_validator

from abaw_ray.config.section import Section

_EVERY = re.compile(r"(\d+(?:\.\d+)?) (step|minute)s?")


class CheckpointConfig(Section):
    """What a run keeps to go on from. Nothing here changes what is trained."""

    every: str | None = "15 minutes"
    """How often all that training goes on from is saved within an epoch, as `500 steps` or `10 minutes`; a run that was
    cut off goes on from there, to the bit where as many workers are alike. None: after whole epochs alone."""
    best: int = Field(1, ge=1)
    """Best epochs so far whose checkpoints are kept, beside the last."""
    hang_minutes: float | None = Field(30.0, gt=0)
    """Minutes in which a worker takes no step, after which it counts as hanging: it is named, and the run goes on from
    its last checkpoint. Workers that all wait for each other are given half as many more. None: they are waited for."""

    @field_validator("every")
    @classmethod
    def _readable(cls, every: str | None) -> str | None:
        if every is not None:
            found = _EVERY.fullmatch(every)
            if found is None or float(found[1]) == 0 or (found[2] == "step" and "." in found[1]):
                raise ValueError("expected a number above 0 and a unit, as '500 steps' or '10 minutes', or null")
        return every

    @property
    def steps(self) -> int | None:
        """Steps from one to the next; None: they do not go by steps."""
        found = _EVERY.fullmatch(self.every or "")
        return int(found[1]) if found is not None and found[2] == "step" else None

    @property
    def seconds(self) -> float | None:
        """Seconds from one to the next; None: they do not go by the clock."""
        found = _EVERY.fullmatch(self.every or "")
        return float(found[1]) * 60 if found is not None and found[2] == "minute" else None

    @property
    def hang_seconds(self) -> float | None:
        """As `hang_minutes`, in seconds."""
        return self.hang_minutes * 60 if self.hang_minutes is not None else None
