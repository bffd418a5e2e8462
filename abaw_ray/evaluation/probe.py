"""What the features of a run tell of who somebody is, or of anything else that they were not to depend on."""

from __future__ import annotations

from typing import Any

from abaw_ray.blocks.files import read_json, stated
from abaw_ray.blocks.reader import Store
from abaw_ray.errors import ConfigurationError
from abaw_ray.evaluation.evaluator import HEADLINE
from abaw_ray.evaluation.predictions import POOLED
from abaw_ray.evaluation.probe_fits import Half, probe_accuracies
from abaw_ray.evaluation.probe_rows import ProbeRows, probe_rows
from abaw_ray.inference.predict import Progress
from abaw_ray.inference.shared_features import shared_features
from abaw_ray.models import checkpoint
from abaw_ray.models.checkpoint import Checkpoint
from abaw_ray.plugins import import_plugins
from abaw_ray.storage import AnyPath, as_path
from abaw_ray.tasks import targets
from abaw_ray.world import World, local_device


def probe(
    run: AnyPath | str,
    space: str,
    store_path: AnyPath | str | None = None,
    beside: AnyPath | str | None = None,
    clips: str | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Fits fresh probes to the frozen features that all heads of a run take, and tests them on other rows.

    Args:
        run: a finished run, or a checkpoint, of a network of frames.
        space: a multiclass label space of the store, `subject` or `database`.
        store_path: a store; None: the run's.
        beside: another one, whose network was not to forget it, on the same rows.
        clips: see `probe_rows.probe_rows`.
        progress: called with rows done and in all.

    Returns:
        `space`, `store`, `num_classes`, `num_learned`, `num_tested`, `num_without`, `by`, `with_scored`, `chance`, and
        `run`: its `path`, `linear` and `one_layer` accuracy, `criterion` of its tasks as its training noted it; with
        `beside` the same under that name, and `fall`: (accuracy beside - accuracy) / accuracy beside by probe; None
        where that is 0.

    Raises:
        ConfigurationError: a network that shares no features, or samples or a space that do not fit.
        MissingInputError, StoreError: no such run or store, or too few rows.
    """
    trained = checkpoint.load(run)
    import_plugins(trained.recipe.plugins, f"{run}")
    store = Store(store_path if store_path is not None else _store_of(run))
    rows = probe_rows(store, space, targets(trained.tasks(trained.recipe)), clips)
    others = [checkpoint.load(beside)] if beside is not None else []
    found = [_of_run(one, store, rows, progress) for one in (trained, *others)]
    result = {
        "space": space,
        "store": str(store.path),
        "num_classes": len(rows.names),
        "num_learned": len(rows.learned),
        "num_tested": len(rows.tested),
        "num_without": rows.num_without,
        "by": rows.by,
        "with_scored": rows.with_scored,
        "chance": rows.chance,
        "run": {"path": str(run), **found[0]},
    }
    if beside is not None:
        result["beside"] = {"path": str(beside), **found[1]}
        result["fall"] = {kind: relative_fall(found[1][kind], found[0][kind]) for kind in ("linear", "one_layer")}
    return result


def relative_fall(before: float, after: float) -> float | None:
    """Disentanglement: (before - after) / before of accuracies; None where there was nothing to fall."""
    return (before - after) / before if before > 0 else None


def probe_table_rows(result: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Headings and cells of a result of `probe`."""
    rows = [["chance", *[f"{result['chance']:.3f}"] * 2, "", "", ""]]
    for name in ("beside", "run"):
        if name in result:
            own = result[name]
            falls = result.get("fall", {}).values() if name == "run" else ()
            cells = [f"{fall:.0%}" if fall is not None else "" for fall in falls] or ["", ""]
            accuracies = [f"{own[kind]:.3f}" for kind in ("linear", "one_layer")]
            rows.append([own["path"], *accuracies, *cells, f"{own['criterion']:.3f}"])
    return ["", "linear", "one layer", "fall, linear", "fall, one layer", "criterion"], rows


def _of_run(trained: Checkpoint, store: Store, rows: ProbeRows, progress: Progress | None) -> dict[str, float]:
    trained.require_samples(store)
    device = local_device()
    network = trained.frame_network(device)
    learned, tested = (
        shared_features(network, store, half, trained.recipe, World(device=device), progress)
        for half in (rows.learned, rows.tested)
    )
    accuracies = probe_accuracies(
        Half(learned, rows.learned_classes), Half(tested, rows.tested_classes), len(rows.names)
    )
    return accuracies | {"criterion": float(trained.description.scores[HEADLINE][POOLED]["criterion"])}


def _store_of(run: AnyPath | str) -> str:
    """The store that a finished run was trained on."""
    noted = as_path(run) / checkpoint.RUN_FILE
    if not noted.is_file():
        raise ConfigurationError(f"{run}: a checkpoint does not say where its store is; name it by --store")
    return stated(read_json(noted), "store", str, noted)
