"""A batch in parts: the losses, the gradient and the norm of the whole batch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from checkpoints import make_checkpoint
from learners import learner_of, resumes, training_recipe
from stores import make_store
from torch import Tensor

from abaw_ray.config import Recipe
from abaw_ray.errors import ConfigurationError
from abaw_ray.monitoring.run_log import named_losses, read
from abaw_ray.training.job import Job
from abaw_ray.training.stage import Stage
from abaw_ray.world import World


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("made") / "store").path


def of_a_step(store: Path, recipe: Recipe, teachers: tuple[str, ...]) -> tuple[dict[str, float], Tensor, Mapping]:
    """Losses, gradient of all parameters, and what the buffers are after a step."""
    stage, learner = learner_of(store, recipe, teachers)
    learner.optimizer = torch.optim.SGD(learner._parameters, 1.0)
    before = torch.cat([p.detach().flatten().double() for p in learner._parameters])
    torch.manual_seed(1)
    loss, norm = learner.step(next(iter(stage.batches(0, World()))), True, 1)
    after = torch.cat([p.detach().flatten().double() for p in learner._parameters])
    assert norm is not None
    return read(named_losses(loss) | {"norm": norm}), before - after, dict(learner.network.named_buffers())


@pytest.mark.parametrize("num", [2, 4, 100])
@pytest.mark.parametrize("role", ["teacher", "student", "student with objectives"])
def test_parts_have_the_gradient_of_the_whole_batch_also_where_they_are_uneven(store, tmp_path, num, role):
    teachers = (str(make_checkpoint(tmp_path / "teacher")),) if "student" in role else ()
    settings = ["loss.kd={kl: {}, feature: {}}"] if role == "student with objectives" else []
    losses, gradient, _ = of_a_step(store, training_recipe(*settings), teachers)
    parts = training_recipe(*settings, f"train.micro_batches={num}")
    of_parts, same, _ = of_a_step(store, parts, teachers)
    assert of_parts == pytest.approx(losses, rel=1e-4)
    # single precision, of weights that are much larger than their gradients
    assert float((same - gradient).norm()) < 1e-3 * float(gradient.norm())


def test_the_gradient_of_averaged_steps_is_another(store):
    """The CCC is of the batch: what the parts would say of it by themselves is not what the whole does."""
    _, gradient, _ = of_a_step(store, training_recipe(), ())
    stage, learner = learner_of(store, training_recipe("sampling.batch_size=3"))
    learner.optimizer = torch.optim.SGD(learner._parameters, 1.0)
    before = torch.cat([p.detach().flatten().double() for p in learner._parameters])
    steps = iter(stage.batches(0, World()))
    learner.step(next(steps), False, 2)
    learner.step(next(steps), True, 2)
    averaged = before - torch.cat([p.detach().flatten().double() for p in learner._parameters])
    assert float((averaged - gradient).norm()) > 0.05 * float(gradient.norm())


def test_dropout_is_that_of_the_outputs_that_the_loss_was_of(store):
    settings = ["model.head_dropout=0.5", "sampling.batch_size=6"]
    stage, learner = learner_of(store, training_recipe(*settings, "train.micro_batches=2"))
    seen: dict[str, list[Tensor]] = {}
    for name, module in learner.network.named_modules():
        if isinstance(module, torch.nn.Dropout) and module.p > 0:
            module.register_forward_hook(lambda m, i, o, name=name: seen.setdefault(name, []).append(o.detach() == 0))
    learner.step(next(iter(stage.batches(0, World()))), True, 1)
    assert seen
    for zeros in seen.values():
        half = len(zeros) // 2
        assert all(torch.equal(first, second) for first, second in zip(zeros[:half], zeros[half:], strict=True))
        assert not all(torch.equal(zeros[0], other) for other in zeros[1:half])


def test_running_statistics_take_every_part_once(store):
    recipe = training_recipe("model.backbone=test_efficientnet", "train.micro_batches=3")
    _, _, buffers = of_a_step(store, recipe, ())
    counts = {name: int(b) for name, b in buffers.items() if name.endswith("num_batches_tracked")}
    assert set(counts.values()) == {9}, "3 parts of 3 sets"


def test_a_resumed_run_ends_where_an_uninterrupted_one_does(store, tmp_path):
    settings = ["train.micro_batches=2", "train.accumulate=2", "model.head_dropout=0.5"]
    assert resumes(training_recipe(*settings), store, tmp_path)


def test_parts_that_batch_norm_cannot_take_are_refused(store, tmp_path):
    recipe = training_recipe("model.backbone=test_efficientnet", "model.head=reference", "train.micro_batches=6")
    with pytest.raises(ConfigurationError, match=r"in 6 micro-batches, and the batch norm .* at least 12"):
        Stage(Job(recipe, str(store), str(tmp_path / "run")), torch.device("cpu")).check(1)
