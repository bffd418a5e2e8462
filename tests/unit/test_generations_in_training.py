"""Generations that are trained, in this process and without Ray, on generated (synthetic) labels."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from checkpoints import make_checkpoint
from learners import training_recipe
from stores import draw_labels, make_store

from abaw_ray.evaluation import evaluate
from abaw_ray.generations import members, run
from abaw_ray.generations.plan import Plan
from abaw_ray.generations.run import run_generations
from abaw_ray.inference import blockwise
from abaw_ray.training.job import Job, inherit_settings
from abaw_ray.training.loop import EpochResult, train
from abaw_ray.training.resources import Resources
from abaw_ray.training.step import Learner
from abaw_ray.training.trainer import to_dict
from abaw_ray.world import World

pytestmark = pytest.mark.usefixtures("one_thread")


def fit(job: Job, *arguments: Any, **options: Any) -> dict[str, Any]:
    """A finished run, by the loop alone, which goes on from the last epoch that is there."""
    place = Path(job.run)
    last = max(place.glob("epoch-*"), default=None)

    def report(result: EpochResult, folder: Path | None) -> None:
        assert folder is not None
        shutil.copytree(folder, place / f"epoch-{result.epoch:04d}")

    summary = train(job, World(), report, last)
    values = summary | {"best": f"epoch-{summary['best_epoch']:04d}"}
    (place / "job.json").write_text(json.dumps(to_dict(job)))
    (place / "run.json").write_text(json.dumps(values))
    return values


def block_results(jobs: list[Any], worker: type, arguments: dict[str, Any], use_gpu: bool | None) -> Iterator[Any]:
    asked = worker(**arguments)
    for job in jobs:
        yield {name: values[0] for name, values in asked({k: [v] for k, v in asdict(job).items()}).items()}


@pytest.fixture(autouse=True)
def backwards(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Members are trained one after the other, the last one first; the runs in this order."""
    trained = []

    def side_by_side(function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]], at_once: int) -> list[Any]:
        return [function(*given, lambda line: None) for given in reversed(arguments)][::-1]

    def noted(job: Job, *arguments: Any, **options: Any) -> dict[str, Any]:
        trained.append(str(Path(job.run).relative_to(Path(job.run).parents[1])))
        return fit(job)

    monkeypatch.setattr(members, "fit", noted)
    monkeypatch.setattr(run, "side_by_side", side_by_side)
    monkeypatch.setattr(run, "check_room", lambda resources: None)
    monkeypatch.setattr(run, "room", lambda resources: 1)
    monkeypatch.setattr(run, "ray_session", nullcontext)
    monkeypatch.setattr(blockwise, "ray_session", nullcontext)
    monkeypatch.setattr(blockwise, "data_context", nullcontext)
    monkeypatch.setattr(blockwise, "block_results", block_results)
    for name in ("save", "task_figures", "reliability_figure"):  # most of an evaluation's time
        monkeypatch.setattr(evaluate, name, lambda *arguments: {})
    return trained


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = make_store(tmp_path_factory.mktemp("store")).path
    draw_labels(path)
    return path


def written(out: Path) -> dict[str, bytes]:
    """Weights, soft labels and tables."""
    files = [*out.rglob("model.safetensors"), *out.rglob("*.arrow"), *out.glob("generations.*")]
    return {str(file.relative_to(out)): file.read_bytes() for file in files}


@pytest.fixture(params=["cnn", "temporal"])
def job(request: pytest.FixtureRequest, store: Path, tmp_path: Path) -> Job:
    """One epoch from two views, or over the features of a CNN, and from soft labels alone."""
    fixed = ["loss.hard_weight=0", "loss.temperature=1", "train.epochs=1"]
    if request.param == "cnn":
        return Job(training_recipe("augment.views=2", *fixed), str(store), "")
    cnn = make_checkpoint(tmp_path / "cnn", recipe=training_recipe())
    return inherit_settings(Job(training_recipe("temporal.batch_size=2", *fixed), str(store), "", cnn=str(cnn)))


def test_members_and_soft_labels_that_are_dropped_come_out_as_they_were(job, tmp_path, backwards):
    plan = Plan(tmp_path / "out", (job,), 2, 2, 2, Resources(1))
    values = run_generations(plan)
    assert backwards == [f"generation-{g}/member-{k}" for g in (0, 1) for k in (1, 0)]
    before = written(plan.out)
    weights = {name: content for name, content in before.items() if name.endswith("safetensors")}
    assert len(set(weights.values())) == len(weights) == 4
    (outputs,) = (plan.out / "generation-0").glob("soft-labels-*")
    for member in range(2):
        student = json.loads((plan.run(1, member) / "job.json").read_text())
        assert student["teachers"] == [str(plan.run(0, teacher)) for teacher in range(2)]
        assert student["teacher_outputs"] == str(outputs)

    backwards.clear()
    for folder in (plan.run(0, 0), plan.run(1, 1), outputs):
        shutil.rmtree(folder)
    assert json.loads(json.dumps(run_generations(plan))) == json.loads(json.dumps(values))
    assert backwards == ["generation-0/member-0", "generation-1/member-1"]
    assert written(plan.out) == before


class Killed(BaseException):
    """Ends a training within an epoch."""


def test_soft_labels_are_the_same_after_a_member_was_killed_within_an_epoch(job, tmp_path, backwards, monkeypatch):
    """Its second epoch is begun again from the checkpoint of the first, whose optimiser has moments."""
    train_recipe = job.recipe.train.model_copy(update={"epochs": 2})
    job = replace(job, recipe=job.recipe.model_copy(update={"train": train_recipe}))
    whole, resumed = (Plan(tmp_path / name, (job,), 2, 2, 2, Resources(1)) for name in ("whole", "resumed"))
    values = run_generations(whole)
    num_steps = json.loads((whole.run(0, 1) / "run.json").read_text())["num_steps"] // 2
    steps, step = count(1), Learner.step

    def dies(self: Learner, *arguments: Any) -> Any:
        if next(steps) == num_steps + num_steps // 2 + 1:  # of the member that is trained first
            raise Killed
        return step(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "step", dies)
        with pytest.raises(Killed):
            run_generations(resumed)
    assert [file.name for file in resumed.run(0, 1).glob("epoch-*")] == ["epoch-0000"], "killed within the second"
    assert not (resumed.run(0, 1) / "run.json").exists()
    again = run_generations(resumed)
    before, after = written(whole.out), written(resumed.out)
    tables = {name for name in before if name.startswith("generations.")}
    assert {name: before[name] for name in before.keys() - tables} == {n: after[n] for n in after.keys() - tables}
    assert any(name.endswith(".arrow") for name in before.keys() - tables)
    joints = [[generation["joint"] for generation in found["generations"]] for found in (values, again)]
    assert joints[0] == joints[1]
