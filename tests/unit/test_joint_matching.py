"""Matching of joint distributions by adversaries: values, who learns from whom, and training. All data is synthetic."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from learners import equal, resumes, run, training_recipe
from matching import COLOURS, LIGHT, OPTIONS, SET, WIDTH, matching_learner, matching_of, part_of, synthetic_batch
from matching import tasks_of as made_tasks
from stores import make_store
from torch import Tensor, nn

from abaw_ray.errors import ConfigurationError
from abaw_ray.models.outputs import SetsOutput
from abaw_ray.objectives import build_objectives
from abaw_ray.objectives.base import Context, Objective, StepData
from abaw_ray.objectives.joint_matching import hinge, mean_of_means
from abaw_ray.objectives.matching_networks import Decoder, Discriminators, NoiseEncoder
from abaw_ray.objectives.terms import SetLabels, combine
from abaw_ray.streams.base import FACE
from abaw_ray.tasks.base import Task
from abaw_ray.training.added import AddedObjectives
from abaw_ray.world import World

RECIPE = training_recipe()
NAMES = {"image", "noise", "labels_colours", "labels_light", "joint"}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def tasks() -> dict[str, Task]:
    torch.manual_seed(0)
    return made_tasks(RECIPE)


def step_of(tasks: dict[str, Task], num: int = 8, seed: int = 0) -> StepData:
    """A step whose outputs of the network are leaves that take a gradient."""
    batch = synthetic_batch(num, seed)[SET]
    draw = torch.Generator().manual_seed(seed)

    def leaf(width: int) -> Tensor:
        return torch.randn(num, width, generator=draw).requires_grad_()

    logits = {name: leaf(task.num_outputs) for name, task in tasks.items()}
    network = SetsOutput({SET: logits}, {SET: {name: leaf(WIDTH) for name in tasks}})
    return StepData({SET: batch.labels}, network, None, {SET: batch.inputs(RECIPE.augment)})


def shown_to(discriminators: Discriminators, name: str) -> list[Tensor]:
    """What one of the discriminators is given from now on."""
    seen: list[Tensor] = []
    discriminators.features[name].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach()))
    return seen


def network_learns(added: AddedObjectives, step: StepData) -> None:
    combine(added.terms(step), World(), RECIPE.loss, {}).total.backward()


def has_gradient(module: nn.Module) -> bool:
    return any(p.grad is not None and bool(p.grad.any()) for p in module.parameters())


@pytest.mark.parametrize(
    ("of_network", "of_decoder", "expected"),
    [(1.0, -1.0, 0.0), (5.0, -3.0, 0.0), (0.0, 0.0, 2.0), (-0.5, 0.25, 2.75), (1.5, 0.0, 1.0), (-1.0, 1.0, 4.0)],
)
def test_the_hinge_loss_is_0_where_both_sides_are_told_apart_by_1(of_network, of_decoder, expected):
    assert float(hinge(torch.tensor(of_network), torch.tensor(of_decoder))) == expected


def test_discriminators_count_alike_and_one_without_rows_does_not():
    assert float(mean_of_means(torch.tensor([6.0, 3.0, 0.0, 0.0, 8.0, 2.0]))) == 3.0
    assert float(mean_of_means(torch.zeros(4))) == 0.0


def test_the_loss_of_discriminators_that_say_0_is_2(tasks):
    matching = matching_of(tasks)["joint_matching"]
    for name in matching.discriminators.scores:
        matching.discriminators.scores[name] = layer = nn.Linear(OPTIONS["features"], 1)
        layer.requires_grad_(False).weight.zero_()
        layer.bias.zero_()
    added = AddedObjectives({"joint_matching": matching}, RECIPE, World())
    found = added.learn(step_of(tasks), 1)
    assert float(found[SET, "joint_matching/discriminators"]) == 2.0


def test_the_discriminator_of_classes_is_shown_probabilities_by_both_sides(tasks):
    """Where a label is missing both sides are 0, and nothing is said of it."""
    step = step_of(tasks)
    matching = matching_of(tasks)["joint_matching"]
    seen = shown_to(matching.discriminators, "labels_colours")
    AddedObjectives({"joint_matching": matching}, RECIPE, World()).learn(step, 1)
    of_network, of_labels = seen[0].chunk(2)
    known = step.labels[SET].labelled["colours"]
    assert 0 < known.sum() < len(known)
    logits = step.network.logits[SET]["colours"].detach()
    torch.testing.assert_close(of_network[known], logits[known].softmax(1))
    assert torch.equal(of_labels[known], step.labels[SET].labels["colours"][known])
    assert not of_network[~known].any()
    assert not of_labels[~known].any()


def test_classes_that_a_database_does_not_have_are_in_neither_side(tasks):
    step = step_of(tasks)
    labels = step.labels[SET]
    labels.labelled["colours"][:] = True
    labels.labels["colours"][:] = torch.tensor([0.0, 1.0, math.nan])
    matching = matching_of(tasks, own_steps=1)["joint_matching"]
    seen = shown_to(matching.discriminators, "labels_colours")
    added = AddedObjectives({"joint_matching": matching}, RECIPE, World())
    network_learns(added, step)
    (said,) = seen
    assert not said[:, 2].any()
    torch.testing.assert_close(said.sum(1), torch.ones(len(said)))
    gradient = step.network.logits[SET]["colours"].grad
    assert gradient is not None
    assert gradient.isfinite().all()
    assert gradient[:, :2].any()


def test_values_and_images_are_scaled_to_one_range(tasks):
    step = step_of(tasks)
    labels = step.labels[SET]
    labels.labelled["light"][:] = True
    labels.labels["light"][:] = torch.tensor([1.0, 10.0])
    matching = matching_of(tasks, image_size=8)["joint_matching"]
    values, images = (shown_to(matching.discriminators, name) for name in ("labels_light", "image"))
    AddedObjectives({"joint_matching": matching}, RECIPE, World()).learn(step, 1)
    of_network, of_labels = values[0].chunk(2)
    assert torch.equal(of_labels, torch.tensor([-1.0, 1.0]).expand_as(of_labels))
    decoded = tasks["light"].decode(step.network.logits[SET]["light"].detach())
    torch.testing.assert_close(of_network, (decoded - 5.5) / 4.5)
    assert images[0].shape == (16, 3, 8, 8)
    real, made = images[0].chunk(2)
    torch.testing.assert_close(
        real.mean(), step.inputs[SET].streams[FACE].float().mean() / 127.5 - 1, atol=0.02, rtol=0
    )
    assert all(float(x.min()) >= -1.01 and float(x.max()) <= 1.01 for x in (real, made))


def test_gradients_reach_only_what_they_should(tasks):
    """The network learns from scores; the discriminators from what comes without a graph; the rest in its own turn."""
    step = step_of(tasks)
    matching = matching_of(tasks)["joint_matching"]
    added = AddedObjectives({"joint_matching": matching}, RECIPE, World())
    leaves = [*step.network.logits[SET].values(), *step.network.features[SET].values()]
    assert not any(term.sums.requires_grad for term in added.terms(step)), "a step of the discriminators alone"
    added.learn(step, 1)
    assert [has_gradient(module) for module in parts(matching)] == [True, False, False]
    assert all(has_gradient(matching.discriminators.features[name]) for name in NAMES)
    added.update()
    network_learns(added, step)
    assert not has_gradient(matching)
    assert all(leaf.grad is not None and bool(leaf.grad.any()) for leaf in leaves)
    before = [leaf.grad.clone() for leaf in leaves]
    added.learn(step, 1)
    assert [has_gradient(module) for module in parts(matching)] == [True, True, True]
    assert all(torch.equal(leaf.grad, values) for leaf, values in zip(leaves, before, strict=True))


def parts(matching: Objective) -> tuple[Discriminators, Decoder, NoiseEncoder]:
    return matching.discriminators, matching.decoder, matching.noise_encoder


def test_every_side_goes_where_its_loss_falls(tasks):
    """A step of the discriminators alone makes their loss less; the network's gradient is one towards lower scores."""
    step = step_of(tasks, num=32)
    matching = matching_of(tasks, learning_rate=0.01)["joint_matching"]
    added = AddedObjectives({"joint_matching": matching}, RECIPE, World())
    losses = []
    for _ in range(40):
        losses.append(float(added.learn(step, 1)[SET, "joint_matching/discriminators"]))
        added.update()
    assert losses[-1] < losses[0] - 0.2
    assert set(NAMES) == set(matching.discriminators.scores)


def test_the_discriminators_take_two_steps_for_each_of_the_others(tasks):
    matching = matching_of(tasks)
    added = AddedObjectives(matching, RECIPE, World())
    step, weights, changed = step_of(tasks), [], []
    for _ in range(4):
        weights.append(added.weights()["joint_matching"])
        before = [[p.detach().clone() for p in module.parameters()] for module in parts(matching["joint_matching"])]
        added.learn(step, 1)
        added.update()
        after = [[p.detach() for p in module.parameters()] for module in parts(matching["joint_matching"])]
        changed.append([not equal(x, y) for x, y in zip(before, after, strict=True)])
    assert weights == [0.0, 1.0, 0.0, 1.0]
    assert changed == [[True, False, False], [True, True, True]] * 2
    states = added.state()["optimizers"]
    taken = {name: {int(s["step"]) for s in state["state"].values()} for name, state in states.items()}
    expected = {"discriminators": {4}, "decoder": {2}, "noise_encoder": {2}}
    assert taken == {f"joint_matching/{name}": steps for name, steps in expected.items()}


def test_nothing_is_learned_before_the_delay(tasks):
    added = AddedObjectives(matching_of(tasks, delay=3, weight=0.4), RECIPE, World())
    step, weights, learned = step_of(tasks), [], []
    for _ in range(7):
        weights.append(added.weights()["joint_matching"])
        learned.append(sorted({name.partition("/")[2] for _, name in added.learn(step, 1)}))
        added.update()
    others = ["decoder", "discriminators", "noise_encoder"]
    assert weights == [0.0, 0.0, 0.0, 0.0, 0.4, 0.0, 0.4]
    assert learned == [[], [], [], ["discriminators"], others, ["discriminators"], others]


def test_accumulated_steps_are_one_step_of_each_player(tasks):
    """The gradient of two halves is that of the whole, where noise plays no part in the loss."""
    step = step_of(tasks)
    found = []
    for num in (1, 2):
        torch.manual_seed(3)
        matching = matching_of(tasks)["joint_matching"]
        added = AddedObjectives({"joint_matching": matching}, RECIPE, World())
        for _ in range(num):
            torch.manual_seed(4)
            matching.discriminators.eval()  # no step of the power iteration in between
            added.learn(step, num)
        found.append([p.grad for p in matching.discriminators.parameters() if p.grad is not None])
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(one, two)


def test_a_network_that_takes_no_faces_is_refused(tasks):
    context = Context(tasks, {SET: tuple(tasks)}, dict.fromkeys(tasks, WIDTH))
    with pytest.raises(ConfigurationError, match=r"objectives\.joint_matching: the network takes features of another"):
        build_objectives({"joint_matching": {}}, context)


def test_a_wrong_option_is_named(tasks):
    with pytest.raises(ConfigurationError, match=r"objectives\.joint_matching[\s\S]*image_size[\s\S]*17"):
        matching_of(tasks, image_size=17)


def test_spaces_of_any_sizes_are_matched(tasks):
    one, other = (matching_of(found)["joint_matching"] for found in (tasks, {"colours": tasks["colours"]}))
    sizes = COLOURS.size + LIGHT.size
    assert one.decoder.first.in_features == OPTIONS["noise"] + sizes
    assert other.decoder.first.in_features == OPTIONS["noise"] + COLOURS.size
    assert set(other.discriminators.scores) == NAMES - {"labels_light"}


@pytest.mark.parametrize("side", [8, 16, 32, 64, 128])
def test_the_decoder_makes_images_of_the_side_that_is_asked_for(side):
    images = Decoder(5, side, 2)(torch.zeros(2, 3), {"a": torch.ones(2, 2)})
    assert images.shape == (2, 3, side, side)
    assert float(images.detach().abs().max()) <= 1


NUM_STEPS = 200


def trained(matches: bool) -> tuple[float, list[dict[str, float]]]:
    """Accuracy of a tiny network on other rows after 200 steps, and the losses of each step."""
    learner = matching_learner(matches=matches, learning_rate=2e-3)
    losses = []
    for number in range(NUM_STEPS):
        loss, _ = learner.step(synthetic_batch(32, seed=number), True, 1)
        losses.append({head: float(value) for (_, head), value in loss.terms.items()})
    batch = synthetic_batch(2000, seed=10_000, share_unlabelled=0.0)
    with torch.no_grad():
        said = learner.network.forward_sets({SET: batch[SET].inputs(RECIPE.augment)}).logits[SET]["colours"]
    return float((said.argmax(1) == batch[SET].labels.labels["colours"].argmax(1)).float().mean()), losses


def test_200_steps_leave_the_discriminators_alive_and_the_network_no_worse():
    without, _ = trained(matches=False)
    accuracy, losses = trained(matches=True)
    assert all(math.isfinite(value) for step in losses for value in step.values())
    last = [step["joint_matching/discriminators"] for step in losses[-50:]]
    assert 0.05 < sum(last) / len(last) < 1.95
    assert min(last) > 0
    assert without > 0.8
    assert accuracy >= without - 0.02


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("made") / "store").path


def test_a_resumed_run_ends_with_every_tensor_of_a_whole_one(store, tmp_path):
    """An epoch is of 3 steps, so that it goes on between two steps of the decoder."""
    options = "{image_size: 8, width: 2, features: 8, noise: 4, weight: 0.5}"
    recipe = training_recipe(f"objectives.joint_matching={options}", "model.head_dropout=0.5")
    assert resumes(recipe, store, tmp_path)
    first, last = (torch.load(tmp_path / "whole" / e / "losses.pt", weights_only=True)["added"] for e in "01")
    assert (first["num_updates"], last["num_updates"]) == (3, 6)
    states = [{int(s["step"]) for s in state["state"].values()} for state in last["optimizers"].values()]
    assert states == [{6}, {3}, {3}]
    before, after = (state["objectives"]["joint_matching"] for state in (first, last))
    changed = {name.partition(".")[0] for name, values in after.items() if not equal(before[name], values)}
    assert changed == {"discriminators", "decoder", "noise_encoder"}


@pytest.mark.parametrize(
    "setting",
    [
        "train.accumulate=2",
        "train.micro_batches=2",
        "train.precision=bfloat16",
        "optim.sharpness_radius=0.05",
        "model.encoders={face: image_cnn}",
        "augment.cutmix.probability=1.0",
    ],
)
def test_it_goes_with_other_ways_of_taking_steps(store, tmp_path, setting):
    """And the losses of its players are among the run's numbers."""
    options = "{image_size: 8, width: 2, features: 8, noise: 4}"
    recipe = training_recipe(f"objectives.joint_matching={options}", "train.epochs=1", setting)
    (result,) = run(recipe, store, tmp_path)
    names = ("", "/discriminators", "/noise_encoder", "/decoder")
    expected = {f"joint_matching{name}/{source}" for name in names for source in ("mixed_expr", "mixed_va", "expr_va")}
    found = {name: value for name, value in result.losses.items() if name.startswith("joint_matching")}
    assert set(found) == expected
    assert all(math.isfinite(value) for value in found.values())
    assert all(1 < value < 4 for name, value in found.items() if "discriminators" in name)


def several_steps(world: World, hides_noise: bool) -> dict[str, Tensor]:
    """Weights of the network and of the objective after some steps of a worker's part."""
    learner = matching_learner(world)
    torch.manual_seed(100 + world.rank)  # as an epoch begins
    with pytest.MonkeyPatch.context() as patch:
        if hides_noise:
            patch.setattr(torch, "randn", lambda *size, device=None: torch.full(size, 0.5, device=device))
            patch.setattr(torch, "randn_like", lambda values: torch.full_like(values, 0.5))
        for number in range(4):
            learner.step(part_of(synthetic_batch(16, number), world), True, 1)
    of_added = learner.added.state()["objectives"]["joint_matching"]
    return {f"network.{k}": v for k, v in learner.network.state_dict().items()} | dict(of_added)


def of_each_worker(rank: int, rendezvous: str, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    world = World(rank, 2)
    found = {"first": dict(matching_learner(world).added.state()["objectives"]["joint_matching"])}
    found |= {name: several_steps(world, hides_noise=name == "without_noise") for name in ("noise", "without_noise")}
    torch.save(found, folder / f"{rank}.pt")
    dist.destroy_process_group()


def test_workers_have_one_objective_and_learn_what_one_does(tmp_path):
    """Each draws noise of its own; what they learn from it is shared. Without noise it is what one worker learns."""
    torch.multiprocessing.spawn(of_each_worker, (str(tmp_path / "rendezvous"), tmp_path), nprocs=2, join=True)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert equal(first["first"], second["first"])
    for name in ("noise", "without_noise"):
        assert equal(first[name], second[name]), name
    alone = several_steps(World(), hides_noise=True)
    assert alone.keys() == first["without_noise"].keys()
    for name, values in alone.items():
        torch.testing.assert_close(values, first["without_noise"][name], atol=1e-4, rtol=1e-3, msg=name)
    assert not equal(first["noise"], first["without_noise"])


def test_labels_are_not_changed_by_looking_at_them(tasks):
    step = step_of(tasks)
    before: SetLabels = step.labels[SET].map(torch.clone)
    added = AddedObjectives(matching_of(tasks, own_steps=1), RECIPE, World())
    network_learns(added, step)
    added.learn(step, 1)
    for name, values in before.labels.items():
        torch.testing.assert_close(values, step.labels[SET].labels[name], equal_nan=True)
