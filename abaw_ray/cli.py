"""The command `abaw-ray`: one sub-command a stage."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from abaw_ray.config import Recipe, load_recipe, recipe_names
from abaw_ray.console import Output, progress_bar, show_recipe, table
from abaw_ray.databases import databases
from abaw_ray.errors import ConfigurationError, UserError
from abaw_ray.labels import Split

app = typer.Typer(
    help="Multi-task emotion recognition from several face databases with missing labels, on Ray.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

RecipeOption = Annotated[
    str | None,
    typer.Option("--recipe", metavar="FILE|NAME", help=f"Configuration; installed: {', '.join(recipe_names())}."),
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="A.B=C", help="Override one value; may be repeated.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object of results on stdout.")]
StoreOption = Annotated[Path, typer.Option("--store", help="Folder written by prepare.")]
OutOption = Annotated[Path, typer.Option("--out", help="Folder to write.")]
WorkersOption = Annotated[int, typer.Option("--workers", min=1, help="DDP workers.")]
CpusOption = Annotated[int, typer.Option("--cpus-per-worker", min=1, help="CPUs and threads of each worker.")]
GpuOption = Annotated[
    bool | None, typer.Option("--gpu/--cpu", help="One GPU a worker, or none. Default: GPUs if the cluster has any.")
]
FreshOption = Annotated[bool, typer.Option("--fresh", help="Remove an earlier run in the folder first.")]


def main() -> None:
    """Runs a command: status 0 done, 2 wrong use or bad data (a message), 1 a fault (a traceback)."""
    try:
        app(prog_name="abaw-ray")
    except UserError as error:
        print(f"abaw-ray: {error}", file=sys.stderr)
        sys.exit(2)


@app.command(epilog="Example: abaw-ray generate data --seed 0 --size small")
def generate(
    out: Annotated[Path, typer.Argument(help="Folder to write.")],
    seed: Annotated[int | None, typer.Option(min=0, help="Default: the recipe's.")] = None,
    size: Annotated[str, typer.Option(help="tiny, small or medium.")] = "small",
    recipe: RecipeOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Draw four synthetic databases in the native layouts of Aff-Wild2, ExpW, AFEW-VA and AffectNet."""
    from abaw_ray.generation import generate as generate_databases

    output = Output()
    own_seed = load_recipe(recipe, overrides).seed if seed is None else seed
    with progress_bar("drawing faces") as progress:
        counts = generate_databases(out, own_seed, size, progress=progress)
    columns = ["num_images", "num_faces", "num_expression_labels", "num_va_labels", "num_missing_images"]
    rows = [[name, *(f"{values[c]:,}" for c in columns)] for name, values in counts.items()]
    titles = ["database", *(c.removeprefix("num_").replace("_", " ") for c in columns)]
    output.result(counts, table(f"Synthetic databases in {out}", titles, rows), as_json)


@app.command(epilog="Example: abaw-ray inspect expw ~/ExpW --set prepare.databases.expw.validation_fraction=0.1")
def inspect(
    name: Annotated[str, typer.Argument(help="; ".join(f"{d.name}: {d.title}" for d in databases().values()))],
    root: Annotated[Path, typer.Argument(help="Folder of the database.")],
    recipe: RecipeOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Validate a database and count its rows, classes, ranges, and everything that would be left out."""
    from abaw_ray.databases.inspection import inspect_database

    output = Output()
    settings = load_recipe(recipe, overrides).prepare.databases.get(name, {})
    inspection = inspect_database(name, root, {k: v for k, v in settings.items() if k != "root"})
    output.result(inspection.to_dict(), inspection.render(), as_json)


@app.command(
    epilog="Example: abaw-ray prepare store --database affwild2=~/Aff-Wild2 --database expw=~/ExpW"
    " --set prepare.encoding=jpeg"
)
def prepare(
    store: Annotated[Path, typer.Argument(help="Folder to write.")],
    database: Annotated[
        list[str] | None, typer.Option("--database", metavar="NAME=ROOT", help="A database; may be repeated.")
    ] = None,
    recipe: RecipeOption = None,
    overrides: SetOption = None,
    cpus: Annotated[int | None, typer.Option(min=1, help="CPUs of a local cluster; default all.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Read, crop and align faces with Ray Data and write a store of Arrow blocks. A second run skips what is done."""
    from abaw_ray.preprocess.prepare import prepare as prepare_store

    output = Output()
    resolved = _resolve(recipe, overrides)
    roots = _roots(database or [], resolved)
    with progress_bar("preparing blocks") as progress:
        manifest = prepare_store(resolved, store, roots, num_cpus=cpus, progress=progress)
    output.result(manifest.summary(), manifest.render(), as_json)


@app.command(epilog="Example: abaw-ray train --store store --out runs/teacher --workers 2 --set train.epochs=10")
def train(
    store: StoreOption,
    out: OutOption,
    recipe: RecipeOption = None,
    overrides: SetOption = None,
    workers: WorkersOption = 1,
    cpus_per_worker: CpusOption = 1,
    gpu: GpuOption = None,
    fresh: FreshOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a teacher: each head learns from the sets made for its task (equation 7)."""
    _train(store, out, None, _resolve(recipe, overrides), (workers, gpu, cpus_per_worker), fresh, as_json)


@app.command(epilog="Example: abaw-ray distill --store store --teacher runs/teacher --out runs/student --set seed=1")
def distill(
    store: StoreOption,
    teacher: Annotated[Path, typer.Option("--teacher", help="A finished run, or a checkpoint.")],
    out: OutOption,
    recipe: RecipeOption = None,
    overrides: SetOption = None,
    workers: WorkersOption = 1,
    cpus_per_worker: CpusOption = 1,
    gpu: GpuOption = None,
    fresh: FreshOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a student: every head learns from every set, from labels and from the teacher (equations 8-10)."""
    _train(store, out, teacher, _resolve(recipe, overrides), (workers, gpu, cpus_per_worker), fresh, as_json)


@app.command(epilog="Example: abaw-ray evaluate runs/student --store store --out results")
def evaluate(
    run: Annotated[Path, typer.Argument(help="A finished run, or a checkpoint.")],
    store: StoreOption,
    out: OutOption,
    split: Annotated[str, typer.Option(help="train, validation or test labels.")] = "validation",
    recipe: RecipeOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score a run on a store; write figures, and predictions as Parquet.

    The run's own configuration is used; --recipe and --set change how it predicts, as train.evaluation_batch_size.
    """
    from abaw_ray.evaluation.evaluate import evaluate as evaluate_run
    from abaw_ray.evaluation.evaluate import score_rows

    output = Output()
    if split.upper() not in {"TRAIN", "VALIDATION", "TEST"}:
        raise ConfigurationError(f"--split {split}: expected train, validation or test")

    def change(trained: Recipe) -> Recipe:
        changed = load_recipe(recipe, overrides, base=trained)
        show_recipe(changed)
        return changed

    with progress_bar("predicting") as progress:
        result = evaluate_run(run, store, out, Split[split.upper()], change, progress)
    columns, rows = score_rows(result["scores"])
    output.result(result, table(f"{result['role']} {run}, {result['split']} of {store}", columns, rows), as_json)


@app.command(epilog="Example: abaw-ray demo demo --size medium --seeds 3")
def demo(
    out: Annotated[Path, typer.Argument(help="Folder to write.")],
    size: Annotated[str, typer.Option(help="tiny, small or medium.")] = "small",
    seeds: Annotated[int, typer.Option(min=1, help="Runs with seeds 0, 1, ...")] = 1,
    recipe: RecipeOption = "demo",
    overrides: SetOption = None,
    workers: WorkersOption = 2,
    as_json: JsonOption = False,
) -> None:
    """The whole way on synthetic databases: generate, prepare, train, distill, evaluate, one table."""
    from abaw_ray.demo import run_demo

    output = Output()
    result = run_demo(out, size, seeds, _resolve(recipe, overrides), workers)
    output.result(result.values, result.render(), as_json)


def _resolve(recipe: str | None, overrides: list[str] | None) -> Recipe:
    resolved = load_recipe(recipe, overrides)
    if resolved.model.weights is not None:
        # workers run in other folders
        weights = str(Path(resolved.model.weights).expanduser().resolve())
        resolved = resolved.model_copy(update={"model": resolved.model.model_copy(update={"weights": weights})})
    show_recipe(resolved)
    return resolved


def _roots(databases_given: list[str], recipe: Recipe) -> dict[str, dict[str, Any]]:
    """Options of each database, `root` among them: from the recipe, and from NAME=ROOT on the command line."""
    settings = {name: dict(values) for name, values in recipe.prepare.databases.items()}
    for text in databases_given:
        name, equals, root = text.partition("=")
        if not equals or not root:
            raise ConfigurationError(f"--database {text}: expected NAME=ROOT, as expw=/data/ExpW")
        settings.setdefault(name, {})["root"] = root
    without = [name for name, values in settings.items() if "root" not in values]
    if without or not settings:
        raise ConfigurationError(f"no root for {', '.join(without) or 'any database'}: give --database NAME=ROOT")
    return settings


def _train(
    store: Path,
    out: Path,
    teacher: Path | None,
    recipe: Recipe,
    resources: tuple[int, bool | None, int],
    fresh: bool,
    as_json: bool,
) -> None:
    from abaw_ray.training.loop import Job
    from abaw_ray.training.trainer import Resources, fit

    output = Output()
    job = Job(recipe, str(store.resolve()), str(out.resolve()), str(teacher.resolve()) if teacher else None)
    values = fit(job, Resources(*resources), fresh)
    text = (
        f"{values['role']} in {out}: best epoch {values['best_epoch'] + 1} of {values['num_epochs']},"
        f" criterion {values['best_criterion']:.4f}\n"
        f"TensorBoard: tensorboard --logdir {out}"
    )
    output.result(values, text, as_json)
