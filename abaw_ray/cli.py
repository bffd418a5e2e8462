"""The command `abaw-ray`: one sub-command a stage."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from abaw_ray.cli_options import (
    CnnOption,
    CpusOption,
    FeaturesOption,
    FreshOption,
    GpuOption,
    JsonOption,
    OutOption,
    RecipeOption,
    SetOption,
    SplitOption,
    StoreOption,
    TemporalOption,
    WorkersOption,
)
from abaw_ray.config import Recipe, load_recipe
from abaw_ray.console import Output, progress_bar, show_recipe, table
from abaw_ray.databases import databases
from abaw_ray.errors import ConfigurationError, UserError
from abaw_ray.labels import Split

if TYPE_CHECKING:
    from abaw_ray.training.stage import Job

app = typer.Typer(
    help="Multi-task emotion recognition from several face databases with missing labels, on Ray.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


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
    temporal: TemporalOption = False,
    features: FeaturesOption = None,
    cnn: CnnOption = None,
    recipe: RecipeOption = None,
    overrides: SetOption = None,
    workers: WorkersOption = 1,
    cpus_per_worker: CpusOption = 1,
    gpu: GpuOption = None,
    fresh: FreshOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a teacher: each head learns from the sets made for its task (equation 7)."""
    job = _job(store, out, None, (temporal, features, cnn), load_recipe(recipe, overrides))
    _train(job, (workers, gpu, cpus_per_worker), fresh, as_json)


@app.command(epilog="Example: abaw-ray distill --store store --teacher runs/teacher --out runs/student --set seed=1")
def distill(
    store: StoreOption,
    teacher: Annotated[Path, typer.Option("--teacher", help="A finished run, or a checkpoint.")],
    out: OutOption,
    temporal: TemporalOption = False,
    features: FeaturesOption = None,
    cnn: CnnOption = None,
    recipe: RecipeOption = None,
    overrides: SetOption = None,
    workers: WorkersOption = 1,
    cpus_per_worker: CpusOption = 1,
    gpu: GpuOption = None,
    fresh: FreshOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a student: every head learns from every set, from labels and from the teacher (equations 8-10)."""
    job = _job(store, out, teacher, (temporal, features, cnn), load_recipe(recipe, overrides))
    _train(job, (workers, gpu, cpus_per_worker), fresh, as_json)


@app.command(epilog="Example: abaw-ray features --run runs/student --store store --out features --variants 22")
def features(
    run: Annotated[Path, typer.Option("--run", help="A finished run of a CNN, or its checkpoint.")],
    store: StoreOption,
    out: OutOption,
    variants: Annotated[
        int | None,
        typer.Option(min=1, help="Views of a training frame: 1 (no augmentation) or all, the default (22 at 112 px)."),
    ] = None,
    recipe: RecipeOption = None,
    overrides: SetOption = None,
    gpu: GpuOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compute what a CNN's heads make of every frame of the store's videos, once, for training over time."""
    from abaw_ray.inference.extract import extract_features

    output = Output()
    with progress_bar("computing features") as progress:
        manifest = extract_features(run, store, out, variants, _change(recipe, overrides), gpu, progress)
    num_frames = sum(block.num_rows for block in manifest.blocks)
    num_features = sum(block.num_rows * block.num_variants for block in manifest.blocks)
    values = manifest.model_dump(mode="json", exclude={"blocks"}) | {
        "num_frames": num_frames,
        "num_features": num_features,
    }
    text = f"features in {out}: {num_frames:,} frames, {num_features:,} views of {', '.join(manifest.tasks)}"
    output.result(values, text, as_json)


@app.command(epilog="Example: abaw-ray evaluate runs/student --store store --out results --smooth tune")
def evaluate(
    run: Annotated[Path, typer.Argument(help="A finished run, or a checkpoint.")],
    store: StoreOption,
    out: OutOption,
    split: SplitOption = "validation",
    smooth: Annotated[
        str | None,
        typer.Option(help="Smooth over time: median:N or gaussian:S (frames); tune: the best on validation."),
    ] = None,
    features: FeaturesOption = None,
    recipe: RecipeOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score a run on a store by both protocols; write figures, scores by video, and predictions as Parquet.

    The run's own configuration is used; --recipe and --set change how it predicts, as train.evaluation_batch_size.
    """
    from abaw_ray.evaluation.evaluate import evaluate as evaluate_run
    from abaw_ray.evaluation.evaluate import score_rows

    output = Output()
    with progress_bar("predicting") as progress:
        result = evaluate_run(run, store, out, _split(split), smooth, features, _change(recipe, overrides), progress)
    columns, rows = score_rows(result["scores"])
    title = f"{result['kind']} {result['role']} {run}, {result['split']} of {store}"
    if result["smoothing"]:
        title += f", smoothed {result['smoothing']}"
    output.result(result, table(title, columns, rows), as_json)


@app.command("predict-set", epilog="Example: abaw-ray predict-set --run runs/gru-student --store store --out entry")
def predict_set(
    run: Annotated[Path, typer.Option("--run", help="A finished run, or a checkpoint.")],
    store: StoreOption,
    out: OutOption,
    split: SplitOption = "test",
    database: Annotated[str, typer.Option(help="A database of videos.")] = "affwild2",
    smooth: Annotated[str | None, typer.Option(help="Smooth over time: median:N or gaussian:S (frames).")] = None,
    features: FeaturesOption = None,
    recipe: RecipeOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a competition entry: one text file a face track and task, one row a video frame."""
    from abaw_ray.inference.predict_set import predict_set as write_set

    output = Output()
    with progress_bar("predicting") as progress:
        result = write_set(
            run, store, out, _split(split), database, smooth, features, _change(recipe, overrides), progress
        )
    rows = [[t, f"{v['num_files']:,}", f"{v['num_frames']:,}"] for t, v in result["tasks"].items()]
    for task, names in result["without_face"].items():
        rows += [[f"{task}: no face in {name}, no file", "0", "0"] for name in names]
    output.result(result, table(f"Submission in {out}", ["task", "files", "frames"], rows), as_json)


@app.command("check-submission", epilog="Example: abaw-ray check-submission submission --videos ~/Aff-Wild2/videos")
def check_submission(
    folder: Annotated[Path, typer.Argument(help="Folder of EXPR_Set, VA_Set, AU_Set.")],
    videos: Annotated[Path, typer.Option("--videos", help="Folder of the source videos.")],
    as_json: JsonOption = False,
) -> None:
    """Check names, headers, row counts and ranges of a competition entry. Status 2 if anything is wrong."""
    from abaw_ray.evaluation.check_submission import check_submission as check

    output = Output()
    report = check(folder, videos)
    output.result(report.to_dict(), report.render(), as_json)
    if not report.ok:
        raise typer.Exit(2)


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


@app.command(epilog="Example: abaw-ray reproduce table2 --data ~/databases --seeds 10 --out reproduction --workers 4")
def reproduce(
    name: Annotated[str, typer.Argument(metavar="TABLE", help="table1, table2 or table3 of the paper.")],
    out: OutOption,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Folder of affwild2/, expw/, afew_va/, affectnet/. Default: synthetic databases."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Runs with seeds 0, 1, ...")] = 10,
    size: Annotated[str, typer.Option(help="Of synthetic databases: tiny, small or medium.")] = "small",
    recipe: RecipeOption = None,
    overrides: SetOption = None,
    workers: WorkersOption = 1,
    cpus_per_worker: CpusOption = 1,
    gpu: GpuOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train and evaluate every row of a table of the paper, seed by seed, and print it beside the paper's numbers.

    The recipe is paper/TABLE, for synthetic data with the small network of the demo; --recipe and --set change it.
    Tables that share an --out share their runs, and a reproduction that was cut off goes on where it stopped.
    """
    from abaw_ray.reproduce import TABLES, Plan
    from abaw_ray.reproduce import reproduce as reproduce_table
    from abaw_ray.training.trainer import Resources

    output = Output()
    if name not in TABLES:
        raise ConfigurationError(f"unknown table {name!r}; tables: {', '.join(TABLES)}")
    paper = load_recipe(f"paper/{name}")
    resolved = _with_weights(load_recipe(recipe, overrides, paper if data else load_recipe("demo", base=paper)))
    show_recipe(resolved)
    resources = Resources(workers, gpu, cpus_per_worker)
    plan = Plan(name, out.resolve(), resolved, resources, None if data else size)
    result = reproduce_table(plan, data, seeds)
    output.result(result.values, result.table(), as_json)


def _resolve(recipe: str | None, overrides: list[str] | None) -> Recipe:
    resolved = _with_weights(load_recipe(recipe, overrides))
    show_recipe(resolved)
    return resolved


def _with_weights(recipe: Recipe) -> Recipe:
    """The recipe with an absolute path of the weights: workers run in other folders."""
    if recipe.model.weights is None:
        return recipe
    weights = str(Path(recipe.model.weights).expanduser().resolve())
    return recipe.model_copy(update={"model": recipe.model.model_copy(update={"weights": weights})})


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


def _split(name: str) -> Split:
    if name.upper() not in {"TRAIN", "VALIDATION", "TEST"}:
        raise ConfigurationError(f"--split {name}: expected train, validation or test")
    return Split[name.upper()]


def _change(recipe: str | None, overrides: list[str] | None) -> Callable[[Recipe], Recipe]:
    """Changes a run's own recipe, and prints what came out."""

    def change(trained: Recipe) -> Recipe:
        changed = load_recipe(recipe, overrides, base=trained)
        show_recipe(changed)
        return changed

    return change


def _job(
    store: Path, out: Path, teacher: Path | None, temporal: tuple[bool, Path | None, Path | None], recipe: Recipe
) -> Job:
    """The job that the options describe, all paths absolute: workers run in other folders."""
    from abaw_ray.training.stage import Job, adopt

    is_temporal, features, cnn = temporal
    if is_temporal != (features is not None or cnn is not None) or (features is not None and cnn is not None):
        raise ConfigurationError("expected --temporal with either --features or --cnn, or none of the three")
    paths = {"teacher": teacher, "features": features, "cnn": cnn}
    given = {name: str(path.resolve()) for name, path in paths.items() if path is not None}
    return adopt(Job(_with_weights(recipe), str(store.resolve()), str(out.resolve()), **given))


def _train(job: Job, resources: tuple[int, bool | None, int], fresh: bool, as_json: bool) -> None:
    from abaw_ray.training.trainer import Resources, fit

    output = Output()
    show_recipe(job.recipe)
    values = fit(job, Resources(*resources), fresh)
    text = (
        f"{values['kind']} {values['role']} in {job.run}: best epoch {values['best_epoch'] + 1} of"
        f" {values['num_epochs']}, criterion {values['best_criterion']:.4f}\n"
        f"TensorBoard: tensorboard --logdir {job.run}"
    )
    output.result(values, text, as_json)
