"""Views of faces whose predictions are averaged: which they are, and what evaluations make of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import stores
import torch
from checkpoints import make_checkpoint, small_recipe
from paper import TASKS

from abaw_ray.augmentation import NUM_EVALUATION_VIEWS, centre_views, evaluation_views
from abaw_ray.blocks.features import FeatureStore
from abaw_ray.blocks.reader import Store
from abaw_ray.cli.unused import unused_by
from abaw_ray.config import AugmentConfig, Recipe, TrainConfig
from abaw_ray.errors import ConfigurationError
from abaw_ray.evaluation.evaluate import evaluate
from abaw_ray.inference.predict import predict_rows
from abaw_ray.models import checkpoint
from abaw_ray.models.checkpoint import Kind
from abaw_ray.world import World

FACES = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8))
CROP = AugmentConfig(crop=24)
COLUMNS = [f"predicted_{task}" for task in TASKS]


def with_views(number: int) -> Callable[[Recipe], Recipe]:
    """A change of a recipe, as `--set train.test_views=number`."""
    return lambda recipe: recipe.model_copy(update={"train": recipe.train.model_copy(update={"test_views": number})})


def square(left: int, top: int, mirrored: bool) -> torch.Tensor:
    cut = FACES[:, top : top + 24, left : left + 24].permute(0, 3, 1, 2)
    return cut.flip(-1) if mirrored else cut


def test_views_are_the_centre_its_mirror_image_and_crops_towards_the_corners():
    """A margin of 8 pixels: half way between the centre, 4, and the corners are 2 and 6."""
    places = [(4, 4, False), (4, 4, True), (2, 2, False), (6, 6, True), (6, 2, False), (2, 6, True)]
    places += [(2, 2, True), (6, 6, False), (6, 2, True), (2, 6, False)]
    assert len(places) == NUM_EVALUATION_VIEWS
    for number, place in enumerate(places):
        assert torch.equal(evaluation_views(FACES, number, CROP), square(*place))


def test_there_are_as_many_as_a_recipe_can_ask_for():
    assert TrainConfig(test_views=NUM_EVALUATION_VIEWS)
    with pytest.raises(ValueError, match="test_views"):
        TrainConfig(test_views=NUM_EVALUATION_VIEWS + 1)


def test_zoomed_faces_have_all_views():
    views = [evaluation_views(FACES, number, AugmentConfig(zoom=1.25)) for number in range(NUM_EVALUATION_VIEWS)]
    assert torch.equal(views[0], centre_views(FACES, AugmentConfig(zoom=1.25)))
    assert torch.equal(views[1], views[0].flip(-1)), "the margin of 8 is even"
    assert len({view.numpy().tobytes() for view in views}) == NUM_EVALUATION_VIEWS
    mirrored = FACES.flip(2)
    others = {evaluation_views(mirrored, n, AugmentConfig(zoom=1.25)).numpy().tobytes() for n in range(10)}
    assert {view.numpy().tobytes() for view in views} == others, "all views together tell no left from right"


def mirrored_store(path: Path, patch: pytest.MonkeyPatch) -> Path:
    """The store of `stores.make_store`, of mirror images."""
    smooth_images = stores.smooth_images
    patch.setattr(stores, "smooth_images", lambda count, rng: smooth_images(count, rng)[:, :, ::-1].copy())
    return stores.make_store(path).path


@pytest.mark.parametrize("kind", ["cnn", "temporal"])
def test_predictions_from_two_views_are_those_of_mirror_images(kind: Kind, tmp_path: Path, monkeypatch):
    """Of CNNs, and of temporal networks, whose features are computed from each view."""
    run = make_checkpoint(tmp_path / "run", kind=kind, recipe=small_recipe("augment.crop=12"))
    given = stores.make_store(tmp_path / "store").path
    mirrored = mirrored_store(tmp_path / "mirrored", monkeypatch)

    def predicted(store: Path, number: int) -> list[np.ndarray]:
        evaluate(run, store, tmp_path / "out", change=with_views(number))
        table = pq.read_table(tmp_path / "out" / "predictions.parquet")
        return [np.stack(table[column].to_pylist()) for column in COLUMNS]

    alone = predicted(given, 1), predicted(mirrored, 1)
    both = predicted(given, 2), predicted(mirrored, 2)
    for one, other in zip(*alone, strict=True):
        assert np.abs(one - other).max() > 1e-4
    for one, other, *parts in zip(*both, *alone, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
        np.testing.assert_allclose(one, np.mean(parts, axis=0), atol=1e-6)


def test_paper_windows_are_averaged_too(tmp_path: Path):
    run = make_checkpoint(tmp_path / "run", kind="temporal")
    store = stores.make_store(tmp_path / "store").path
    one, ten = (evaluate(run, store, tmp_path / str(n), change=with_views(n))["scores"]["paper"] for n in (1, 10))
    assert one["all"].keys() == ten["all"].keys()
    assert one != ten


def test_progress_is_of_all_views(tmp_path: Path):
    run, store = make_checkpoint(tmp_path / "run"), stores.make_store(tmp_path / "store").path
    shown: list[tuple[int, int]] = []
    evaluate(run, store, tmp_path / "out", change=with_views(3), progress=lambda *numbers: shown.append(numbers))
    (total,) = {total for _, total in shown}
    assert [done * 3 / total for done, _ in shown] == [1, 2, 3]


def test_more_views_than_there_are_is_refused(tmp_path: Path):
    run = make_checkpoint(tmp_path / "run", recipe=small_recipe("augment.zoom=1"))
    store = stores.make_store(tmp_path / "store").path
    evaluate(run, store, tmp_path / "out", change=with_views(2))
    with pytest.raises(ConfigurationError, match=r"train\.test_views: found 3; faces of 16 pixels .* have 2"):
        evaluate(run, store, tmp_path / "out", change=with_views(3))


def test_stored_features_are_of_the_centre(tmp_path: Path):
    features = object.__new__(FeatureStore)
    features.path = tmp_path
    assert features.of_view(0) is features
    with pytest.raises(ConfigurationError, match=rf"{tmp_path}: features of the centre of each face alone"):
        features.of_view(1)


def test_a_view_of_rows(tmp_path: Path):
    """View 0 is the default."""
    run, opened = make_checkpoint(tmp_path / "run"), Store(stores.make_store(tmp_path / "store").path)
    trained, rows = checkpoint.load(run), np.arange(4)
    network, tasks = trained.frame_network(torch.device("cpu")), trained.tasks(trained.recipe)
    given = predict_rows(network, tasks, opened, rows, trained.recipe, World())
    for view in range(3):
        found = predict_rows(network, tasks, opened, rows, trained.recipe, World(), None, view)
        assert [np.array_equal(values, given[name]) for name, values in found.items()] == [view == 0] * len(given)


def test_other_commands_are_warned_of():
    given = ["train.test_views"]
    assert [unused_by(command, given) for command in ("evaluate", "predict-set")] == [[], []]
    assert [unused_by(command, given) for command in ("features", "teacher-outputs", "prepare")] == [given] * 3
