"""Views of faces whose predictions are averaged: which they are, and what evaluations make of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
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
from abaw_ray.evaluation.evaluator import Evaluator
from abaw_ray.evaluation.mixtures import Predicted
from abaw_ray.inference.networks import open_network
from abaw_ray.inference.predict import Progress, predict_rows
from abaw_ray.models import checkpoint
from abaw_ray.models.checkpoint import Kind
from abaw_ray.spaces import Split
from abaw_ray.world import World

FACES = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8))
CROP = AugmentConfig(crop=24)


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


def predicted(run: Path, store: Path, number: int, progress: Progress | None = None) -> Predicted:
    """On validation, from a number of views."""
    trained, opened = checkpoint.load(run), Store(store)
    recipe = with_views(number)(trained.recipe)
    network, source = open_network(trained, opened, recipe, None)
    evaluator = Evaluator(opened, trained.tasks(recipe), Split.VALIDATION, recipe, source)
    return evaluator.predict(network, World(), progress)


@pytest.mark.parametrize("kind", ["cnn", "temporal"])
def test_predictions_from_two_views_are_those_of_mirror_images(kind: Kind, tmp_path: Path, monkeypatch):
    """Of CNNs, and of temporal networks, whose features are computed from each view; windows' predictions, too."""
    recipe = small_recipe("augment.crop=12", "temporal.window=2")
    run = make_checkpoint(tmp_path / "run", kind=kind, recipe=recipe)
    both = stores.make_store(tmp_path / "store").path, mirrored_store(tmp_path / "mirrored", monkeypatch)
    alone, mean = ([predicted(run, store, number) for store in both] for number in (1, 2))
    assert (alone[0].windows is not None) == (kind == "temporal")
    for protocol in ("frames", "windows") if kind == "temporal" else ("frames",):
        for task in TASKS:
            parts = [getattr(of_store, protocol)[task] for of_store in alone]
            found = [getattr(of_store, protocol)[task] for of_store in mean]
            difference = np.abs(parts[0] - parts[1]).max(initial=0)
            assert difference > 1e-6 or not len(parts[0]), "of no window"
            np.testing.assert_allclose(found[0], found[1], atol=0.05 * difference)
            np.testing.assert_allclose(found[0], np.mean(parts, axis=0), atol=0.05 * difference)


def test_progress_is_of_all_views(tmp_path: Path):
    run, store = make_checkpoint(tmp_path / "run"), stores.make_store(tmp_path / "store").path
    shown: list[tuple[int, int]] = []
    predicted(run, store, 3, lambda *numbers: shown.append(numbers))
    (total,) = {total for _, total in shown}
    assert [done * 3 / total for done, _ in shown] == [1, 2, 3]


def test_more_views_than_there_are_is_refused(tmp_path: Path):
    run = make_checkpoint(tmp_path / "run", recipe=small_recipe("augment.zoom=1"))
    store = stores.make_store(tmp_path / "store").path
    predicted(run, store, 2)
    with pytest.raises(ConfigurationError, match=r"train\.test_views: found 3; faces of 16 pixels .* have 2"):
        predicted(run, store, 3)


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
