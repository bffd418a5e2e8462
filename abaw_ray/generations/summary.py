"""What generations were like: for JSON, and as a table for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from abaw_ray.console import markdown_table, mean_and_spread
from abaw_ray.generations.choice import best_generation, is_over, joint
from abaw_ray.generations.members import Member, Numbers
from abaw_ray.generations.plan import Plan

COLUMNS = ("criterion", "criterion of ensemble", "NLL", "NLL of ensemble", "ECE", "ECE of ensemble")
ARROW = "{:.3f} → {:.3f}"
"""Before and after calibration."""


@dataclass(frozen=True)
class Generation:
    """A trained generation.

    Args:
        members: all of them.
        kept: which of them are its ensemble, and teach the next.
        ensemble: the kept ones together.
    """

    members: tuple[Member, ...]
    kept: tuple[int, ...]
    ensemble: Numbers

    @property
    def joint(self) -> float:
        """How good it is; see `choice.joint`."""
        return joint(self.ensemble.criterion, self.ensemble.nll)


def summary(plan: Plan, found: Sequence[Generation]) -> dict[str, Any]:
    """Generations as JSON has them.

    Returns:
        `generations`: of each its `members` with run, seed, criterion and `numbers` (see `members.Numbers`), places of
        the `kept` ones, numbers of the `ensemble`, and `joint` (see `choice`). `best`: the number of the best, and
        `best_runs`: of its ensemble. `stopped`: why there are fewer than wanted, or None. `notices`: what is to be
        known of the numbers.
    """
    joints = [generation.joint for generation in found]
    best = best_generation(joints)
    return {
        "store": plan.jobs[0].store,
        "split": "validation",
        "num_members": plan.num_members,
        "num_kept": plan.num_kept,
        "generations": [asdict(generation) | {"joint": generation.joint} for generation in found],
        "best": best,
        "best_runs": [found[best].members[member].run for member in found[best].kept],
        "stopped": _why_stopped(joints) if plan.stops else None,
        "notices": _notices(plan),
    }


def columns(values: dict[str, Any]) -> list[str]:
    """Headings of the table of what `summary` gives."""
    return ["", *COLUMNS, *(f"AUROC {name.replace('_', ' ')}" for name in _image_sets(values))]


def rows(values: dict[str, Any]) -> list[list[str]]:
    """Rows of the table, one a generation and task, from what `summary` gives.

    Other images are told from those evaluated by the epistemic part of uncertainty, of a single member by the whole.
    """
    found, sets = [], _image_sets(values)
    for number, generation in enumerate(values["generations"]):
        members, ensemble = [member["numbers"] for member in generation["members"]], generation["ensemble"]
        criteria = mean_and_spread([member["criterion"] for member in members])
        total = [criteria, f"{ensemble['criterion']:.3f}", *[""] * (len(COLUMNS) - 2 + len(sets))]
        found.append([f"generation {number}, joint {generation['joint']:.3f}", *total])
        for task, together in ensemble["tasks"].items():
            alone = [member["tasks"][task] for member in members]
            cells = []
            for key in ("criterion", "nll", "ece"):
                cells.append(mean_and_spread([of_task[key] for of_task in alone]))
                calibrated = together.get(f"calibrated_{key}")
                cells.append(f"{together[key]:.3f}" if calibrated is None else ARROW.format(together[key], calibrated))
            aurocs = [ensemble["auroc"][task][name] for name in sets]
            cells += [f"{of_set.get('epistemic', of_set['total']):.3f}" for of_set in aurocs]
            found.append([f"  {task}", *cells])
    return found


def title(values: dict[str, Any]) -> str:
    """Of the table."""
    members, kept = values["num_members"], values["num_kept"]
    of = f"{members} members" if kept == members else f"ensembles of {kept} of {members} members"
    return f"Generations of {of}, {values['split']} of {values['store']}; mean ± standard deviation, → calibrated"


def lines(values: dict[str, Any]) -> list[str]:
    """What is to be said below the table."""
    best = f"best: generation {values['best']}: {' '.join(values['best_runs'])}"
    return [*([values["stopped"]] if values["stopped"] else []), best, *values["notices"]]


def markdown(values: dict[str, Any]) -> str:
    """The table, and what is to be said, as Markdown."""
    table = markdown_table(columns(values), rows(values))
    return "\n".join([title(values), "", table, "", *(f"- {line}" for line in lines(values))]) + "\n"


def _image_sets(values: dict[str, Any]) -> list[str]:
    """Sets of other images that ensembles were asked about."""
    return list(next(iter(values["generations"][0]["ensemble"]["auroc"].values()), ()))


def _why_stopped(joints: Sequence[float]) -> str | None:
    if not is_over(joints):
        return None
    last, best = len(joints) - 1, best_generation(joints)
    return (
        f"stopped: criterion less NLL of generation {last} is {joints[-1]:.3f}, no better than {joints[best]:.3f} of"
        f" generation {best}"
    )


def _notices(plan: Plan) -> list[str]:
    chosen = "best epochs, the best generation and the end"
    if plan.num_kept < plan.num_members:
        chosen = f"the {plan.num_kept} of {plan.num_members} members that are kept, {chosen}"
    return [
        f"chosen on validation, whose labels score them here, too: {chosen}; expect lower scores on other data",
        "NLL and ECE: of the frames that calibration was not fitted on; joint: criterion of the ensemble less its NLL",
    ]
