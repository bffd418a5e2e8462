"""What is told of a training that went wrong without an error."""

from __future__ import annotations

import numpy as np
import pytest
from learners import run, training_recipe
from paper import SPACES
from stores import make_store

from abaw_ray.config import load_recipe
from abaw_ray.evaluation.evaluator import HEADLINE, Evaluation
from abaw_ray.evaluation.predictions import prediction_table, score_predictions
from abaw_ray.monitoring.step_clock import StepClock
from abaw_ray.tasks import build_tasks
from abaw_ray.training import loop
from abaw_ray.training.loop import EpochResult
from abaw_ray.training.symptoms import symptoms
from abaw_ray.training.trainer import describe

BY_NAME = {space.name: space for space in SPACES}
CLASSES = BY_NAME["expression"].names
NUM = 210


def evaluated(roles: dict[str, str] | None = None, **predicted: np.ndarray) -> tuple[Evaluation, dict]:
    """An evaluation of what was predicted for 210 frames, whose labels are as evenly spread as they can be."""
    recipe = load_recipe(None, [f"tasks.{name}.role={role}" for name, role in (roles or {}).items()])
    spaces = [BY_NAME[name] for name in predicted]
    tasks = build_tasks(spaces, recipe.loss, recipe.model, options=recipe.tasks)
    labels = {space.name: truth(space.name) for space in spaces}
    table = prediction_table(
        spaces=spaces,
        database=["made"] * NUM,
        video=["video"] * NUM,
        frame=np.arange(NUM, dtype=np.int32),
        seen=np.ones(NUM, bool),
        labels=labels,
        predictions=predicted,
    )
    scores = {HEADLINE: score_predictions(table, tasks, {})}
    return Evaluation(table, np.arange(NUM), scores, {}), tasks


def truth(name: str) -> np.ndarray:
    size = BY_NAME[name].size
    if name == "expression":
        return np.eye(size, dtype=np.float32)[np.arange(NUM) % size]
    if name == "action_units":
        return (np.arange(NUM)[:, None] % (2 + np.arange(size)) == 0).astype(np.float32)
    rng = np.random.default_rng(0)
    return rng.uniform(-1, 1, (NUM, size)).astype(np.float32)


def falling(*names: str, epochs: int = 4) -> list[dict[str, float]]:
    return [dict.fromkeys(["total", *names], 2.0 * 0.9**epoch) for epoch in range(epochs)]


def test_nothing_is_told_of_a_training_that_went_well() -> None:
    right = {name: truth(name) for name in BY_NAME}
    assert symptoms(falling("expression/mixed"), *evaluated(**right)) == []


def test_a_loss_that_never_falls() -> None:
    losses = falling("expression/mixed")
    for epoch, value in zip(losses, (1.95, 1.949, 1.96, 1.945), strict=True):
        epoch["valence_arousal/mixed"] = value
    found = symptoms(losses, *evaluated(expression=truth("expression")))
    assert found == ["loss valence_arousal/mixed: 1.9500 in the first epoch, never below 1.9450 in 3 more"]
    assert symptoms(losses[:2], *evaluated(expression=truth("expression"))) == [], "too early to say"


def test_a_head_that_learns_nothing_and_classes_that_are_never_predicted() -> None:
    always = np.tile(np.eye(7, dtype=np.float32)[0], (NUM, 1))
    chance, never = symptoms(falling(), *evaluated(expression=always))
    assert chance.startswith("expression: ")
    assert chance.endswith("which is chance")
    listed = ", ".join(f"{name} (30 labels)" for name in CLASSES[1:])
    assert never == f"expression: never predicted on validation: {listed}, of 210 frames"


def test_attributes_that_are_never_predicted() -> None:
    predicted = truth("action_units")
    predicted[:, 3] = 0.1
    (found,) = symptoms(falling(), *evaluated(action_units=predicted))
    name = BY_NAME["action_units"].names[3]
    assert found == f"action_units: never predicted on validation: {name} (42 labels), of 210 frames"


def test_one_value_for_every_frame() -> None:
    predicted = truth("valence_arousal")
    predicted[:, 1] = 0.25
    (found,) = symptoms(falling(), *evaluated(valence_arousal=predicted))
    assert found == "valence_arousal: arousal is 0.250 for every frame of validation"


def test_what_is_no_target_may_stay_at_chance() -> None:
    always = np.tile(np.eye(7, dtype=np.float32)[0], (NUM, 1))
    right = truth("valence_arousal")
    found = symptoms(falling(), *evaluated({"expression": "nuisance"}, expression=always, valence_arousal=right))
    assert found == []


def test_a_run_has_what_is_striking_in_its_summary(tmp_path, monkeypatch) -> None:
    told = []
    monkeypatch.setattr(loop, "symptoms", lambda *given: told.append(given) or ["striking"])
    summaries = []
    plain = loop.train

    def train(*arguments, **options):
        summaries.append(plain(*arguments, **options))

    monkeypatch.setattr("learners.train", train)
    run(training_recipe(), make_store(tmp_path / "store").path, tmp_path)
    assert summaries[0]["symptoms"] == ["striking"]
    losses, evaluation, tasks = told[0]
    assert [set(epoch) for epoch in losses] == [set(losses[0])] * 2
    assert "total" in losses[0]
    assert set(tasks) == {"expression", "valence_arousal"}, "those of its sets"
    assert evaluation.criterion == summaries[0]["best_criterion"]


@pytest.mark.parametrize(("waiting", "said"), [(0.05, ""), (0.45, ", 45% of the time waiting for data")])
def test_data_that_come_too_late_are_told_with_the_epoch(waiting: float, said: str) -> None:
    result = EpochResult(0, True, 0.5, {}, {"total": 1.0}, 100, 10.0, waiting)
    assert describe(result) == f"epoch 1: loss 1.0000, criterion 0.5000, best so far, 10 images/s{said}"


def test_the_share_of_waiting_is_of_all_steps(monkeypatch) -> None:
    now = [0.0]
    monkeypatch.setattr("abaw_ray.monitoring.step_clock.time.perf_counter", lambda: now[0])
    clock = StepClock(1)
    for data, step in ((3.0, 1.0), (0.0, 4.0)):
        now[0] += data
        clock.data_ready()
        now[0] += step
        clock.step_done()
        clock.read()
    assert clock.waiting == pytest.approx(3 / 8)
