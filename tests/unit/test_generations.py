"""Generations without Ray: which member learns from what, what is done again, what is kept, and where it ends."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from checkpoints import make_checkpoint, small_recipe
from finished_runs import finished_run
from hypothesis import given
from hypothesis import strategies as st
from paper import SPACES
from stores import make_store
from typer.testing import CliRunner

from abaw_ray.cli.generations import app
from abaw_ray.config import load_recipe
from abaw_ray.errors import ConfigurationError
from abaw_ray.evaluation.evaluate import evaluate
from abaw_ray.evaluation.uncertain_networks import UncertaintySettings
from abaw_ray.generations import members, run
from abaw_ray.generations.choice import best_generation, is_over, kept_members
from abaw_ray.generations.members import Member, Numbers, TaskNumbers, evaluated, numbers_of, train_member
from abaw_ray.generations.plan import Plan, Taught
from abaw_ray.generations.run import run_generations
from abaw_ray.generations.summary import COLUMNS, columns, markdown, rows
from abaw_ray.models import checkpoint
from abaw_ray.tasks import build_tasks
from abaw_ray.training.job import Job
from abaw_ray.training.resources import Resources
from abaw_ray.training.trainer import to_dict


def make_plan(out: Path, *recipes: list[str], store: Path = Path("/store"), **changes: Any) -> Plan:
    jobs = tuple(Job(small_recipe("augment.views=2", *overrides), str(store), "") for overrides in recipes or ([],))
    counts = {"num_members": 3, "num_generations": 3, "num_kept": 2} | changes
    return Plan(out, jobs, resources=Resources(1), **counts)


def test_a_first_generation_learns_from_labels_and_a_later_one_from_the_kept_of_the_one_before(tmp_path):
    plan = make_plan(tmp_path, ["seed=7", "loss.hard_weight=0.4"])
    first = plan.job(0, 1)
    assert (first.role, first.teacher_outputs, first.run) == ("teacher", None, str(tmp_path / "generation-0/member-1"))
    taught = Taught(("a", "b"), "outputs")
    second = plan.job(1, 1, taught)
    assert (second.role, second.teachers, second.teacher_outputs) == ("student", ("a", "b"), "outputs")
    one, other = (job.recipe.model_copy(update={"seed": 0}) for job in (first, second))
    assert one == other, "the recipe is the same in all generations"
    assert first.recipe.seed == 8
    assert second.recipe.loss.hard_weight == 0.4


@given(st.integers(0, 9), st.integers(0, 999), st.integers(0, 9), st.integers(0, 999))
def test_no_two_members_have_a_seed_in_common(g, k, h, m):
    plan = make_plan(Path("/out"), num_members=1000)
    assert (plan.seed(g, k) == plan.seed(h, m)) == ((g, k) == (h, m))
    assert plan.seed(g, k) == plan.job(g, k).recipe.seed


def test_several_recipes_are_of_members_in_turn(tmp_path):
    plan = make_plan(tmp_path, ["train.learning_rate=0.1"], ["train.learning_rate=0.2"])
    assert [plan.job(1, member).recipe.train.learning_rate for member in range(3)] == [0.1, 0.2, 0.1]
    assert len({plan.seed(0, member) for member in range(3)}) == 3


def test_plans_that_make_no_sense_are_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="--keep 4: expected at most --members, 3"):
        make_plan(tmp_path, num_kept=4)
    with pytest.raises(ConfigurationError, match="2 recipes for 1 members"):
        make_plan(tmp_path, [], [], num_members=1, num_kept=1)
    with pytest.raises(ConfigurationError, match=r"recipe 2 differs from the first in sampling\.sets, augment\.flip;"):
        make_plan(tmp_path, [], ["augment.flip=0.1", "sampling.sets=[mixed_va]", "train.epochs=3"])


def test_the_best_on_validation_are_kept_in_their_order():
    assert kept_members([0.1, 0.5, 0.3, 0.5], 2) == [1, 3]
    assert kept_members([0.5, 0.5, 0.5], 2) == [0, 1]
    assert kept_members([0.1, 0.2], 2) == [0, 1]


@given(st.lists(st.floats(-1, 1), min_size=1), st.data())
def test_nobody_better_is_left_out(criteria, data):
    kept = kept_members(criteria, data.draw(st.integers(1, len(criteria))))
    left_out = set(range(len(criteria))) - set(kept)
    assert kept == sorted(kept)
    assert all(criteria[k] >= criteria[o] for k in kept for o in left_out)


def test_it_is_over_when_a_generation_is_no_better_than_the_best_before_it():
    assert not is_over([1.0])
    assert not is_over([1.0, 1.1])
    assert is_over([1.0, 1.0])
    assert is_over([1.0, 1.2, 1.1])
    assert best_generation([1.0, 1.2, 1.2]) == 1


def numbers(criterion: float, nll: float) -> Numbers:
    """Of one task, and of a nuisance that does not count."""
    of_task = TaskNumbers(criterion, True, nll, 0.1, nll - 0.05, 0.02)
    return Numbers(criterion, {"mood": of_task, "camera": replace(of_task, is_target=False, nll=100.0)})


@dataclass
class Trainings:
    """Stands for what trains, teaches and evaluates; notes what it was asked for.

    Args:
        criteria: of each member of every generation.
        ensembles: generation -> criterion and NLL.
    """

    criteria: Sequence[float]
    ensembles: Sequence[tuple[float, float]]
    asked: list[tuple[Any, ...]] = field(default_factory=list)

    def train(
        self, plan: Plan, generation: int, member: int, taught: Taught | None, say: Callable[..., None]
    ) -> Member:
        self.asked.append(("train", generation, member, taught))
        job = plan.job(generation, member, taught)
        criterion = self.criteria[member]
        return Member(job.run, job.recipe.seed, criterion, numbers(criterion, 1.0))

    def evaluated(self, plan: Plan, runs: list[str], folder: Path, uncertainty: Any, progress: Any) -> Numbers:
        generation = int(folder.parts[-3].removeprefix("generation-"))
        self.asked.append(("evaluate", runs))
        found = numbers(*self.ensembles[generation])
        told = {"noise": {"total": 0.9, "aleatoric": 0.8, "epistemic": 0.7}, "upside_down": {"total": 0.6}}
        return replace(found, auroc={"mood": told, "camera": told}) if uncertainty else found

    def teach(self, plan: Plan, generation: Any, number: int) -> Taught:
        runs = tuple(generation.members[member].run for member in generation.kept)
        return Taught(runs, f"soft labels of generation {number}")

    def patch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        @contextmanager
        def nothing() -> Iterator[None]:
            yield

        def one_by_one(function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]], at_once: int) -> list[Any]:
            return [function(*given, print) for given in arguments]

        stand_ins = {
            "train_member": self.train,
            "evaluated": self.evaluated,
            "_teach": self.teach,
            "_check": lambda plan: "hash",
            "side_by_side": one_by_one,
            "ray_session": nothing,
            "check_room": lambda resources: None,
            "room": lambda resources: 1,
        }
        for name, stand_in in stand_ins.items():
            monkeypatch.setattr(run, name, stand_in)


def test_generations_learn_from_the_kept_until_one_is_no_better(tmp_path, monkeypatch):
    """The criterion falls by less than the likelihood rises, then by more: as rare classes are worn down."""
    trainings = Trainings([0.3, 0.1, 0.2], [(0.346, 1.432), (0.329, 1.398), (0.321, 1.393), (0.310, 1.391)])
    trainings.patch(monkeypatch)
    values = run_generations(make_plan(tmp_path / "out", num_generations=4))
    trained = [asked[1:] for asked in trainings.asked if asked[0] == "train"]
    assert [generation for generation, *_ in trained] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert all(taught is None for generation, _, taught in trained if generation == 0)
    for generation in (1, 2):
        kept = tuple(str(tmp_path / f"out/generation-{generation - 1}/member-{member}") for member in (0, 2))
        (taught,) = {taught for number, _, taught in trained if number == generation}
        assert taught == Taught(kept, f"soft labels of generation {generation - 1}")
        assert ("evaluate", list(kept)) in trainings.asked, "the ensemble is of those that are kept"
    assert [generation["kept"] for generation in values["generations"]] == [(0, 2)] * 3
    assert [generation["joint"] for generation in values["generations"]] == pytest.approx([-1.086, -1.069, -1.072])
    assert values["best"] == 1
    assert values["best_runs"] == [str(tmp_path / f"out/generation-1/member-{member}") for member in (0, 2)]
    assert "generation 2 is -1.072, no better than -1.069 of generation 1" in values["stopped"]
    assert "the 2 of 3 members that are kept" in values["notices"][0]
    assert json.loads((tmp_path / "out/generations.json").read_text()) == json.loads(json.dumps(values))


def test_where_nothing_stops_all_generations_are_trained(tmp_path, monkeypatch):
    Trainings([0.3, 0.1, 0.2], [(0.3, 1.0), (0.3, 1.1), (0.3, 0.9)]).patch(monkeypatch)
    values = run_generations(make_plan(tmp_path, num_generations=3, stops=False))
    assert (len(values["generations"]), values["best"], values["stopped"]) == (3, 2, None)


def test_as_many_generations_as_wanted_and_more_later_but_no_others(tmp_path, monkeypatch):
    trainings = Trainings([0.3, 0.1, 0.2], [(0.3, 1.0), (0.3, 0.9), (0.3, 0.8)])
    trainings.patch(monkeypatch)
    values = run_generations(make_plan(tmp_path, num_generations=1))
    assert (len(values["generations"]), values["stopped"]) == (1, None)
    assert len(run_generations(make_plan(tmp_path, num_generations=3))["generations"]) == 3
    with pytest.raises(ConfigurationError, match="generations that differ in members, keep"):
        run_generations(make_plan(tmp_path, num_members=4, num_kept=3))
    with pytest.raises(ConfigurationError, match=r"differ in recipes\.0\.train\.epochs;.*--fresh"):
        run_generations(make_plan(tmp_path, ["train.epochs=3"]))
    with pytest.raises(ConfigurationError, match="differ in recipes; choose"):
        run_generations(make_plan(tmp_path, [], []))
    other = make_plan(tmp_path, ["train.epochs=3"], num_generations=1)
    run_generations(other, fresh=True)
    assert json.loads((tmp_path / "plan.json").read_text())["recipes"][0]["train"]["epochs"] == 3
    (tmp_path / "plan.json").unlink()
    with pytest.raises(ConfigurationError, match="not empty and not a folder of generations"):
        run_generations(other)


def test_the_table_has_a_row_a_generation_and_task(tmp_path, monkeypatch):
    Trainings([0.3, 0.1, 0.2], [(0.3, 1.0), (0.25, 0.5)]).patch(monkeypatch)
    values = run_generations(make_plan(tmp_path, num_generations=2))
    found = rows(values)
    assert [row[0] for row in found] == [
        "generation 0, joint -0.700",
        "  mood",
        "  camera",
        "generation 1, joint -0.250",
        "  mood",
        "  camera",
    ]
    assert found[0][1:3] == ["0.200 ± 0.100", "0.300"]
    assert found[4][1:] == [
        "0.200 ± 0.100",
        "0.250",
        "1.000 ± 0.000",
        "0.500 → 0.450",
        "0.100 ± 0.000",
        "0.100 → 0.020",
    ]
    text = (tmp_path / "generations.md").read_text()
    assert text == markdown(values)
    assert text.count("\n| ") == len(found) + 2
    assert all(column in text for column in COLUMNS)
    assert "- best: generation 1" in text
    with_uncertainty = run_generations(make_plan(tmp_path, num_generations=2, uncertainty=UncertaintySettings()))
    assert columns(with_uncertainty)[-2:] == ["AUROC noise", "AUROC upside down"]
    assert [row[-2:] for row in rows(with_uncertainty)] == [["", ""], ["0.700", "0.600"], ["0.700", "0.600"]] * 2


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("store")).path


def test_a_finished_member_is_not_trained_again_and_one_that_others_taught_is_not_taken_for_it(
    tmp_path, store, monkeypatch
):
    plan, said, fits = make_plan(tmp_path, store=store), [], []

    def fit(job: Job, *arguments: Any, **options: Any) -> dict[str, Any]:
        fits.append(job.run)
        finished_run(Path(job.run), store, seed=job.recipe.seed)
        (Path(job.run) / "job.json").write_text(json.dumps(to_dict(job)))
        return json.loads((Path(job.run) / "run.json").read_text())

    monkeypatch.setattr(members, "fit", fit)
    first = train_member(plan, 0, 1, None, said.append)
    assert (first.run, first.seed, first.criterion) == (str(plan.run(0, 1)), 1, 0.75)
    monkeypatch.setattr(members, "evaluate", lambda *given, **options: pytest.fail("evaluated again"))
    assert train_member(plan, 0, 1, None, said.append) == first
    assert fits == [first.run]
    changed = replace(plan, jobs=make_plan(tmp_path, ["train.epochs=3"], store=store).jobs)
    with pytest.raises(ConfigurationError, match="member-1 holds a finished run of other settings or soft labels"):
        train_member(changed, 0, 1, None, said.append)


def test_the_numbers_are_those_of_the_evaluation_and_are_of_the_very_weights(tmp_path, store, monkeypatch):
    plan = make_plan(tmp_path, store=store)
    runs = [str(make_checkpoint(tmp_path / str(seed), seed)) for seed in range(2)]
    found = evaluated(plan, runs, tmp_path / "evaluation")
    result = evaluate(runs, store, tmp_path / "other")
    pooled = result["scores"]["every_frame"]["all"]
    assert found.criterion == pooled["criterion"] == pytest.approx(sum(t.criterion for t in found.tasks.values()))
    assert set(found.tasks) == set(result["calibration"])
    for name, of_task in found.tasks.items():
        before, after = result["calibration"][name]["before"], result["calibration"][name]["after"]
        assert (of_task.nll, of_task.ece) == (before["nll"], before["ece"])
        assert (of_task.calibrated_nll, of_task.calibrated_ece) == (after["nll"], after["ece"])
        assert of_task.scores.items() <= pooled[name].items()
    assert found.nll == pytest.approx(sum(of_task.nll for of_task in found.tasks.values()))
    trained = checkpoint.load(runs[0])
    a_nuisance = SPACES[0].name
    recipe = trained.recipe
    tasks = build_tasks(SPACES, recipe.loss, recipe.model, options={a_nuisance: {"role": "nuisance"}})
    of_targets = numbers_of(result["scores"]["every_frame"], result["calibration"], tasks)
    assert of_targets.nll == pytest.approx(found.nll - found.tasks[a_nuisance].nll)
    once = UncertaintySettings()
    uncertain = evaluated(plan, runs, tmp_path / "evaluation", once)
    assert replace(uncertain, auroc={}) == found
    assert uncertain.auroc.keys() == found.tasks.keys()
    assert all(0 <= of_set["epistemic"] <= 1 for of_task in uncertain.auroc.values() for of_set in of_task.values())
    monkeypatch.setattr(members, "evaluate", lambda *given, **options: pytest.fail("evaluated again"))
    assert evaluated(plan, runs, tmp_path / "evaluation") == found
    assert evaluated(plan, runs, tmp_path / "evaluation", once) == uncertain
    with pytest.raises(pytest.fail.Exception, match="evaluated again"):
        evaluated(plan, runs, tmp_path / "evaluation", UncertaintySettings(num_passes=2))
    with pytest.raises(pytest.fail.Exception, match="evaluated again"):
        evaluated(plan, [runs[0], str(make_checkpoint(tmp_path / "2", 2))], tmp_path / "evaluation")


def test_the_numbers_of_passes_are_those_of_their_mean(tmp_path, store):
    plan, runs = make_plan(tmp_path, store=store), [str(make_checkpoint(tmp_path / "run"))]
    passes = UncertaintySettings(num_passes=3)
    found = evaluated(plan, runs, tmp_path / "passes", passes)
    once = evaluated(plan, runs, tmp_path / "once", UncertaintySettings())
    assert found.tasks.keys() == once.tasks.keys()
    assert all(found.tasks[name].nll != once.tasks[name].nll for name in found.tasks)
    result = json.loads((tmp_path / "passes" / "scores.json").read_text())["uncertainty"]["mean_of_passes"]
    assert found.criterion == result["scores"]["all"]["criterion"]
    assert evaluated(plan, runs, tmp_path / "passes", passes) == found


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[Plan]:
    """What the command asks for, instead of doing it."""
    asked: list[Plan] = []

    def note(plan: Plan, fresh: bool) -> None:
        asked.append(plan)
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "run_generations", note)
    return asked


def command(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["--store", "/s", "--out", "/o", *arguments])


def test_soft_labels_alone_as_they_are_unless_a_recipe_says_otherwise(tmp_path, plans):
    command("--members", "4", "--set", "seed=3")
    (plan,) = plans
    recipe = plan.jobs[0].recipe
    assert (recipe.loss.hard_weight, recipe.loss.temperature, recipe.augment.views, recipe.seed) == (0.0, 1.0, 8, 3)
    assert (plan.num_members, plan.num_kept) == (4, 4)
    (tmp_path / "own.yaml").write_text("loss: {hard_weight: 0.4}\naugment: {views: 2}\n")
    command(
        "--recipe", str(tmp_path / "own.yaml"), "--recipe", "generations", "--set", "augment.views=3", "--keep", "2"
    )
    weights = [(job.recipe.loss.hard_weight, job.recipe.loss.temperature) for job in plans[1].jobs]
    assert weights == [(0.4, 1.0), (0.0, 1.0)]
    assert [job.recipe.augment.views for job in plans[1].jobs] == [3, 3]
    assert plans[1].num_kept == 2
    assert (plans[1].uncertainty, plans[1].stops) == (None, True)
    command("--uncertainty")
    assert plans[2].uncertainty == UncertaintySettings()


def test_settings_that_no_generation_uses_are_named(plans, caplog):
    command("--set", "loss.hard_weight=0.5", "--set", "augment.views_seed=1", "--set", "temporal.window=4")
    said = [record.message for record in caplog.records]
    assert said == ["temporal.window changes nothing: the training of generations of CNNs does not use it"]
    caplog.clear()
    command("--set", "loss.hard_weight=0.5", "--generations", "1")
    assert [record.message.split()[0] for record in caplog.records] == ["loss.hard_weight"]


def test_images_that_are_changed_by_more_than_a_crop_and_a_flip_are_refused(plans):
    done = command("--set", "augment.blur.probability=0.5")
    assert isinstance(done.exception, ConfigurationError)
    assert "augment: blur" in str(done.exception)
    assert not plans


def test_the_installed_recipe_says_what_it_changes():
    changed = load_recipe("generations")
    assert changed.model_copy(update={"loss": load_recipe().loss}) == load_recipe()
