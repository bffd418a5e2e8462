"""Faces, bodies and sound: what each adds, in a part of a database with speech and in one without.

After Chen et al. (HEU Emotion: a large-scale database for multimodal emotion recognition in the wild, 2021): networks
of faces alone, of faces and bodies, and of all streams fused by attention over those that a clip has. The last is also
given the sound of other clips, none at all, and zeros in its place, with its weights as they are.

Scores are of whole clips and of the last epoch: nothing is chosen on validation. The macro F1 is that of the classes
that occur in a part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from abaw_ray.console import mean_and_spread
from abaw_ray.databases.heu import PART
from abaw_ray.databases.reading.spaces import TEN_EXPRESSIONS
from abaw_ray.evaluation.clips import clip_table
from abaw_ray.evaluation.evaluator import Evaluator
from abaw_ray.evaluation.groups import names_in_space
from abaw_ray.evaluation.predictions import pairs
from abaw_ray.experiments.base import Comparison, Experiment, Plan
from abaw_ray.experiments.streams import ChangedStream, with_streams
from abaw_ray.models import checkpoint
from abaw_ray.side_by_side import side_by_side
from abaw_ray.spaces import Split
from abaw_ray.streams.base import FACE
from abaw_ray.synthetic.speakers import FPS, NAME, generate_speakers
from abaw_ray.tasks.base import Task
from abaw_ray.training.resources import room
from abaw_ray.world import World, local_device

BODY, AUDIO = "body", "audio"
PUBLISHED = {"1": "+2.19", "2": "+4.01"}
"""Part -> points of accuracy that fusion gains over faces alone, as the paper's abstract says of the real database."""


class Way(NamedTuple):
    """A row of the table.

    Args:
        title: of the row.
        network: name of the network.
        sound: what it is given instead of a clip's sound; empty: nothing.
    """

    title: str
    network: str
    sound: str = ""


NETWORKS = {FACE: (FACE,), "face_body": (FACE, BODY), "all": (FACE, BODY, AUDIO)}
"""Name of a network -> its streams."""

WAYS = {
    FACE: Way("face", FACE),
    "face_body": Way("face + body", "face_body"),
    "all": Way("fusion of all", "all"),
    "other_sound": Way("fusion of all, sound of other clips", "all", "other"),
    "no_sound": Way("fusion of all, sound missing", "all", "missing"),
    "zeros": Way("fusion of all, zeros as sound", "all", "zeros"),
}


def run(plan: Plan, networks: Sequence[str] = tuple(NETWORKS)) -> Comparison:
    """Trains the networks for every seed side by side as there is room, and scores each way.

    Args:
        plan: what to do.
        networks: those of `NETWORKS` that are compared; the first, of faces, must be among them.

    Raises:
        UserError: as of `preprocess.prepare.prepare` and `training.trainer.fit`.
    """
    plan.prepare_or_draw(NAME, generate_speakers, "clips", {"fps": FPS, "body_size": 48, "audio_steps": 64})
    arguments = [(plan, name, seed) for seed in range(plan.seeds) for name in networks]
    results = side_by_side(measured, arguments, room(plan.resources))
    found: dict[str, list[dict[str, Any]]] = {}
    for result in results:
        for way, values in result.items():
            found.setdefault(way, []).append(values)
    return comparison(plan, {way: found[way] for way in WAYS if way in found})


def measured(plan: Plan, network: str, seed: int, say: Callable[[str], None]) -> dict[str, dict[str, Any]]:
    """Trains a network, unless it is finished: way -> `parts` as of `scores_by_part`, `run`, `seconds`."""
    name = f"{network}-{seed}"
    trained = plan.train(with_streams(plan.recipe, NETWORKS[network], seed), name, say)
    results = {}
    for way, (title, of_network, sound) in WAYS.items():
        if of_network == network:
            parts = scores_by_part(Path(trained["run"]) / trained["last"], str(plan.store), sound)
            say(f"{name}: {title}: " + ", ".join(f"part {p} {v['accuracy']:.3f}" for p, v in parts.items()))
            results[way] = {"parts": parts, "run": trained["run"], "seconds": trained["seconds"]}
    return results


def scores_by_part(network: Path, store_path: str, sound: str = "") -> dict[str, dict[str, float]]:
    """Part of the database -> `accuracy` and `macro_f1` of its validation clips, and `num_clips`.

    Args:
        network: a checkpoint.
        store_path: of the clips.
        sound: see `ChangedStream`.
    """
    trained, store = checkpoint.load(network), ChangedStream(store_path, AUDIO, sound)
    device = local_device()
    tasks = {TEN_EXPRESSIONS.name: trained.tasks(trained.recipe)[TEN_EXPRESSIONS.name]}
    evaluator = Evaluator(store, tasks, Split.VALIDATION, trained.recipe)
    predicted = evaluator.predict(trained.frame_network(device), World(device=device))
    table, rows = evaluator.table(predicted.frames)
    parts = names_in_space(store, PART.name, rows)
    return {
        part: _of_clips(table.filter(pa.array([own == part for own in parts])), tasks)
        for part in sorted({part for part in parts if part is not None})
    }


def _of_clips(table: pa.Table, tasks: Mapping[str, Task]) -> dict[str, float]:
    ((name, task),) = tasks.items()
    labels, predicted = pairs(clip_table(table, tasks), name)
    scores = task.score(labels, predicted, {})
    occurring = np.flatnonzero(np.nan_to_num(labels).sum(0))
    f1 = [scores["f1"][task.space.names[place]] for place in occurring]
    return {"accuracy": scores["accuracy"], "macro_f1": float(np.mean(f1)), "num_clips": len(labels)}


def comparison(plan: Plan, found: Mapping[str, Sequence[Mapping[str, Any]]]) -> Comparison:
    """The table of what was measured, of each way for every seed."""
    parts = list(found[FACE][0]["parts"])
    keys = ("accuracy", "macro_f1")
    cells, values, gains = [], [], {}
    for way, results in found.items():
        numbers = [[result["parts"][part][key] for result in results] for part in parts for key in keys]
        seconds = "" if WAYS[way].sound else f"{np.mean([result['seconds'] for result in results]):.0f}"
        cells.append([WAYS[way].title, *map(mean_and_spread, numbers), seconds])
        gains[way] = {
            part: [
                100 * (own["parts"][part]["accuracy"] - face["parts"][part]["accuracy"])
                for own, face in zip(results, found[FACE], strict=True)
            ]
            for part in parts
        }
        values.append({"way": way, "points_over_face": gains[way], "results": [dict(result) for result in results]})
    if "all" in gains:
        points = [f"{np.mean(gains['all'][part]):+.2f} points" for part in parts]
        cells.append(["fusion over face", *_spaced(points), ""])
    published = [f"{PUBLISHED[part]} points" if part in PUBLISHED else "" for part in parts]
    cells.append(["fusion over face, Chen et al., real clips", *_spaced(published), ""])
    data = f"SYNTHETIC clips ({plan.size})" if plan.data is None else f"clips of {plan.data}"
    return Comparison(
        f"Faces, bodies and sound: {data}; whole clips; last epoch; {plan.about_seeds}",
        ["streams", *(f"part {part} {heading}" for part in parts for heading in ("accuracy", "F1")), "seconds"],
        cells,
        {"size": plan.size, "seeds": plan.seeds, "published": PUBLISHED, "rows": values},
    )


def _spaced(cells: Sequence[str]) -> list[str]:
    """Cells below the accuracies, with nothing below the F1."""
    return [text for cell in cells for text in (cell, "")]


EXPERIMENT = Experiment(
    title="faces, bodies and sound, alone and fused (Chen et al., HEU Emotion, 2021)",
    data="HEU Emotion: a manifest of clips with splits, or drawn by prepare.databases.heu.validation_fraction",
    recipe="modalities",
    generated_recipe="modalities",
    seeds=1,
    run=run,
    replaces=("train.patience",),
)
