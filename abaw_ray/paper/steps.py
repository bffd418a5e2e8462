"""Steps that the demo and the reproduction of the paper's tables share; what is finished is not done again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from abaw_ray.blocks.files import read_json, write_json
from abaw_ray.config import Recipe
from abaw_ray.console import progress_bar
from abaw_ray.evaluation.evaluate import evaluate
from abaw_ray.preprocess.prepare import prepare
from abaw_ray.reports.page import ExtraTable, write_report
from abaw_ray.synthetic import generate
from abaw_ray.training.job import Job
from abaw_ray.training.resources import Resources
from abaw_ray.training.trainer import finished, fit

logger = logging.getLogger(__name__)

DATABASES = ("affwild2", "expw", "afew_va", "affectnet")
"""The paper's, as the generated data have them."""

STUDENT_SEED = 1000
"""Students start from other weights and see other batches than the teacher of the same seed."""


def generate_and_prepare(out: Path, size: str, recipe: Recipe) -> Path:
    """Draws the synthetic databases into `out`/data and prepares `out`/store, which is returned."""
    with progress_bar("drawing faces") as progress:
        generate(out / "data", recipe.seed, size, progress=progress)
    return prepare_databases(out, out / "data", recipe)


def prepare_databases(out: Path, data: Path, recipe: Recipe) -> Path:
    """Prepares `out`/store, which is returned, of the databases in folders of their names in `data`."""
    roots = {name: {"root": str(data / name), **recipe.prepare.databases.get(name, {})} for name in DATABASES}
    with progress_bar("preparing blocks") as progress:
        prepare(recipe, out / "store", roots, progress=progress)
    return out / "store"


def train_and_evaluate(
    job: Job,
    resources: Resources,
    folder: Path,
    say: Callable[[str], None] = logger.warning,
    epoch: Literal["best", "last"] = "best",
) -> dict[str, Any]:
    """Trains a job, evaluates an epoch on the validation split into `folder`, and gives the evaluation with `seconds`.

    `say` prints a line where workers were lost.
    """
    run = finished(job) or fit(job, resources, say=say)
    checkpoint = Path(job.run) / run[epoch]
    if (folder / "scores.json").is_file():
        result = read_json(folder / "scores.json", "delete it")
        if result.get("checkpoint") == str(checkpoint) and result.get("num_epochs") == run["num_epochs"]:
            return result
    result = evaluate(checkpoint, job.store, folder, features=[Path(place) for place in job.features])
    result |= {"run": job.run, "seconds": run["seconds"], "num_epochs": run["num_epochs"]}
    write_json(folder / "scores.json", result)
    return result


def write_page(file: Path, out: Path, names: Sequence[str], title: str, extra: ExtraTable | None) -> None:
    """Writes a page about runs in `out`/runs that were evaluated into `out`/evaluation."""
    runs, evaluations = ([out / folder / name for name in names] for folder in ("runs", "evaluation"))
    write_report(runs, file, evaluations, title=f"{title}: {', '.join(names)}", extra=extra)
