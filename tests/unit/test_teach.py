"""A worker that computes a teacher's outputs, without Ray."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoints import make_checkpoint, small_recipe
from stores import make_store

from abaw_ray.augmentation import fixed_uniforms, random_views
from abaw_ray.blocks.teacher_outputs import TeacherManifest
from abaw_ray.config import AugmentConfig
from abaw_ray.errors import ConfigurationError
from abaw_ray.inference.teach import DEFAULT_VIEWS, TeachingWorker, with_views
from abaw_ray.models import checkpoint


@pytest.mark.parametrize("encoding", ["raw", "jpeg"])
def test_images_are_read_once_for_all_views(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)  # the tests' own process keeps its threads
    made, teacher = make_store(tmp_path / "store", encoding), make_checkpoint(tmp_path / "teacher")
    recipe = small_recipe("augment.views=3", "train.evaluation_batch_size=4")
    worker = TeachingWorker(str(made.path), tmp_path / "out", [str(teacher)], ("mixed_va", "mixed_expr"), recipe)
    read: Counter[int] = Counter()
    images = worker.store.images
    monkeypatch.setattr(worker.store, "images", lambda rows: (read.update(rows.tolist()), images(rows))[1])
    columns = worker.columns(np.arange(7), [0, 1, 2])
    assert read == dict.fromkeys([0, 1, 4, 5, 6], 1)
    network = checkpoint.load(teacher).cnn(torch.device("cpu"))
    rows = np.array([0, 1, 4, 5])  # the first batch
    for view in range(3):
        uniforms = torch.from_numpy(
            fixed_uniforms(worker.store.image_ids(rows), np.full(4, view), recipe.augment.views_seed)
        )
        views = random_views(torch.from_numpy(images(rows)), uniforms, recipe.augment)
        with torch.inference_mode():
            expected = network(views.contiguous(memory_format=torch.channels_last))
        for task, logits in expected.items():
            found = columns[task].reshape(7, 3, -1)[rows, view]
            np.testing.assert_array_equal(found, logits.numpy())
    assert all(np.isnan(values[[2, 3]]).all() for values in columns.values())


def test_outputs_are_kept_for_crops_and_flips_alone() -> None:
    assert with_views(small_recipe()).augment.views == DEFAULT_VIEWS
    with pytest.raises(ConfigurationError, match=r"augment: blur, mixup: found a probability > 0 with a"):
        with_views(small_recipe("augment.blur.probability=0.5", "augment.mixup.probability=0.5"))


def test_a_manifest_names_what_it_named_before() -> None:
    """Its hash is that of folders written when there was nothing but zoom, crop and flip."""
    manifest = TeacherManifest(
        store_hash="s",
        kind="cnn",
        teachers=("t",),
        outputs={"a": 3},
        groups={},
        sets=("b",),
        augment=AugmentConfig(views=2),
        precision="float32",
        blocks=[],
    )
    assert set(manifest.model_dump(mode="json")["augment"]) == {"zoom", "flip", "views", "views_seed"}
    assert TeacherManifest.model_validate_json(manifest.model_dump_json()) == manifest
