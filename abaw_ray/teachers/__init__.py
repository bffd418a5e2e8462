"""Teachers: whatever gives logits for the images of a step. A module here that defines `TEACHER` makes one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from abaw_ray.models.sets import Network
from abaw_ray.plugins import Registry
from abaw_ray.tasks.base import Task
from abaw_ray.teachers.base import Teacher

TEACHERS: Registry[Callable[[Sequence[Network], Mapping[str, Task]], Teacher]] = Registry(
    __name__, "TEACHER", "kind of teacher"
)
"""Each makes a teacher of the networks that a student was given, on their device, and the student's tasks by name."""
