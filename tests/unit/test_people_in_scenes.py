"""Generated (synthetic) people in scenes: what each stream shows, and networks of bodies, of scenes and of both."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from learners import last_checkpoint, recipe_of_streams
from serial import prepare_here
from sklearn.metrics import average_precision_score

from abaw_ray.blocks.reader import Store
from abaw_ray.config import PrepareConfig, load_recipe
from abaw_ray.databases.emotic import EMOTIONS, SPACES
from abaw_ray.databases.reading.database import read_database
from abaw_ray.errors import ConfigurationError, StoreError
from abaw_ray.evaluation.evaluate import evaluate
from abaw_ray.evaluation.evaluator import Evaluator
from abaw_ray.evaluation.predictions import vectors
from abaw_ray.models import checkpoint
from abaw_ray.preprocess.plan import Source
from abaw_ray.spaces import Split
from abaw_ray.streams.base import FACE
from abaw_ray.synthetic.layouts.emotic import generate_people, labels_of
from abaw_ray.synthetic.people import NUM_TYPES, SIZES, draw_scene
from abaw_ray.training.job import Job
from abaw_ray.training.stage import Stage
from abaw_ray.world import World

SCENE_SIZE = 32


@pytest.mark.parametrize("size", SIZES)
def test_a_small_scene_shows_nothing_of_what_people_feel(size: tuple[int, int]) -> None:
    def scene_with(people: list[int]) -> np.ndarray:
        picture, _ = draw_scene(np.random.default_rng(5), size, 3, people)
        return cv2.resize(picture, (SCENE_SIZE, SCENE_SIZE), interpolation=cv2.INTER_AREA).astype(int)

    without = scene_with([0, 0])
    for kind in range(1, NUM_TYPES):
        difference = np.abs(scene_with([kind, kind]) - without)
        assert difference.mean() < 0.5
        assert difference.max() < 32, "at the edges of a coat"


def test_a_body_shows_nothing_of_the_scene() -> None:
    bodies = []
    for scene in range(NUM_TYPES):
        picture, ((left, top, right, bottom),) = draw_scene(np.random.default_rng(5), SIZES[0], scene, [7])
        bodies.append(picture[top:bottom, left:right])
    assert all(np.array_equal(body, bodies[0]) for body in bodies)
    others, (box,) = draw_scene(np.random.default_rng(5), SIZES[0], 0, [8])
    assert not np.array_equal(others[box[1] : box[3], box[0] : box[2]], bodies[0])


def test_half_of_the_categories_are_the_person_s_and_half_the_scene_s() -> None:
    places = {kind: {EMOTIONS.names.index(n) for n in labels_of(*kind)[0]} for kind in ((2, 5), (2, 6), (3, 5))}
    assert {place for place in places[2, 5] if place < NUM_TYPES} == {
        place for place in places[2, 6] if place < NUM_TYPES
    }
    assert {place for place in places[2, 5] if place >= NUM_TYPES} == {p for p in places[3, 5] if p >= NUM_TYPES}
    values = np.array([[labels_of(person, scene)[1] for scene in range(NUM_TYPES)] for person in range(NUM_TYPES)])
    additive = values.mean(0, keepdims=True) + values.mean(1, keepdims=True) - values.mean((0, 1))
    np.testing.assert_allclose(values, additive, atol=2e-3)
    assert values.min() >= 1
    assert values.max() <= 10


def test_the_same_seed_gives_the_same_files_and_nothing_is_overwritten(tmp_path: Path) -> None:
    counts = {"train": 2, "val": 1, "test": 1}
    roots = [generate_people(tmp_path / name, 4, counts, form="tables") for name in "ab"]
    files = [sorted(path.relative_to(root) for path in root.rglob("*.*")) for root in roots]
    assert files[0] == files[1]
    assert all((roots[0] / path).read_bytes() == (roots[1] / path).read_bytes() for path in files[0])
    with pytest.raises(ConfigurationError, match=r"holds other generated data .*seed 4"):
        generate_people(tmp_path / "a")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("people")
    root = generate_people(out, 0, {"train": 60, "val": 25, "test": 4})
    database, options, table = read_database("emotic", root, {"body_size": 64, "scene_size": SCENE_SIZE})
    prepare_here(PrepareConfig(image_size=16), out / "store", [Source(database, root, options, table)])
    return out / "store"


def test_a_store_of_people_has_no_faces_and_says_that_it_is_synthetic(store: Path) -> None:
    opened = Store(store)
    assert not opened.has_any([FACE]).any()
    assert opened.has_any(["body"]).all()
    assert opened.has_any(["scene"]).all()
    (entry,) = opened.manifest.databases
    assert entry.title.startswith("Synthetic")
    assert set(opened.spaces) == {space.name for space in SPACES}
    assert {by for _, by in opened.label_sets} == {"", "annotator_1", "annotator_2", "annotator_3"}


@pytest.mark.parametrize(("streams", "steps"), [(("body",), 6), (("scene",), 70), (("body", "scene"), 6)])
def test_networks_of_bodies_of_scenes_and_of_both_are_trained_and_scored(
    store: Path, tmp_path: Path, streams: tuple[str, ...], steps: int, one_thread: None
) -> None:
    recipe = recipe_of_streams(streams, 32, steps)
    kept = last_checkpoint(Job(recipe, str(store), str(tmp_path / "run")))
    trained = checkpoint.load(kept)
    assert set(trained.description.streams) == set(streams)
    if len(streams) == 2:
        found = evaluate(kept, store, tmp_path / "scores")
        assert found["num_frames_without_face"] == 0, "no frame had to take another's picture"
        assert set(found["scores"]["every_frame"]["emotic"]) == {*(space.name for space in SPACES), "criterion"}
        return
    evaluator = Evaluator(Store(store), trained.tasks(recipe), Split.VALIDATION, recipe)
    table = evaluator.score(evaluator.predict(trained.frame_network(World().device), World())).table
    assert np.isfinite(vectors(table, "predicted_valence_arousal_dominance")).all()
    if streams == ("scene",):
        true, predicted = vectors(table, "emotions"), vectors(table, "predicted_emotions")
        precision = [average_precision_score(true[:, k], predicted[:, k]) for k in range(EMOTIONS.size)]
        assert np.mean(precision[NUM_TYPES:]) > 2 * np.mean(precision[:NUM_TYPES])


def test_a_network_of_faces_is_refused(store: Path, tmp_path: Path) -> None:
    recipe = load_recipe(None, ["model.backbone=test_convnext"])
    with pytest.raises(StoreError, match="no rows in any training set, with what the networks take: face"):
        Stage(Job(recipe, str(store), str(tmp_path)), World().device)
