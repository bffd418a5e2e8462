"""Views cut out of faces that are stored larger: what they show, and that everything agrees on their size."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from checkpoints import make_checkpoint, small_recipe
from hypothesis import given
from hypothesis import strategies as st
from stores import SIZE, make_store
from torch import Tensor

from abaw_ray.augmentation import (
    NUM_UNIFORMS,
    centre_views,
    random_views,
    variant_views,
    window_variants,
    zoomed_size,
)
from abaw_ray.blocks.reader import Store
from abaw_ray.blocks.teacher_outputs import TeacherManifest
from abaw_ray.config import AugmentConfig
from abaw_ray.errors import ConfigurationError
from abaw_ray.inference.export.view import CentreView
from abaw_ray.inference.features import ComputedFeatures
from abaw_ray.inference.opening import open_model
from abaw_ray.inference.samples import FrameSamples
from abaw_ray.inference.teach import compute_teacher_outputs
from abaw_ray.models import checkpoint
from abaw_ray.models.kinds import frame_shapes, input_shapes
from abaw_ray.preprocess.crops import fit
from abaw_ray.streams.image import KIND
from abaw_ray.view_sizes import _indexed, cut_views, view_size

VIEW, STORED = 112, 134
ZOOM, CROP = AugmentConfig(), AugmentConfig(crop=VIEW)


def photos(count: int, side: int, detail: int) -> np.ndarray:
    """Pictures (count, side, side, 3) with shades over about side / `detail` pixels, and edges."""
    rng, pictures = np.random.default_rng(0), []
    for _ in range(count):
        coarse = rng.integers(40, 216, (detail, detail, 3), dtype=np.uint8)
        picture = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
        for _ in range(6):
            ends = rng.integers(0, side, 4).tolist()
            cv2.line(picture, ends[:2], ends[2:], rng.integers(0, 256, 3).tolist(), side // 60, cv2.LINE_AA)
        pictures.append(picture)
    return np.stack(pictures)


def uniforms(count: int, seed: int = 0) -> Tensor:
    return torch.rand((count, NUM_UNIFORMS), generator=torch.Generator().manual_seed(seed))


def mean_difference(found: Tensor, expected: Tensor) -> float:
    return float((found.float() - expected.float()).abs().mean())


@given(st.integers(16, 40), st.floats(1, 2), st.floats(0, 1), st.integers(0, 99))
def test_of_a_face_that_was_zoomed_before_it_is_the_view_by_zoom(
    size: int, zoom: float, flip: float, seed: int
) -> None:
    """The way of the data is the same to the bit: only where the larger face comes from differs."""
    rng = np.random.default_rng(seed)
    faces = torch.from_numpy(rng.integers(0, 256, (5, size, size, 3), dtype=np.uint8))
    by_zoom, by_crop = AugmentConfig(zoom=zoom, flip=flip), AugmentConfig(crop=size, flip=flip)
    side = zoomed_size(size, by_zoom)
    stored = torch.nn.functional.interpolate(faces.permute(0, 3, 1, 2), size=(side, side), mode="bilinear")
    stored, drawn = stored.permute(0, 2, 3, 1).contiguous(), uniforms(5, seed)
    assert torch.equal(random_views(stored, drawn, by_crop), random_views(faces, drawn, by_zoom))
    assert torch.equal(centre_views(stored, by_crop), centre_views(faces, by_zoom))
    variants = window_variants(side, by_crop)
    assert np.array_equal(variants.offsets, window_variants(size, by_zoom).offsets)
    chosen = np.arange(5) % len(variants)
    assert torch.equal(
        variant_views(stored, variants, chosen, by_crop), variant_views(faces, variants, chosen, by_zoom)
    )


@pytest.mark.parametrize(("detail", "least", "most"), [(6, 0.05, 1.5), (60, 1.0, 8.0)])
def test_what_differs_from_zooming_is_detail_that_the_small_face_has_lost(
    detail: int, least: float, most: float
) -> None:
    """Of the same photos, stored at 134 and at 112: little in shades, more in detail, of which the crop has more."""
    pictures = photos(8, 3 * STORED, detail)
    large, small = (torch.from_numpy(np.stack([fit(p, side) for p in pictures])) for side in (STORED, VIEW))
    drawn = uniforms(8)
    by_crop, by_zoom = random_views(large, drawn, CROP), random_views(small, drawn, ZOOM)
    assert least < mean_difference(by_crop, by_zoom) < most
    contrast = [float(views.float().diff(dim=-1).abs().mean()) for views in (by_crop, by_zoom)]
    assert contrast[0] > contrast[1], "zooming blurs"
    moved = [mean_difference(by_crop[..., 1:-1, 1:-1], by_zoom[..., 1:-1, 1 + x : 111 + x]) for x in (-1, 0, 1)]
    assert min(moved) == moved[1], "both show the same part of the face"
    exact = torch.from_numpy(np.stack([fit(p, STORED)[11:123, 11:123] for p in pictures])).permute(0, 3, 1, 2)
    assert torch.equal(centre_views(large, CROP), exact)


def test_views_are_squares_of_the_face() -> None:
    faces = torch.randint(0, 256, (150, 40, 40, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    offsets = torch.randint(0, 9, (150, 2), generator=torch.Generator().manual_seed(1))
    flip = torch.arange(150) % 2 == 0
    views = cut_views(faces, offsets.float(), flip, 32)
    assert views.is_contiguous(memory_format=torch.channels_last)
    for face, (x, y), flipped, view in zip(faces, offsets.tolist(), flip, views, strict=True):
        square = face[y : y + 32, x : x + 32].permute(2, 0, 1)
        assert torch.equal(view, square.flip(-1) if flipped else square)
    assert torch.equal(_indexed(faces, offsets, flip, 32), views), "as on other devices"


@pytest.mark.parametrize("size", [24, 33, 134])
@pytest.mark.parametrize("crop", [8, 24])
def test_the_view_of_exports_is_that_of_evaluation(size: int, crop: int) -> None:
    faces = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, size, size, 3), dtype=np.uint8))
    config = AugmentConfig(crop=crop)
    found = CentreView(size, config)(faces)
    assert found.shape == (3, 3, crop, crop)
    assert np.array_equal(found.numpy(), centre_views(faces, config).numpy())


def test_networks_take_views_and_checkpoints_say_faces(tmp_path: Path) -> None:
    recipe = small_recipe("augment.crop=16", "model.backbone=test_vit")
    assert input_shapes(recipe, frame_shapes(24)) == {"face": (3, 16, 16)}
    for kind, changed in (
        ("cnn", recipe),
        ("temporal", recipe),
        ("streams", small_recipe("augment.crop=16", "model.backbone=test_vit", "model.encoders={face: image_cnn}")),
    ):
        model = open_model(make_checkpoint(tmp_path / kind, kind=kind, recipe=changed, size=24))
        assert model.info.image_size == 24
        faces = np.random.default_rng(0).integers(0, 256, (4, 24, 24, 3), dtype=np.uint8)
        assert len(model.predict(faces)["expression"]) == 4
        with pytest.raises(ConfigurationError, match="24 x 24 x 3"):
            model.predict(faces[:, :16, :16])


def test_other_streams_are_zoomed_as_before() -> None:
    faces, bodies = torch.zeros(3, 24, 24, 3, dtype=torch.uint8), torch.zeros(3, 20, 20, 3, dtype=torch.uint8)
    present = dict.fromkeys(("face", "body"), torch.ones(3, dtype=torch.bool))
    samples = FrameSamples({"face": faces, "body": bodies}, present, dict.fromkeys(present, KIND))
    for views in (
        samples.random_views(uniforms(3), AugmentConfig(crop=16)),
        samples.centre_views(AugmentConfig(crop=16)),
    ):
        assert views.streams["face"].shape == (3, 3, 16, 16)
        assert views.streams["body"].shape == (3, 3, 20, 20)


def test_views_larger_than_the_stored_faces_are_refused(tmp_path: Path) -> None:
    assert (view_size(134, CROP), view_size(112, CROP), view_size(112, ZOOM)) == (112, 112, 112)
    with pytest.raises(ConfigurationError, match="found views of 112 pixels, expected at most 100"):
        view_size(100, CROP)
    with pytest.raises(ConfigurationError, match=r"augment\.crop"):
        make_checkpoint(tmp_path / "a", recipe=small_recipe("augment.crop=17"))


def test_a_teacher_and_its_student_have_views_of_one_size(tmp_path: Path) -> None:
    make_store(tmp_path / "store")
    teacher = make_checkpoint(tmp_path / "teacher", recipe=small_recipe("augment.crop=12"))
    found = checkpoint.load(teacher)
    assert found.description.image_size == SIZE
    found.require_views(AugmentConfig(crop=12))
    for augment, side in (("augment.crop=13", 13), ("augment.flip=0.5", SIZE)):
        student = small_recipe("augment.views=2", augment)
        with pytest.raises(ConfigurationError, match=rf"takes views of 12 pixels of faces of 16, expected {side}"):
            compute_teacher_outputs([teacher], tmp_path / "store", tmp_path / "out", student)


def test_variants_of_features_are_views_of_the_cropped_size(tmp_path: Path) -> None:
    made = make_store(tmp_path / "store")
    recipe = small_recipe("augment.crop=12")
    trained = checkpoint.load(make_checkpoint(tmp_path / "cnn", recipe=recipe))
    source = ComputedFeatures(Store(made.path), trained.cnn(torch.device("cpu")), recipe)
    assert len(source.variants) == len(window_variants(12, AugmentConfig(zoom=16 / 12 + 1e-9)))
    assert len(window_variants(STORED, CROP)) == len(window_variants(VIEW, ZOOM)) == 22


def test_hashes_of_stored_outputs_stay_what_they_were() -> None:
    fields = {"store_hash": "", "kind": "cnn", "teachers": (), "outputs": {}, "groups": {}, "sets": ()}
    by = {
        crop: TeacherManifest(augment=AugmentConfig(views=2, crop=crop), precision="auto", blocks=[], **fields)
        for crop in (None, 8, 9)
    }
    assert "crop" not in by[None].settings()["augment"]
    assert len({manifest.hash() for manifest in by.values()}) == 3
    assert TeacherManifest.model_validate_json(by[8].model_dump_json()) == by[8]
