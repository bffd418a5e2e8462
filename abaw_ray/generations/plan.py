"""Which member of which generation is trained on what: nothing but functions of what was asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from abaw_ray.errors import ConfigurationError
from abaw_ray.evaluation.uncertain_networks import UncertaintySettings
from abaw_ray.settings import changed_settings, is_within, leaves_of
from abaw_ray.storage import AnyPath
from abaw_ray.training.job import Job
from abaw_ray.training.resources import Resources
from abaw_ray.training.trainer import to_dict

PLAN = "plan.json"
GENERATIONS = "generation-*"
"""Names of the folders of generations."""

SEEDS_APART = 1000
"""From a generation's seeds to the next one's: its members start from other weights, and see other batches."""

RECIPES = "recipes"

SHARED = (
    "augment",
    "plugins",
    "sampling.sets",
    "tasks",
    "temporal.databases",
    "train.evaluation_batch_size",
    "train.precision",
)
"""Settings that soft labels depend on, which all members learn from."""


@dataclass(frozen=True)
class Taught:
    """What a generation learns from.

    Args:
        runs: of the members of the generation before that teach, in their order.
        outputs: folder of what they say together.
    """

    runs: tuple[str, ...]
    outputs: str


@dataclass(frozen=True)
class Plan:
    """Generations of members.

    Args:
        out: their folder, absolute.
        jobs: what members train, member after member in turn; their runs, seeds and teachers count for nothing but that
            members count from their seeds.
        num_members: trained in each generation.
        num_generations: most that are trained, the first, which learns from labels, among them.
        num_kept: members of each, the best on validation, that are its ensemble and teach the next.
        resources: of each member's training.
        uncertainty: what is asked of the evaluations of members and ensembles about uncertainty, too; None: nothing.
        stops: whether a generation that is no better is the last.

    Raises:
        ConfigurationError: more are kept than trained, more members than seeds between generations, more recipes than
            members, or recipes whose members could not learn from the same soft labels.
    """

    out: AnyPath
    jobs: tuple[Job, ...]
    num_members: int
    num_generations: int
    num_kept: int
    resources: Resources
    uncertainty: UncertaintySettings | None = None
    stops: bool = True

    def __post_init__(self) -> None:
        if self.num_kept > self.num_members:
            raise ConfigurationError(f"--keep {self.num_kept}: expected at most --members, {self.num_members}")
        if self.num_members > SEEDS_APART:
            raise ConfigurationError(f"--members {self.num_members}: expected at most {SEEDS_APART}")
        if len(self.jobs) > self.num_members:
            raise ConfigurationError(f"{len(self.jobs)} recipes for {self.num_members} members: some would not be used")
        first = self.jobs[0].recipe
        for number, job in enumerate(self.jobs[1:], 2):
            changed = [key for key in changed_settings(job.recipe, first) if is_within(key, SHARED)]
            changed += [key for key in changed_settings(first, job.recipe) if is_within(key, SHARED)]
            if changed:
                found = ", ".join(dict.fromkeys(changed))
                raise ConfigurationError(
                    f"recipe {number} differs from the first in {found}; expected the same, since all members learn"
                    " from the same soft labels"
                )

    def folder(self, generation: int) -> AnyPath:
        """All that a generation has written."""
        return self.out / f"generation-{generation}"

    def run(self, generation: int, member: int) -> AnyPath:
        """Folder of a member's run."""
        return self.folder(generation) / f"member-{member}"

    def evaluation(self, generation: int, member: int | None) -> AnyPath:
        """Folder of the evaluation of a member, or of the generation's ensemble."""
        name = "ensemble" if member is None else f"member-{member}"
        return self.folder(generation) / "evaluation" / name

    def seed(self, generation: int, member: int) -> int:
        """A seed that no other member of any generation has, where members count from one seed."""
        return self._job(member).recipe.seed + SEEDS_APART * generation + member

    def job(self, generation: int, member: int, taught: Taught | None = None) -> Job:
        """The training of a member; of generation 0 nobody has taught it."""
        of_member = self._job(member)
        recipe = of_member.recipe.model_copy(update={"seed": self.seed(generation, member)})
        return replace(
            of_member,
            recipe=recipe,
            run=str(self.run(generation, member)),
            teachers=taught.runs if taught is not None else (),
            teacher_outputs=taught.outputs if taught is not None else None,
        )

    def settings(self, store_hash: str) -> dict[str, Any]:
        """Everything that members depend on but what is trained before them; more generations can follow.

        Args:
            store_hash: of the store's contents.
        """
        first = to_dict(self.jobs[0])
        inputs = {name: first[name] for name in ("store", "features", "cnn")}
        recipes = [job.recipe.model_dump(mode="json") for job in self.jobs]
        counts = {"members": self.num_members, "keep": self.num_kept}
        return {**counts, **inputs, "store_hash": store_hash, RECIPES: recipes}

    def _job(self, member: int) -> Job:
        return self.jobs[member % len(self.jobs)]


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Dotted keys in which the settings of two plans differ, as `recipes.0.train.epochs`."""
    found = [key for key in now if key != RECIPES and before.get(key) != now[key]]
    earlier = before.get(RECIPES, [])
    if len(earlier) != len(now[RECIPES]):
        return [*found, RECIPES]
    for number, pair in enumerate(zip(earlier, now[RECIPES], strict=True)):
        had, has = map(leaves_of, pair)
        found += [f"{RECIPES}.{number}.{key}" for key in {**has, **had} if had.get(key) != has.get(key)]
    return found
