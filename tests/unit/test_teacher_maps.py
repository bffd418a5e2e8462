"""Teachers whose regression is made that of their student: distributions, numbers, and a training (synthetic data)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoints import make_checkpoint
from learners import learner_of, training_recipe
from stores import make_store
from torch import Tensor

from abaw_ray.config import LossConfig, ModelConfig
from abaw_ray.databases.reading.spaces import EXPRESSION, VALENCE_AROUSAL
from abaw_ray.errors import ConfigurationError
from abaw_ray.models.outputs import SetsOutput
from abaw_ray.models.sets import Network
from abaw_ray.spaces import LabelSpace
from abaw_ray.tasks import build_tasks
from abaw_ray.tasks.base import Task
from abaw_ray.teachers.mapped import MappedNetwork, task_maps
from abaw_ray.world import World

VAD = LabelSpace(name="vad", kind="regression", names=("dominance", "valence", "arousal"), low=1, high=10)
NAMES = {"valence_arousal": "vad"}


def tasks(*spaces: LabelSpace, form: str = "binned") -> dict[str, Task]:
    options = {space.name: {"form": form} for space in spaces if space.kind == "regression"}
    return build_tasks(spaces, LossConfig(), ModelConfig(va_decode="centres"), options=options)


def mapped(teacher: str, student: str, logits: Tensor) -> tuple[Task, Tensor]:
    """The student's task, and its logits."""
    own, taught = tasks(VAD, form=teacher), tasks(VALENCE_AROUSAL, form=student)
    (made,) = task_maps(own, taught, NAMES, "a teacher").values()
    return taught["valence_arousal"], made.logits(logits)


@pytest.mark.parametrize("temperature", [1.0, 1.5])
def test_bins_of_two_ranges_are_the_same_parts_of_them(temperature: float) -> None:
    logits = torch.randn(5, 60, generator=torch.Generator().manual_seed(0))
    student, found = mapped("binned", "binned", logits)
    teacher = tasks(VAD)["vad"]
    expected = teacher.distributions(logits, temperature).p[:, [1, 2]]
    torch.testing.assert_close(student.distributions(found, temperature).p, expected)
    values = (teacher.decode(logits)[:, [1, 2]] - 5.5) / 4.5
    torch.testing.assert_close(student.decode(found), values, atol=1e-5, rtol=0)


def test_plain_numbers_stay_numbers_for_a_plain_student() -> None:
    logits = torch.tensor([[3.0, 10.0, 1.0], [3.0, 5.5, 6.4], [3.0, 12.0, 5.5]])
    _, found = mapped("plain", "plain", logits)
    torch.testing.assert_close(found, torch.tensor([[1.0, -1.0], [0.0, 0.2], [6.5 / 4.5, 0.0]]))


@pytest.mark.parametrize(("teacher", "student"), [("plain", "binned"), ("binned", "plain")])
def test_numbers_and_distributions_of_one_another(teacher: str, student: str) -> None:
    """Well within the range: at its ends a distribution is cut off."""
    values = torch.tensor([[3.0, 5.0, 6.5]])
    task = tasks(VAD, form="plain")["vad"]
    logits = values if teacher == "plain" else task.distributions(values, 1.0).log_p.flatten(1)
    taught, found = mapped(teacher, student, logits)
    torch.testing.assert_close(taught.decode(found), (values[:, 1:] - 5.5) / 4.5, atol=0.01, rtol=0)


class Fixed(Network):
    """Gives what it is asked with."""

    @property
    def feature_widths(self) -> dict[str, int]:
        return {"vad": 4, "expression": 4}

    def forward_sets(self, inputs: Mapping[str, Any]) -> SetsOutput:
        features = {name: dict.fromkeys(("vad", "expression"), torch.zeros(2, 4)) for name in inputs}
        return SetsOutput({name: {"vad": logits} for name, logits in inputs.items()}, features)


def test_a_network_keeps_what_it_says_and_says_what_follows() -> None:
    own = tasks(VAD, EXPRESSION)
    network = MappedNetwork(Fixed(), task_maps(own, tasks(VALENCE_AROUSAL, EXPRESSION), NAMES, "a teacher"))
    logits = torch.randn(2, 60, generator=torch.Generator().manual_seed(1))
    found = network.forward_sets({"faces": logits})
    assert torch.equal(found.logits["faces"]["vad"], logits)
    assert found.logits["faces"]["valence_arousal"].shape == (2, 40)
    assert found.features["faces"]["valence_arousal"].shape == (2, 4)
    assert network.feature_widths == {"vad": 4, "expression": 4, "valence_arousal": 4}


def test_what_a_teacher_has_itself_is_not_made_from_other_tasks() -> None:
    assert task_maps(tasks(VAD, VALENCE_AROUSAL), tasks(VALENCE_AROUSAL), NAMES, "a teacher") == {}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"mood": "vad"}, r"loss\.teacher_maps\.mood: not among the tasks: expression, valence_arousal"),
        ({"valence_arousal": "pad"}, "valence_arousal: a teacher has no task pad, but vad"),
        ({"expression": "vad"}, "expression: expected a regression, found expression, which is multiclass"),
    ],
)
def test_maps_that_cannot_be_are_refused(names: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        task_maps(tasks(VAD), tasks(EXPRESSION, VALENCE_AROUSAL), names, "a teacher")


def test_a_student_of_faces_learns_from_a_teacher_of_other_numbers(tmp_path: Path) -> None:
    """Its gradient is that of the teacher's distributions, and the step runs as with any teacher."""
    store = make_store(tmp_path / "store").path
    teacher = str(make_checkpoint(tmp_path / "teacher", spaces=(VAD,)))
    overrides = ("sampling.sets=[mixed_va]", "loss.hard_weight=0")
    with pytest.raises(ConfigurationError, match=r"teacher .*: tasks vad, .*expected valence_arousal"):
        learner_of(store, training_recipe(*overrides), (teacher,))
    stage, learner = learner_of(store, training_recipe(*overrides, "loss.teacher_maps.valence_arousal=vad"), (teacher,))
    (batch,) = [batch for step, batch in enumerate(stage.batches(0, World())) if step == 0]
    losses = [float(learner.step(batch, True, 1)[0].total) for _ in range(12)]
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.7 * losses[0]
