"""From databases to a store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from abaw_ray.cli.options import DetectorOption, JsonOption, RecipeOption, SetOption, VerboseOption
from abaw_ray.cli.recipes import resolve
from abaw_ray.cli.unused import keys_of, unused_by, warn_of
from abaw_ray.config import Recipe, load_recipe
from abaw_ray.console import Output, progress_bar, table
from abaw_ray.databases import database, databases
from abaw_ray.errors import ConfigurationError
from abaw_ray.interruption import GOES_ON, stoppable
from abaw_ray.storage import as_path

if TYPE_CHECKING:
    from abaw_ray.preprocess.plan import Source

app = typer.Typer()

FIGURE_ENDINGS = (".png", ".pdf", ".svg")


@app.command(epilog="Example: abaw-ray generate data --seed 0 --size small")
def generate(
    out: Annotated[Path, typer.Argument(help="Folder to write.")],
    seed: Annotated[int | None, typer.Option(min=0, help="Default: the recipe's.")] = None,
    size: Annotated[str, typer.Option(help="tiny, small or medium.")] = "small",
    layouts: Annotated[bool, typer.Option("--layouts", help="Also write an example of every other layout.")] = False,
    recipe: RecipeOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Draw four synthetic databases in the native layouts of Aff-Wild2, ExpW, AFEW-VA and AffectNet."""
    from abaw_ray.synthetic import generate as generate_databases
    from abaw_ray.synthetic.examples import write_layouts

    output = Output()
    warn_of(unused_by("generate", keys_of(overrides)), "generate")
    own_seed = load_recipe(recipe, overrides).seed if seed is None else seed
    with stoppable(lambda: "the same command begins again"), progress_bar("drawing faces") as progress:
        counts = generate_databases(out, own_seed, size, progress=progress)
        if layouts:
            write_layouts(out)
    columns = ["num_images", "num_faces", "num_expression_labels", "num_va_labels", "num_missing_images"]
    rows = [[name, *(f"{values[c]:,}" for c in columns)] for name, values in counts.items()]
    titles = ["database", *(c.removeprefix("num_").replace("_", " ") for c in columns)]
    output.result(counts, table(f"Synthetic databases in {out}", titles, rows), as_json)


@app.command(epilog="Example: abaw-ray inspect expw ~/ExpW --set prepare.databases.expw.validation_fraction=0.1")
def inspect(
    name: Annotated[str, typer.Argument(help="; ".join(f"{d.name}: {d.title}" for d in databases().values()))],
    root: Annotated[Path | None, typer.Argument(help="Folder of the database.")] = None,
    layout: Annotated[
        bool, typer.Option("--layout", help="Print the tree of files that is expected, and end.")
    ] = False,
    figures: Annotated[
        Path | None, typer.Option(help="Folder for a sheet of faces by class, and densities of valence and arousal.")
    ] = None,
    beside: Annotated[
        list[str] | None, typer.Option(metavar="NAME=ROOT", help="Count the pictures that this database has, too.")
    ] = None,
    recipe: RecipeOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Validate a database and count its rows, classes, ranges, and everything that would be left out."""
    from abaw_ray.databases.reading.database import read_database
    from abaw_ray.databases.reading.inspection import image_files, inspect_table
    from abaw_ray.databases.reading.overlaps import find_overlap
    from abaw_ray.preprocess.plan import Source

    output = Output()
    if layout:
        found = database(name)
        described = found.layout or f"{name} describes no tree of files; it comes from {found.obtain}\n"
        output.result({"name": name, "layout": described}, described, as_json)
        return
    if root is None:
        raise ConfigurationError(f"inspect {name}: no folder given; --layout prints what is expected in it")
    warn_of(unused_by("inspect", keys_of(overrides)), "inspect")
    recipes = load_recipe(recipe, overrides).prepare.databases
    settings = {key: value for key, value in recipes.get(name, {}).items() if key != "root"}
    read, options, labels = read_database(name, root, settings)
    overlaps = {}
    for other, place in (_name_and_root(text, "--beside") for text in beside or []):
        given = {key: value for key, value in recipes.get(other, {}).items() if key != "root"}
        theirs = read_database(other, place, given)[2]
        overlaps[other] = find_overlap(
            root, image_files(labels.rows, labels.streams), place, image_files(theirs.rows, theirs.streams)
        )
    inspection = inspect_table(read, root, labels, overlaps)
    if figures is not None:
        _write_figures(Source(read, root.absolute(), options, labels), figures)
    output.result(inspection.to_dict(), inspection.render(), as_json)


@app.command(
    epilog="Example: abaw-ray find-faces emotic ~/EMOTIC --out ~/EMOTIC/faces.csv, then abaw-ray prepare store"
    " --database emotic=~/EMOTIC --set prepare.databases.emotic.faces=faces.csv"
)
def find_faces(
    name: Annotated[str, typer.Argument(help="A database with boxes of people.")],
    root: Annotated[Path, typer.Argument(help="Folder of the database.")],
    out: Annotated[Path, typer.Option("--out", help="Table to write, as .csv; best in the database's folder.")],
    detector: DetectorOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look for the face of every person of a database and write a table of them, which its option `faces` takes."""
    from abaw_ray.inference.faces.detectors import WHOLE, find_detector
    from abaw_ray.inference.find_faces import find_faces as find_faces_of

    output = Output()
    if detector == WHOLE:
        raise ConfigurationError(f"--detector {WHOLE}: expected one that finds faces")
    finder = find_detector(detector)
    with stoppable(lambda: "the same command begins again"), progress_bar("looking for faces") as progress:
        found = find_faces_of(name, root, out, finder, progress)
    people, faces, without = (found[f"num_{what}"] for what in ("people", "faces", "without_face"))
    lines = [f"{out}: {faces:,} faces of {people:,} people; in {without:,} none was found"]
    for reason, problem in found["problems"].items():
        lines.append(f"{reason.replace('_', ' ')}: {problem['count']:,}, as {problem['examples'][0]}")
    output.result({"out": str(out), "detector": finder.description, **found}, "\n".join(lines), as_json)


@app.command(epilog="Example: abaw-ray inspect-views store --recipe my.yaml --out views.png")
def inspect_views(
    store: Annotated[Any, typer.Argument(parser=as_path, metavar="STORE", help="Folder or URI written by prepare.")],
    out: Annotated[Path, typer.Option("--out", help="Picture to write, as .png, .pdf or .svg.")],
    samples: Annotated[int, typer.Option(min=1, max=16, help="Samples of each training set.")] = 4,
    views: Annotated[int, typer.Option(min=1, max=12, help="Views of each sample.")] = 6,
    recipe: RecipeOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Draw what training sees: samples as it draws them, their views, and each change of images by itself."""
    from abaw_ray.blocks.reader import Store
    from abaw_ray.evaluation.figures import save
    from abaw_ray.training.views_sheet import views_figure

    output = Output()
    warn_of(unused_by("inspect-views", keys_of(overrides)), "inspect-views")
    resolved = load_recipe(recipe, overrides)
    if out.suffix not in FIGURE_ENDINGS:
        raise ConfigurationError(f"--out {out}: expected an ending of {', '.join(FIGURE_ENDINGS)}")
    figure = views_figure(Store(store), resolved, samples, views)
    out.parent.mkdir(parents=True, exist_ok=True)
    save(figure, out)
    augment = resolved.augment
    drawn = {"out": str(out), "operations": augment.operations, "mixings": augment.mixings}
    changes = ", ".join(["zoom, crop and flip", *augment.changes])
    output.result(drawn, f"{out}: {changes}", as_json)


@app.command(
    epilog="Example: abaw-ray prepare store --database affwild2=~/Aff-Wild2 --database expw=~/ExpW"
    " --set prepare.encoding=jpeg"
)
def prepare(
    store: Annotated[Any, typer.Argument(parser=as_path, metavar="STORE", help="Folder or URI to write to.")],
    database: Annotated[
        list[str] | None, typer.Option("--database", metavar="NAME=ROOT", help="A database; may be repeated.")
    ] = None,
    recipe: RecipeOption = None,
    overrides: SetOption = None,
    verbose: VerboseOption = False,
    cpus: Annotated[int | None, typer.Option(min=1, help="CPUs of a local cluster; default all.")] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Make blocks anew whose hash is not the recorded one.")
    ] = False,
    max_bad: Annotated[
        str | None,
        typer.Option(
            "--max-bad", metavar="SHARE", help="End the run when more samples than this share, as 1%, cannot be made."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Read, crop and align faces with Ray Data and write a store of Arrow blocks. A second run skips what is done."""
    from abaw_ray.preprocess.prepare import prepare as prepare_store

    output = Output()
    resolved = resolve(recipe, overrides, verbose)
    warn_of(unused_by("prepare", keys_of(overrides)), "prepare")
    roots = _roots(database or [], resolved)
    most = _share(max_bad, "--max-bad") if max_bad is not None else None
    kept = f"blocks that are finished are kept in {store}, {GOES_ON}"
    with stoppable(lambda: kept), progress_bar("preparing blocks") as progress:
        manifest = prepare_store(resolved, store, roots, cpus, progress, verify, most)
    output.result(manifest.summary(), manifest.render(), as_json)


@app.command(epilog="Example: abaw-ray check runs/teacher")
def check(
    place: Annotated[Any, typer.Argument(parser=as_path, metavar="PLACE", help="Folder or URI.")],
    as_json: JsonOption = False,
) -> None:
    """Check that a store, features, teacher's outputs, a run, a checkpoint, a sweep or generations are as written.

    Hashes of all files are recomputed. Status 2 if anything is damaged; each file is named with what mends it.
    """
    from abaw_ray.check import check_place

    output = Output()
    with stoppable(lambda: "the same command begins again"), progress_bar("checking files") as progress:
        report = check_place(place, progress)
    output.result(report.to_dict(), report.render(), as_json)
    if not report.ok:
        raise typer.Exit(2)


def _write_figures(source: Source, folder: Path) -> None:
    """What `inspection_figures` draws, as PNG files."""
    from abaw_ray.evaluation.figures import save
    from abaw_ray.preprocess.contact_sheet import inspection_figures

    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in inspection_figures(source).items():
        save(figure, folder / f"{name}.png")


def _share(text: str, option: str) -> float:
    """A share of 0 to 1, given so or in percent.

    Raises:
        ConfigurationError: it is no such number.
    """
    number, percent, _ = text.strip().partition("%")
    try:
        share = float(number) / (100 if percent else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise ConfigurationError(f"{option}: found {text!r}, expected a share as 1% or 0.01, at most all")
    return share


def _name_and_root(text: str, option: str) -> tuple[str, Path]:
    name, equals, root = text.partition("=")
    if not equals or not root:
        raise ConfigurationError(f"{option} {text}: expected NAME=ROOT, as expw=/data/ExpW")
    return name, Path(root)


def _roots(databases_given: list[str], recipe: Recipe) -> dict[str, dict[str, Any]]:
    """Options of each database, `root` among them: from the recipe, and from NAME=ROOT on the command line."""
    settings = {name: dict(values) for name, values in recipe.prepare.databases.items()}
    for name, root in (_name_and_root(text, "--database") for text in databases_given):
        settings.setdefault(name, {})["root"] = str(root)
    without = [name for name, values in settings.items() if "root" not in values]
    if without or not settings:
        raise ConfigurationError(f"no root for {', '.join(without) or 'any database'}: give --database NAME=ROOT")
    return settings
