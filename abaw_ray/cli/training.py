"""Teachers, students, features, sweeps."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from abaw_ray.cli.options import (
    PLACE,
    CnnOption,
    CpusOption,
    ExtendOption,
    FeaturesOption,
    FreshOption,
    GpuOption,
    JsonOption,
    OutOption,
    RecipeOption,
    SetOption,
    StoreOption,
    TeacherOption,
    TemporalOption,
    VerboseOption,
    WorkersOption,
)
from abaw_ray.cli.recipes import change_of, show, with_weights
from abaw_ray.cli.unused import keys_of, unused_by, unused_in, warn_of
from abaw_ray.config import Recipe, load_recipe
from abaw_ray.console import Output, progress_bar
from abaw_ray.errors import ConfigurationError
from abaw_ray.interruption import GOES_ON, stoppable
from abaw_ray.storage import AnyPath, as_path
from tune_spaces import space_names

if TYPE_CHECKING:
    from abaw_ray.training.job import Job

CnnRunOption = Annotated[
    Any,
    typer.Option("--run", parser=as_path, metavar=PLACE, help="A finished run of a CNN, or its checkpoint."),
]

ReportOption = Annotated[
    bool, typer.Option("--report", help="Write a page about the run, report.html in its folder, when it has ended.")
]

NUM_TRIALS = 16

app = typer.Typer()


@app.command(epilog="Example: abaw-ray train --store store --out runs/teacher --workers 2 --set train.epochs=10")
def train(
    store: StoreOption,
    out: OutOption,
    temporal: TemporalOption = False,
    features: FeaturesOption = None,
    cnn: CnnOption = None,
    recipe: RecipeOption = None,
    overrides: SetOption = None,
    verbose: VerboseOption = False,
    workers: WorkersOption = 1,
    cpus_per_worker: CpusOption = 1,
    gpu: GpuOption = None,
    fresh: FreshOption = False,
    extend: ExtendOption = False,
    report: ReportOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a teacher: each head learns from the sets made for its task (equation 7)."""
    with stoppable(lambda: _epochs_kept(out)):
        job = job_of(store, out, [], (temporal, features, cnn), load_recipe(recipe, overrides))
        _warn_of_unused(job, keys_of(overrides))
        show(job.recipe, recipe, verbose)
        _train(job, (workers, gpu, cpus_per_worker), (fresh, extend), report, as_json)


@app.command(epilog="Example: abaw-ray distill --store store --teacher runs/teacher --out runs/student --set seed=1")
def distill(
    store: StoreOption,
    teachers: TeacherOption,
    out: OutOption,
    teacher_outputs: Annotated[
        Any,
        typer.Option(
            "--teacher-outputs",
            parser=as_path,
            metavar=PLACE,
            help="Folder written by teacher-outputs: the teacher is not asked again.",
        ),
    ] = None,
    temporal: TemporalOption = False,
    features: FeaturesOption = None,
    cnn: CnnOption = None,
    recipe: RecipeOption = None,
    overrides: SetOption = None,
    verbose: VerboseOption = False,
    workers: WorkersOption = 1,
    cpus_per_worker: CpusOption = 1,
    gpu: GpuOption = None,
    fresh: FreshOption = False,
    extend: ExtendOption = False,
    report: ReportOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a student: every head learns from every set, from labels and from the teacher (equations 8-10)."""
    with stoppable(lambda: _epochs_kept(out)):
        job = job_of(store, out, teachers, (temporal, features, cnn), load_recipe(recipe, overrides), teacher_outputs)
        _warn_of_unused(job, keys_of(overrides))
        show(job.recipe, recipe, verbose)
        _train(job, (workers, gpu, cpus_per_worker), (fresh, extend), report, as_json)


@app.command(
    "teacher-outputs",
    epilog="Example: abaw-ray teacher-outputs --run runs/teacher --store store --out outputs --set augment.views=8",
)
def teacher_outputs(
    runs: Annotated[
        list[Any],
        typer.Option(
            "--run",
            parser=as_path,
            metavar=PLACE,
            help="A finished run, or its checkpoint; given several times, the mean of an ensemble.",
        ),
    ],
    store: StoreOption,
    out: OutOption,
    recipe: RecipeOption = None,
    overrides: SetOption = None,
    verbose: VerboseOption = False,
    gpu: GpuOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compute what a teacher, or an ensemble of several, says, once for any number of students.

    CNNs say it about augment.views views of every training image. Students then see these views only, instead of every
    crop and flip: with the same augment.views and a teacher that is asked in every step they are the same, without it
    their scores can differ. Temporal networks say it about every frame of the videos.
    """
    from abaw_ray.inference.teach import compute_teacher_outputs, with_views

    output = Output()
    resolved = with_views(load_recipe(recipe, overrides))
    show(resolved, recipe, verbose)
    warn_of(unused_by("teacher-outputs", keys_of(overrides)), "teacher-outputs")
    kept = f"blocks that are finished are kept in {out}, {GOES_ON}"
    with stoppable(lambda: kept), progress_bar("asking the teacher") as progress:
        manifest = compute_teacher_outputs(runs, store, out, resolved, gpu, progress)
    num_images = sum(block.num_rows for block in manifest.blocks)
    values = manifest.model_dump(mode="json", exclude={"blocks"}) | {"num_images": num_images}
    text = f"outputs in {out}: {num_images:,} images, {manifest.num_views} views of each, {', '.join(manifest.outputs)}"
    output.result(values, text, as_json)


@app.command(epilog="Example: abaw-ray features --run runs/student --store store --out features --variants 22")
def features(
    run: CnnRunOption,
    store: StoreOption,
    out: OutOption,
    variants: Annotated[
        int | None,
        typer.Option(min=1, help="Views of a training frame: 1 (no augmentation) or all, the default (22 at 112 px)."),
    ] = None,
    recipe: RecipeOption = None,
    overrides: SetOption = None,
    verbose: VerboseOption = False,
    gpu: GpuOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compute what a CNN's heads make of every frame of the store's videos, once, for training over time."""
    from abaw_ray.inference.extract import extract_features

    output = Output()
    warn_of(unused_by("features", keys_of(overrides)), "features")
    kept = f"blocks that are finished are kept in {out}, {GOES_ON}"
    with stoppable(lambda: kept), progress_bar("computing features") as progress:
        manifest = extract_features(run, store, out, variants, change_of(recipe, overrides, verbose), gpu, progress)
    num_frames = sum(block.num_rows for block in manifest.blocks)
    num_features = sum(block.num_rows * block.num_variants for block in manifest.blocks)
    values = manifest.model_dump(mode="json", exclude={"blocks"}) | {
        "num_frames": num_frames,
        "num_features": num_features,
    }
    text = f"features in {out}: {num_frames:,} frames, {num_features:,} views of {', '.join(manifest.tasks)}"
    output.result(values, text, as_json)


@app.command(
    epilog="Example: abaw-ray tune --space distillation --store store --teacher runs/teacher --out sweep --trials 24"
)
def tune(
    space: Annotated[str, typer.Option("--space", metavar="FILE|NAME", help=f"Installed: {', '.join(space_names())}.")],
    store: StoreOption,
    out: OutOption,
    teachers: Annotated[
        list[Any] | None,
        typer.Option(
            "--teacher", parser=as_path, metavar=PLACE, help="Trials are students of these runs; without, teachers."
        ),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(
            "--trials",
            min=1,
            help=f"Configurations to try, {NUM_TRIALS} by default; with --resume, more than before adds to the sweep.",
        ),
    ] = None,
    workers: Annotated[int, typer.Option("--workers-per-trial", min=1, help="DDP workers of each trial.")] = 1,
    cpus_per_worker: CpusOption = 1,
    gpu: GpuOption = None,
    gpus_per_worker: Annotated[
        float, typer.Option(min=0.01, help="GPUs of each worker; less than one: trials share GPUs.")
    ] = 1.0,
    scheduler: Annotated[str, typer.Option(help="asha stops trials that lag behind, none does not.")] = "asha",
    search: Annotated[str, typer.Option(help="random or optuna.")] = "random",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the sweep in --out, if there is one.")] = False,
    temporal: TemporalOption = False,
    features: FeaturesOption = None,
    cnn: CnnOption = None,
    recipe: RecipeOption = None,
    overrides: SetOption = None,
    verbose: VerboseOption = False,
    fresh: FreshOption = False,
    as_json: JsonOption = False,
) -> None:
    """Search a space of recipes: every trial is a training, as many at a time as the cluster has room for.

    All trials have the recipe's seed. The best configuration is trained again with fresh seeds, because the best of
    many trials is also the luckiest. Ctrl-C leaves a sweep that --resume goes on with.
    """
    from abaw_ray.training.resources import Resources
    from abaw_ray.tuning.spaces import check_space, load_space
    from abaw_ray.tuning.summary import render_sweep, sweep_values
    from abaw_ray.tuning.sweep import Plan, check_choices, run_sweep

    output = Output()
    with stoppable(lambda: f"trials and epochs that are finished are kept in {out}, {GOES_ON} with --resume"):
        check_choices(scheduler, search)
        name, searched, resolved = Path(space).stem, load_space(space), load_recipe(recipe, overrides)
        check_space(searched, resolved, name)
        job = job_of(store, out, teachers or [], (temporal, features, cnn), resolved)
        show(job.recipe, recipe, verbose)
        resources = Resources(workers, gpu, cpus_per_worker, gpus_per_worker)
        _warn_of_unused(job, [*keys_of(overrides), *searched])
        num_trials = trials or (_trials_before(out) if resume else None) or NUM_TRIALS
        plan = Plan(out.resolve(), job, searched, name, num_trials, resources, scheduler, search)
        sweep = run_sweep(plan, resume, fresh)
    output.result(sweep_values(sweep), render_sweep(sweep, out), as_json)


def _trials_before(sweep: AnyPath) -> int | None:
    """How many trials a sweep is to have; None if there is no such sweep."""
    from abaw_ray.tuning.record import SWEEP, num_trials

    return num_trials(sweep) if (sweep / SWEEP).is_file() else None


def _epochs_kept(run: AnyPath) -> str:
    """What a run that is stopped keeps, and how to go on."""
    from abaw_ray.monitoring.run_log import read_metrics
    from abaw_ray.training.step_checkpoints import FOLDER as STEPS

    num_epochs = len(read_metrics(run))
    if num_epochs == 0 and not (run / STEPS).is_dir():
        return f"no epoch was finished in {run}, the same command begins again"
    return f"finished epochs in {run}: {num_epochs}; {GOES_ON} from the last checkpoint"


def job_of(
    store: AnyPath,
    out: AnyPath,
    teachers: Sequence[AnyPath],
    temporal: tuple[bool, Sequence[AnyPath] | None, AnyPath | None],
    recipe: Recipe,
    teacher_outputs: AnyPath | None = None,
) -> Job:
    """The job that the options describe, all paths absolute: workers run in other folders."""
    from abaw_ray.training.job import Job, inherit_settings

    is_temporal, features, cnn = temporal
    if is_temporal != (bool(features) or cnn is not None) or (features and cnn is not None):
        raise ConfigurationError("expected --temporal with either --features or --cnn, or none of the three")
    paths = {"cnn": cnn, "teacher_outputs": teacher_outputs}
    given = {name: str(path.resolve()) for name, path in paths.items() if path is not None}
    resolved, joined = (tuple(str(path.resolve()) for path in several or ()) for several in (teachers, features))
    folders = str(store.resolve()), str(out.resolve())
    return inherit_settings(Job(with_weights(recipe), *folders, resolved, joined, **given))


def _warn_of_unused(job: Job, keys: list[str]) -> None:
    kind = "temporal network" if job.is_temporal else "CNN"
    warn_of(unused_in(job, keys), f"the training of a {job.role}, a {kind},")


def _train(
    job: Job, resources: tuple[int, bool | None, int], earlier: tuple[bool, bool], report: bool, as_json: bool
) -> None:
    """`earlier`: whether to replace the run in the folder, and whether to extend it."""
    from abaw_ray.training.resources import Resources
    from abaw_ray.training.trainer import fit

    fresh, extend = earlier
    if fresh and extend:
        raise ConfigurationError("expected --fresh or --extend, found both")
    output = Output()
    values = fit(job, Resources(*resources), fresh, extend=extend)
    text = (
        f"{values['kind']} {values['role']} in {job.run}: best epoch {values['best_epoch'] + 1} of"
        f" {values['num_epochs']}, criterion {values['best_criterion']:.4f}\n"
        f"TensorBoard: tensorboard --logdir {shlex.quote(job.run)}"
    )
    text += "".join(f"\nnotice: {symptom}" for symptom in values["symptoms"])
    if report:
        values |= {"report": _report(job)}
        text += f"\nreport: {values['report']}"
    output.result(values, text, as_json)


def _report(job: Job) -> str:
    """The page about a run that has ended; a student is beside those teachers that are runs on the same store."""
    from abaw_ray.reports.page import write_report
    from abaw_ray.reports.run_data import runs_on

    run = as_path(job.run)
    return write_report([run, *runs_on(job.store, job.teachers)], run / "report.html")["page"]
