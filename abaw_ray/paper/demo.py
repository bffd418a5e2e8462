"""The main job on synthetic databases, from drawing them to one table of scores."""

from __future__ import annotations

import shlex
import shutil
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from abaw_ray.blocks.files import write_json
from abaw_ray.config import Recipe
from abaw_ray.console import ERRORS, mean_and_spread, table
from abaw_ray.evaluation.evaluator import HEADLINE
from abaw_ray.evaluation.predictions import POOLED
from abaw_ray.paper.steps import STUDENT_SEED, generate_and_prepare, train_and_evaluate, write_page
from abaw_ray.ray_session import ray_session
from abaw_ray.reports.page import ExtraTable
from abaw_ray.synthetic.clip import write_clip
from abaw_ray.training.job import Job
from abaw_ray.training.resources import Resources

COLUMNS = {
    "EXPR": ("expression", "criterion"),
    "F1": ("expression", "macro_f1"),
    "accuracy": ("expression", "accuracy"),
    "CCC V": ("valence_arousal", "ccc_valence"),
    "CCC A": ("valence_arousal", "ccc_arousal"),
}


@dataclass(frozen=True)
class DemoResult:
    """`values`: chance level, scores of every run by model and seed, seconds of making the store."""

    values: dict[str, Any]

    def render(self) -> Group:
        """The table, the page about the runs, and the commands to go on with."""
        values = self.values
        student, folder = values["models"]["student"][0]["run"], Path(values["runs"]).parent
        commands = {
            "watch the runs in TensorBoard": _command("tensorboard", "--logdir", values["runs"]),
            "the student looks at a synthetic clip": _command(
                "abaw-ray", "predict", values["clip"], "--run", student, "--out", str(folder / "predictions")
            ),
            "the student as a file": _command(
                "abaw-ray", "export", "--run", student, "--format", "onnx", "--store", str(folder / "store"),
                "--out", str(folder / "student.onnx"),
            ),
        }  # fmt: skip
        lines = [f"report: {_shown(values['report'])}"]
        for what, command in commands.items():
            lines += [f"{what}:", f"    {command}"]
        return Group(self.table(), *(Text(line, no_wrap=True, overflow="ignore") for line in lines))

    def table(self) -> Table:
        """Teacher, student without distillation and student: mean (and standard deviation) over the seeds."""
        return table(self.title, self.columns, self.rows())

    @property
    def title(self) -> str:
        values = self.values
        seeds = f"mean ± standard deviation over {values['seeds']} seeds" if values["seeds"] > 1 else "one seed"
        return f"Synthetic data ({values['size']}), validation of Aff-Wild2's layout, {seeds}"

    @property
    def columns(self) -> list[str]:
        return ["model", *COLUMNS, "EXPR + CCC V + CCC A", "seconds"]

    def rows(self) -> list[list[str]]:
        values = self.values
        rows = [["chance", *(f"{values['chance'][task][key]:.3f}" for task, key in COLUMNS.values()), "", ""]]
        for model, runs in values["models"].items():
            numbers = [[r["scores"][task][key] for r in runs] for task, key in COLUMNS.values()]
            numbers.append([r["scores"]["criterion"] for r in runs])
            seconds = statistics.mean(r["seconds"] for r in runs)
            rows.append([model, *map(mean_and_spread, numbers), f"{seconds:.0f}"])
        return rows


def _command(name: str, *arguments: str) -> str:
    """A command line that finds the command of this environment, be it on the path or not."""
    own = Path(sys.executable).with_name(name)
    found = shutil.which(name)
    is_found = found is not None and Path(found).resolve() == own.resolve()
    return shlex.join([name if is_found or not own.is_file() else _shown(own), *map(_shown, arguments)])


def _shown(place: str | Path) -> str:
    """A path from the working directory, if it lies there."""
    path = Path(place)
    return str(path.relative_to(Path.cwd())) if path.is_absolute() and path.is_relative_to(Path.cwd()) else str(place)


def run_demo(out: Path, size: str, seeds: int, recipe: Recipe, workers: int) -> DemoResult:
    """Generates, prepares, trains a teacher and both students for every seed, evaluates, and writes `results.json`.

    Beside it, `report.html` is a page about the runs of seed 0, and `clip.avi` a clip to try predictions on.

    Args:
        out: a folder; what is finished in it is not done again.
        size: of the generated databases.
        seeds: number of seeds; the data are the same for all.
        recipe: configuration of every run but its seed.
        workers: DDP workers.

    Raises:
        ConfigurationError: the folder holds runs of another configuration.
    """
    out = out.resolve()
    with ray_session():
        started = time.perf_counter()
        store = generate_and_prepare(out, size, recipe)
        seconds = time.perf_counter() - started
        models: dict[str, list[dict[str, Any]]] = {"teacher": [], "student without distillation": [], "student": []}
        for seed in range(seeds):
            teacher = out / "runs" / f"teacher-{seed}"
            for model, runs in models.items():
                run = out / "runs" / f"{model.replace(' ', '-')}-{seed}"
                own_seed = seed if model == "teacher" else STUDENT_SEED + seed
                job = Job(
                    recipe.model_copy(update={"seed": own_seed}),
                    str(store),
                    str(run),
                    (str(teacher),) if model == "student" else (),
                )
                ERRORS.print(f"{model}, seed {seed}: {run}", highlight=False)
                result = train_and_evaluate(job, Resources(workers), out / "evaluation" / run.name)
                scores = result["scores"][HEADLINE][POOLED]
                runs.append({"run": str(run), "scores": scores, "seconds": result["seconds"]})
    values = {
        "size": size,
        "seeds": seeds,
        "runs": str(out / "runs"),
        "chance": result["chance"],
        "models": models,
        "store_seconds": seconds,
        "report": str(out / "report.html"),
        "clip": str(out / "clip.avi"),
    }
    if not (out / "clip.avi").is_file():
        write_clip(out / "clip.avi", recipe.seed)
    made = DemoResult(values)
    write_json(out / "results.json", values)
    extra = ExtraTable(made.title, made.columns, made.rows()) if seeds > 1 else None
    write_page(out / "report.html", out, [f"{model.replace(' ', '-')}-0" for model in models], "Demo", extra)
    return made
