"""Tasks' own options: checked, kept with checkpoints, roles, and regressions of plain numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoints import make_checkpoint
from paper import SPACES

from abaw_ray.config import LossConfig, ModelConfig, load_recipe
from abaw_ray.errors import ConfigurationError
from abaw_ray.evaluation.predictions import prediction_table, score
from abaw_ray.models import checkpoint
from abaw_ray.models.frozen_cnns import inherited
from abaw_ray.objectives.kd.kl import divergence
from abaw_ray.settings import replaced_settings
from abaw_ray.spaces import LabelSpace
from abaw_ray.tasks import build_tasks
from abaw_ray.tasks.base import Task

VAD = LabelSpace(name="vad", kind="regression", names=("valence", "arousal", "dominance"), low=1, high=10)
ALL = torch.tensor([True, True])


def vad(**options: object) -> Task:
    return build_tasks([VAD], LossConfig(), ModelConfig(), options={"vad": {"form": "plain", **options}})["vad"]


def from_recipe(*overrides: str) -> dict[str, Task]:
    recipe = load_recipe(None, list(overrides))
    return build_tasks([*SPACES, VAD], recipe.loss, recipe.model, options=recipe.tasks)


def test_options_come_from_dotted_overrides() -> None:
    tasks = from_recipe("tasks.valence_arousal.form=plain", "tasks.valence_arousal.loss=mse", "tasks.vad.role=nuisance")
    outputs = {name: task.num_outputs for name, task in tasks.items()}
    assert outputs == {"expression": 7, "valence_arousal": 2, "action_units": 12, "vad": 60}
    assert {name: task.role for name, task in tasks.items()} == dict.fromkeys(tasks, "target") | {"vad": "nuisance"}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["tasks.mood.role=target"], "tasks: mood not among the tasks: expression, valence_arousal, action_units, vad"),
        (
            ["tasks.expression.loss=mse"],
            r"tasks\.expression cannot be used:\n  loss: .*found 'mse'\n  known options: role",
        ),
        (["tasks.vad.role=guest"], r"tasks\.vad cannot be used:\n  role: .*'target' or 'nuisance', found 'guest'"),
        (["tasks.vad.loss=mse"], "loss: of the form plain, found the form binned"),
        (["tasks.vad={form: plain, margin: 2}"], "margin: of the losses margin_l2 and smooth_l1, found the loss mse"),
        (["tasks.vad={form: plain, loss: margin_l2, margin: 0}"], "margin: Input should be greater than 0"),
        ([f"tasks.{s.name}.role=nuisance" for s in [*SPACES, VAD]], "all are nuisance"),
    ],
)
def test_options_that_cannot_be_are_refused(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        from_recipe(*overrides)


def test_a_checkpoint_s_tasks_have_the_options_that_they_were_trained_with(tmp_path: Path) -> None:
    options = {"valence_arousal": {"form": "plain", "loss": "ccc"}}
    trained = checkpoint.load(make_checkpoint(tmp_path / "run", tasks=options))
    changed = trained.recipe.model_copy(update={"tasks": {}})
    assert trained.tasks(changed)["valence_arousal"].num_outputs == 2
    network = trained.cnn(torch.device("cpu"))
    assert network(torch.zeros(2, 3, 32, 32))["valence_arousal"].shape == (2, 2)
    assert inherited([trained], load_recipe(None)).tasks == options, "a temporal network has its CNN's tasks"
    given = load_recipe(None, ["tasks.valence_arousal={form: plain, loss: mse}"])
    assert replaced_settings(given, trained.recipe)["tasks.valence_arousal.loss"] == ("mse", "ccc")


def test_a_nuisance_task_is_scored_and_selects_no_model() -> None:
    rng = np.random.default_rng(0)
    labels = {"expression": np.eye(7)[rng.integers(0, 7, 30)], "vad": rng.uniform(1, 10, (30, 3))}
    predicted = {"expression": rng.dirichlet(np.ones(7), 30), "vad": labels["vad"] + 0.1}
    spaces = [SPACES[0], VAD]
    table = prediction_table(
        spaces=spaces,
        database=["a"] * 30,
        video=["v"] * 30,
        frame=np.arange(30),
        seen=np.ones(30, bool),
        labels=labels,
        predictions=predicted,
    )
    target, nuisance = (
        score(table, build_tasks(spaces, LossConfig(), ModelConfig(), options={"vad": {"role": role}}), {})
        for role in ("target", "nuisance")
    )
    assert nuisance["vad"] == target["vad"]
    assert nuisance["criterion"] == nuisance["expression"]["criterion"]
    assert target["criterion"] == pytest.approx(nuisance["criterion"] + target["vad"]["ccc_mean"])


# Plain numbers

EMOTIC_TARGET = torch.tensor([[9.0, 9.0, 9.0], [2.0, 2.0, 2.0]])
EMOTIC_OUTPUT = torch.tensor([[7.0, 7.0, 7.0], [2.5, 2.5, 2.5]])


@pytest.mark.parametrize(("loss", "of_two_rows"), [("margin_l2", 12.0), ("smooth_l1", 4.875), ("mse", 12.75)])
def test_emotic_s_losses(loss: str, of_two_rows: float) -> None:
    task = vad(loss=loss)
    assert task.num_outputs == 3
    mean = task.supervised(task.statistics(EMOTIC_OUTPUT, EMOTIC_TARGET, ALL))
    assert 2 * float(mean) == of_two_rows, "EMOTIC adds up what we take the mean of"


def test_a_margin_is_in_the_labels_units() -> None:
    outputs, target = torch.tensor([[4.0, 5.0, 6.0]]), torch.tensor([[2.0, 2.0, 2.0]])
    labelled = torch.tensor([True])
    l2, l1 = (vad(loss=loss, margin=3.0) for loss in ("margin_l2", "smooth_l1"))
    assert float(l2.supervised(l2.statistics(outputs, target, labelled))) == 9 + 16
    assert float(l1.supervised(l1.statistics(outputs, target, labelled))) == pytest.approx(4 / 6 + 1.5 + 2.5)


def test_the_margin_follows_the_range() -> None:
    small = VAD.model_copy(update={"low": -1.0, "high": 1.0})
    task = build_tasks([small], LossConfig(), ModelConfig(), options={"vad": {"form": "plain", "loss": "margin_l2"}})
    outputs = torch.tensor([[0.0, 0.22, 0.23]])
    loss = task["vad"].supervised(task["vad"].statistics(outputs, torch.zeros(1, 3), torch.tensor([True])))
    assert float(loss) == pytest.approx(0.23**2), "2 / 9 of -1 to 1 are 1 of 1 to 10"


def test_the_ccc_of_plain_numbers_is_the_batch_s() -> None:
    rng = np.random.default_rng(0)
    target = rng.uniform(1, 10, (50, 3))
    outputs = target + rng.normal(size=(50, 3))
    task = vad(loss="ccc")
    labelled = torch.ones(50, dtype=torch.bool)
    halves = [
        task.statistics(torch.from_numpy(outputs[part]), torch.from_numpy(target[part]), labelled[part])
        for part in (slice(0, 20), slice(20, 50))
    ]
    expected = 0.0
    for x, y in zip(outputs.T, target.T, strict=True):
        covariance = np.cov(x, y)
        expected += 1 - 2 * covariance[0, 1] / (covariance[0, 0] + covariance[1, 1] + (x.mean() - y.mean()) ** 2)
    assert float(task.supervised(halves[0] + halves[1])) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("loss", ["margin_l2", "smooth_l1", "mse", "ccc"])
def test_numbers_that_are_not_known_teach_nothing(loss: str) -> None:
    rng = np.random.default_rng(1)
    target = torch.from_numpy(rng.uniform(1, 10, (12, 3)).astype(np.float32))
    target[:4, 0], target[11] = torch.nan, torch.nan
    labelled = torch.arange(12) < 10
    outputs = torch.from_numpy(rng.uniform(1, 10, (12, 3)).astype(np.float32)).requires_grad_()
    task = vad(loss=loss)
    value = task.supervised(task.statistics(outputs, target, labelled))
    value.backward()
    gradient = outputs.grad
    assert gradient is not None
    assert torch.isfinite(gradient).all()
    assert not gradient[:4, 0].any()
    assert not gradient[10:].any()
    alone = vad(loss=loss)
    rest = [
        task.statistics(outputs[:10], torch.where(torch.arange(3) == d, target[:10], torch.nan), labelled[:10])
        for d in range(3)
    ]
    assert sum(alone.supervised(sums).item() for sums in rest) == pytest.approx(value.item(), rel=1e-9)
    nothing = task.statistics(outputs, target, torch.zeros(12, dtype=torch.bool))
    assert task.supervised(nothing).item() == 0.0
    assert nothing.requires_grad


def test_plain_predictions_stay_in_the_range_and_losses_do_not() -> None:
    outputs = torch.tensor([[-3.0, 5.5, 12.0]], requires_grad=True)
    task = vad()
    assert task.decode(outputs).tolist() == [[1.0, 5.5, 10.0]]
    target = torch.tensor([[1.0, 5.5, 10.0]])
    task.supervised(task.statistics(outputs, target, torch.tensor([True]))).backward()
    assert outputs.grad is not None
    assert outputs.grad.tolist() == [[-8.0, 0.0, 4.0]], "beyond the range an output is drawn back"


def test_scores_of_plain_numbers() -> None:
    target = np.array([[1, 2, np.nan], [3, 4, np.nan], [5, 9, np.nan]], np.float32)
    predicted = target + np.array([[1, -1, 0], [1, 1, 0], [2.5, 1, 0]], np.float32)
    predicted[:, 2] = 5.0
    task = vad()
    scores = task.score(target, predicted, {})
    assert scores["mae_valence"] == pytest.approx(1.5)
    assert scores["mae_arousal"] == pytest.approx(1.0)
    assert scores["rmse_valence"] == pytest.approx(np.sqrt((1 + 1 + 6.25) / 3))
    assert "mae_dominance" not in scores
    assert task.criterion(scores) == scores["ccc_mean"]
    assert task.chance(target)["mae_arousal"] == pytest.approx((2 + 0 + 5) / 3), "around the median, 4"
    assert list(task.columns)[6:] == ["MAE valence", "MAE arousal", "MAE dominance"]
    assert set(task.columns.values()) >= task.chance(target).keys()


def soft(task: Task, student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """The KD loss of the paper at temperature 1, row by row."""
    return divergence(task.distributions(teacher, 1.0), task.distributions(student, 1.0)).sum(-1)


def test_distillation_of_plain_numbers_is_of_their_distance() -> None:
    task = vad()
    teacher = torch.tensor([[5.0, 5.0, 6.0], [5.5, 5.5, 5.5]])
    student = torch.tensor([[5.0, 5.5, 6.5], [5.5, 5.5, 5.5]], requires_grad=True)
    rows = soft(task, student, teacher)
    deviation = 9 / 8
    assert rows[0].item() == pytest.approx(2 * 0.5**2 / (2 * deviation**2), rel=0.02)
    assert rows[1].item() == pytest.approx(0.0, abs=1e-6)
    rows[0].backward()
    assert student.grad is not None
    assert student.grad[0, 1].item() == pytest.approx(0.5 / deviation**2, rel=0.05)
    far = torch.full((1, 3), 30.0, requires_grad=True)
    soft(task, far, torch.full((1, 3), 10.0)).sum().backward()
    assert far.grad is not None
    assert torch.isfinite(far.grad).all()
