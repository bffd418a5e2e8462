"""Bodies and scenes: what each says of a person's emotions, and both together.

After Kosti et al. (Context based emotion recognition using EMOTIC dataset, TPAMI 2019): networks of the body (B), of
the whole picture (I) and of both (B + I), by mean average precision of 26 categories and mean absolute error of
valence, arousal and dominance on 1 to 10. The last network is also given the scenes of other people, with its weights
as they are. Of generated people 13 categories depend on the body alone, the others on the scene alone.

Scores are of the last epoch: nothing is chosen on validation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from abaw_ray.console import mean_and_spread
from abaw_ray.databases.emotic import EMOTIONS, VALENCE_AROUSAL_DOMINANCE
from abaw_ray.evaluation.evaluator import HEADLINE, Evaluator
from abaw_ray.evaluation.predictions import POOLED
from abaw_ray.experiments.base import Comparison, Experiment, Plan, Progress
from abaw_ray.experiments.streams import ChangedStream, with_streams
from abaw_ray.models import checkpoint
from abaw_ray.side_by_side import side_by_side
from abaw_ray.spaces import Split
from abaw_ray.synthetic.layouts.emotic import NAME, generate_people
from abaw_ray.synthetic.markers import require_size
from abaw_ray.synthetic.people import NUM_TYPES
from abaw_ray.training.resources import room
from abaw_ray.world import World, local_device

BODY, SCENE = "body", "scene"
SIZES = {
    "tiny": {"train": 40, "val": 20, "test": 1},
    "small": {"train": 300, "val": 100, "test": 1},
    "medium": {"train": 1500, "val": 300, "test": 1},
}
"""Generated pictures by split."""
STREAM_SIZES = {"body_size": 64, "scene_size": 32}
"""Of generated streams: a scene of 32 pixels shows nothing of the people in it."""
PUBLISHED = {"body": "23.86", "both": "27.38"}
"""mAP in percent that later papers quote for the paper's networks, of EMOTIC itself."""


class Way(NamedTuple):
    """A row of the table.

    Args:
        title: of the row.
        network: name of the network.
        scene: what it is given instead of its scenes; empty: nothing.
    """

    title: str
    network: str
    scene: str = ""


NETWORKS = {BODY: (BODY,), SCENE: (SCENE,), "both": (BODY, SCENE)}
"""Name of a network -> its streams."""

WAYS = {
    BODY: Way("body (B)", BODY),
    SCENE: Way("scene (I)", SCENE),
    "both": Way("body and scene (B + I)", "both"),
    "other_scenes": Way("B + I, scenes of other people", "both", "other"),
}


def run(plan: Plan, networks: Sequence[str] = tuple(NETWORKS)) -> Comparison:
    """Trains the networks for every seed side by side as there is room, and scores each way.

    Args:
        plan: what to do.
        networks: those of `NETWORKS` that are compared.

    Raises:
        UserError: as of `preprocess.prepare.prepare` and `training.trainer.fit`.
    """
    plan.prepare_or_draw(NAME, _draw, "people in scenes", STREAM_SIZES)
    arguments = [(plan, name, seed) for seed in range(plan.seeds) for name in networks]
    found: dict[str, list[dict[str, Any]]] = {}
    for result in side_by_side(measured, arguments, room(plan.resources)):
        for way, values in result.items():
            found.setdefault(way, []).append(values)
    return comparison(plan, {way: found[way] for way in WAYS if way in found})


def _draw(out: Path, seed: int, size: str, progress: Progress) -> None:
    require_size(size, SIZES, "people in scenes")
    generate_people(out, seed, SIZES[size], progress=progress)


def measured(plan: Plan, network: str, seed: int, say: Callable[[str], None]) -> dict[str, dict[str, Any]]:
    """Trains a network, unless it is finished: way -> the numbers of `scores_of`, `run` and `seconds`."""
    name = f"{network}-{seed}"
    trained = plan.train(with_streams(plan.recipe, NETWORKS[network], seed), name, say)
    results = {}
    for way, (title, of_network, scene) in WAYS.items():
        if of_network == network:
            found = scores_of(Path(trained["run"]) / trained["last"], str(plan.store), scene)
            say(f"{name}: {title}: mAP {found['map']:.3f}, mean absolute error {found['mae']:.3f}")
            results[way] = {**found, "run": trained["run"], "seconds": trained["seconds"]}
    return results


def scores_of(network: Path, store_path: str, scene: str = "") -> dict[str, float]:
    """Scores on the validation split.

    Args:
        network: a checkpoint.
        store_path: of the people.
        scene: see `ChangedStream`.

    Returns:
        `map`, and of the first 13 and the other categories `map_of_body` and `map_of_scene`, which is what those of
        generated people depend on; `mae`, the mean over the three dimensions.
    """
    trained, store = checkpoint.load(network), ChangedStream(store_path, SCENE, scene)
    evaluator = Evaluator(store, trained.tasks(trained.recipe), Split.VALIDATION, trained.recipe)
    device = local_device()
    found = evaluator.score(evaluator.predict(trained.frame_network(device), World(device=device)))
    scores = found.scores[HEADLINE][POOLED]
    precision, values = scores[EMOTIONS.name]["average_precision"], scores[VALENCE_AROUSAL_DOMINANCE.name]
    parts = {"map_of_body": EMOTIONS.names[:NUM_TYPES], "map_of_scene": EMOTIONS.names[NUM_TYPES:]}
    return {
        "map": scores[EMOTIONS.name]["mean_average_precision"],
        **{part: float(np.mean([precision[n] for n in names if n in precision])) for part, names in parts.items()},
        "mae": float(np.mean([values[f"mae_{name}"] for name in VALENCE_AROUSAL_DOMINANCE.names])),
    }


def comparison(plan: Plan, found: Mapping[str, Sequence[Mapping[str, Any]]]) -> Comparison:
    """The table of what was measured, of each way for every seed."""
    columns = {"map": "mAP", "mae": "V, A, D mean error"}
    if plan.data is None:
        columns |= {"map_of_body": "mAP of the body's categories", "map_of_scene": "mAP of the scene's categories"}
    cells, values = [], []
    for way, results in found.items():
        numbers = [[result[key] for result in results] for key in columns]
        seconds = "" if WAYS[way].scene else f"{np.mean([result['seconds'] for result in results]):.0f}"
        cells.append([WAYS[way].title, *map(mean_and_spread, numbers), PUBLISHED.get(way, ""), seconds])
        values.append({"way": way, "results": [dict(result) for result in results]})
    data = f"SYNTHETIC people in scenes ({plan.size})" if plan.data is None else f"EMOTIC in {plan.data}"
    return Comparison(
        f"Bodies and scenes: {data}; last epoch; {plan.about_seeds}",
        ["network", *columns.values(), "mAP of Kosti et al., real EMOTIC, %", "seconds"],
        cells,
        {"size": plan.size, "seeds": plan.seeds, "published": PUBLISHED, "rows": values},
    )


EXPERIMENT = Experiment(
    title="bodies and scenes, alone and together (Kosti et al., EMOTIC, TPAMI 2019)",
    data="EMOTIC: Annotations.mat or its tables, and the pictures",
    recipe="context",
    generated_recipe="context",
    seeds=1,
    run=run,
    replaces=("train.patience",),
)
