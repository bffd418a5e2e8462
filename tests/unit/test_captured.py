"""What is around the CUDA graph of a step: a graph that is computed by the CPU when it is replayed stands for it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

from abaw_ray.models.sets import Streams
from abaw_ray.objectives.terms import AnnotatorLabels, SetLabels, StepLoss
from abaw_ray.training.captured import NUM_PLAIN, CapturedGradient, StepInput


class Model:
    """A linear layer, and the gradient of its squared error."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.layer = nn.Linear(3, 1)
        self.num_computed = 0

    def gradient(self, step: StepInput) -> StepLoss:
        self.num_computed += 1
        error = self.layer(step.inputs["set"].streams["face"]) - step.labels["set"].labels["task"]
        labels = step.labels["set"]
        loss = (error.square() * labels.labelled["task"][:, None]).mean() + labels.annotators["task"].values.mean()
        loss.backward()
        return StepLoss(loss, {("set", "task"): loss}).detached()


def step_of(seed: int, count: int = 4) -> StepInput:
    random = torch.Generator().manual_seed(seed)
    inputs = Streams({"face": torch.randn(count, 3, generator=random)}, {"face": torch.ones(count, dtype=torch.bool)})
    annotators = {"task": AnnotatorLabels(torch.randn(count, 2, 1, generator=random), torch.ones(count, 2).bool())}
    labels = SetLabels({"task": torch.randn(count, 1, generator=random)}, {"task": torch.arange(count) > 0}, annotators)
    return StepInput({"set": inputs}, {"set": labels}, {"set": {}})


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The graphs that were captured."""
    made: list[Any] = []

    class Graph:
        def replay(self) -> None:
            self.replayed()

    @contextlib.contextmanager
    def capture(graph: Graph, capture_error_mode: str) -> Iterator[None]:
        made.append(graph)
        yield

    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", capture)
    return made


def follow(gradient: CapturedGradient, model: Model, graph: Any) -> None:
    """Makes a replay compute what was captured, from and into the captured tensors."""
    captured = gradient._captured
    assert captured is not None

    def replayed() -> None:
        for parameter in model.layer.parameters():
            parameter.grad = None
        loss = model.gradient(StepInput.of(captured.tensors, captured.form))
        captured.loss.total.copy_(loss.total)
        for own, parameter in zip(captured.gradients, model.layer.parameters(), strict=True):
            own.copy_(parameter.grad)

    graph.replayed = replayed


def losses_of(gradient: Any, model: Model, steps: list[StepInput], graphs: list[Any]) -> list[StepLoss]:
    optimizer, found = torch.optim.SGD(model.layer.parameters(), 0.1), []
    for number, step in enumerate(steps):
        if number == NUM_PLAIN and isinstance(gradient, CapturedGradient):
            gradient._num_steps += 1
            gradient._captured = gradient._capture(step)
            follow(gradient, model, graphs[0])
        found.append(gradient(step))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return found


def test_replayed_steps_take_their_own_batch_and_give_their_own_losses(graphs):
    steps = [step_of(seed) for seed in range(NUM_PLAIN + 4)]
    plain, replayed = Model(), Model()
    expected = losses_of(plain.gradient, plain, steps, graphs)
    found = losses_of(CapturedGradient(replayed.gradient, [*replayed.layer.parameters()]), replayed, steps, graphs)
    assert len(graphs) == 1
    assert [float(loss.total) for loss in found] == pytest.approx([float(loss.total) for loss in expected])
    assert len({float(loss.total) for loss in found}) == len(steps)
    torch.testing.assert_close(replayed.layer.weight, plain.layer.weight)


def test_a_step_of_another_shape_is_computed_as_it_comes(graphs):
    steps = [*(step_of(seed) for seed in range(NUM_PLAIN + 2)), step_of(9, count=3), step_of(10)]
    plain, replayed = Model(), Model()
    losses_of(plain.gradient, plain, steps, graphs)
    losses_of(CapturedGradient(replayed.gradient, [*replayed.layer.parameters()]), replayed, steps, graphs)
    torch.testing.assert_close(replayed.layer.weight, plain.layer.weight)


def test_where_the_capture_fails_it_is_said_and_every_step_is_computed(monkeypatch, caplog):
    @contextlib.contextmanager
    def failing(graph: Any, capture_error_mode: str) -> Iterator[None]:
        yield
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    monkeypatch.setattr(torch.cuda, "CUDAGraph", object)
    monkeypatch.setattr(torch.cuda, "graph", failing)
    plain, model = Model(), Model()
    steps = [step_of(seed) for seed in range(NUM_PLAIN + 3)]
    expected = losses_of(plain.gradient, plain, steps, [])
    gradient, found = CapturedGradient(model.gradient, [*model.layer.parameters()]), []
    optimizer = torch.optim.SGD(model.layer.parameters(), 0.1)
    for step in steps:
        found.append(gradient(step))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    assert caplog.messages == [
        "optim.cuda_graph: this step cannot be captured, so it is taken kernel by kernel: operation not permitted when"
        " stream is capturing"
    ]
    assert [float(loss.total) for loss in found] == pytest.approx([float(loss.total) for loss in expected])
