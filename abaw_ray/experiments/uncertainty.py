"""How good what networks say of their own uncertainty is: one, one with a temperature, MC dropout, and generations of
ensembles (Deng, Wu & Shi, "Iterative Distillation for Better Uncertainty Estimates in Multitask Emotion Recognition",
ICCVW 2021).

Networks learn from one vote a face, and are judged by all of them; see `votes`. Without FER+ the faces are drawn, and
what stands for votes is the truth; see `synthetic.ambiguous`.

data/                    the drawn faces, where there are no others
labels/, store/          the table of labels, and the store of it
generations/             see `generations.run`
mc-dropout/member-<k>/   evaluations of the members of generation 0 in several passes
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from abaw_ray.blocks.files import NUMBER, read_json, stated
from abaw_ray.console import mean_and_spread, progress_bar
from abaw_ray.databases.reading.spaces import EXPRESSION, VALENCE_AROUSAL
from abaw_ray.databases.table import DATABASE as TABLE
from abaw_ray.evaluation.made_sets import CHANGES
from abaw_ray.evaluation.uncertain_networks import UncertaintySettings
from abaw_ray.evaluation.uncertainty import EPISTEMIC, TOTAL
from abaw_ray.experiments.base import Comparison, Experiment, Plan
from abaw_ray.experiments.votes import VotesTable, write_votes_table
from abaw_ray.generations.members import evaluated
from abaw_ray.generations.plan import Plan as Generations
from abaw_ray.generations.run import run_generations
from abaw_ray.inference.teach import with_views
from abaw_ray.models.checkpoint import RUN_FILE
from abaw_ray.synthetic.ambiguous import NAME, generate_ambiguous
from abaw_ray.training.job import Job

NUM_PASSES = 10
"""Of MC dropout, as in the paper."""

NUM_STUDENTS = 3
"""Generations that learn from the one before."""

TASKS = {
    EXPRESSION.name: ("macro_f1", EXPRESSION.name),
    VALENCE_AROUSAL.name: ("ccc_mean", "valence, arousal (derived)"),
}
"""Task -> the score of its column, and its name in the table."""

Numbers = Mapping[str, Any]
"""As `generations.members.Numbers` is in JSON."""


@dataclass(frozen=True)
class Row:
    """A row of the table for each task.

    Args:
        title: of the method.
        numbers: of each network or ensemble that it is the mean of.
        calibrated: whether likelihood and calibration error are those after calibration.
        seconds: that each of the networks took to train, where they are its own.
    """

    title: str
    numbers: Sequence[Numbers]
    calibrated: bool = False
    seconds: Sequence[float] = ()

    def cells(self, task: str) -> list[str]:
        """The method, the task and its columns."""
        key, name = TASKS[task]
        of_task = [numbers["tasks"][task] for numbers in self.numbers]
        prefix = "calibrated_" if self.calibrated else ""
        errors = [mean_and_spread([found[f"{prefix}{measure}"] for found in of_task]) for measure in ("nll", "ece")]
        score = mean_and_spread([found["scores"][key] for found in of_task])
        # a temperature changes the entropies, which were measured without one
        aurocs = [""] * len(CHANGES) if self.calibrated else [self._auroc(task, name) for name in CHANGES]
        seconds = f"{statistics.mean(self.seconds):.0f}" if self.seconds else ""
        return [self.title, name, *errors, score, *aurocs, seconds]

    def _auroc(self, task: str, images: str) -> str:
        """By the total entropy, and by the epistemic part where there is one."""
        found = [numbers["auroc"][task][images] for numbers in self.numbers]
        measures = [measure for measure in (TOTAL, EPISTEMIC) if measure in found[0]]
        return ", ".join(f"{statistics.mean(of[measure] for of in found):.3f}" for measure in measures)


COLUMNS = (
    "method",
    "labels",
    "NLL",
    "ECE",
    "F1 or CCC",
    *(f"AUROC {name.replace('_', ' ')}" for name in CHANGES),
    "seconds a network",
)


def rows_of(
    generations: Mapping[str, Any], dropout: Sequence[Numbers], seconds: Sequence[Sequence[float]]
) -> list[Row]:
    """The rows of the table.

    Args:
        generations: as `generations.summary.summary`.
        dropout: the members of generation 0 by MC dropout.
        seconds: of the trainings of each generation's members.
    """
    found = []
    for number, generation in enumerate(generations["generations"]):
        members = [member["numbers"] for member in generation["members"]]
        of = f"generation {number}: " if number else ""
        found.append(Row(f"{of}single", members, seconds=seconds[number]))
        if number == 0:
            found += [
                Row("single, calibrated (temperature)", members, calibrated=True),
                Row(f"single, MC dropout, {NUM_PASSES} passes", dropout),
            ]
        if len(members) > 1:
            found.append(Row(f"{of}ensemble of {len(members)}", [generation["ensemble"]]))
    return found


def run(plan: Plan) -> Comparison:
    """Makes the store, trains the generations side by side, and compares.

    A seed is a member of each generation.
    """
    labels = _prepared(plan)
    job = Job(with_views(plan.recipe), str(plan.store), "")
    asked = UncertaintySettings()
    members = plan.seeds
    generations = Generations(
        plan.out / "generations", (job,), members, 1 + NUM_STUDENTS, members, plan.resources, asked, stops=False
    )
    values = run_generations(generations)
    runs = [[member["run"] for member in generation["members"]] for generation in values["generations"]]
    in_passes = UncertaintySettings(NUM_PASSES)
    dropout = [
        asdict(evaluated(generations, [run], plan.out / "mc-dropout" / Path(run).name, in_passes)) for run in runs[0]
    ]
    files = [[Path(run) / RUN_FILE for run in of_generation] for of_generation in runs]
    seconds = [[stated(read_json(file), "seconds", NUMBER, file) for file in each] for each in files]
    rows = rows_of(values, dropout, seconds)
    return Comparison(
        title=_title(plan, labels),
        columns=COLUMNS,
        rows=[row.cells(task) for row in rows for task in _tasks(values)],
        values={
            "synthetic": plan.data is None,
            "derived": VALENCE_AROUSAL.name,
            "num_faces": labels.num_faces,
            "left_out": labels.left_out,
            "generations": values,
            "mc_dropout": dropout,
            "training_seconds": seconds,
        },
    )


def _prepared(plan: Plan) -> VotesTable:
    """Writes the store; the table of labels that it is of."""
    root = plan.data
    if root is None:
        assert plan.size is not None, "generated data have a size"
        with progress_bar("drawing faces") as progress:
            generate_ambiguous(plan.out / "data", plan.recipe.seed, plan.size, progress)
        root = plan.out / "data" / NAME
    labels = write_votes_table(root, plan.out / "labels", plan.recipe.seed)
    plan.prepare(TABLE.name, root, {"file": str(labels.file), "config": str(labels.config)})
    return labels


def _tasks(generations: Mapping[str, Any]) -> list[str]:
    """Those that networks have, in the order of the table."""
    return [task for task in TASKS if task in generations["generations"][0]["ensemble"]["tasks"]]


def _title(plan: Plan, labels: VotesTable) -> str:
    faces = labels.num_faces
    of = "FER+ validation, judged by all votes"
    if plan.data is None:
        of = f"SYNTHETIC faces ({plan.size}) between two expressions, judged by their true distribution"
    return (
        f"uncertainty: {of}; trained on one vote a face: {faces['expression']} faces with its class, {faces['derived']}"
        f" others with valence and arousal derived from it (on a circumplex, rated by nobody). {plan.seeds} networks a"
        " generation, mean ± standard deviation. NLL and ECE of the frames that calibration was not fitted on; best"
        f" epochs are chosen on validation, too. AUROC of changed images by total{', by epistemic' * (plan.seeds > 1)}"
        " entropy"
    )


EXPERIMENT = Experiment(
    title="uncertainty of single networks, MC dropout, ensembles and generations of them (Deng, Wu & Shi 2021)",
    data="FER+ as released: FER2013Train/, FER2013Valid/",
    recipe="uncertainty/ferplus",
    generated_recipe="uncertainty/generated",
    seeds=5,
    run=run,
)
