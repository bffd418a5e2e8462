"""The main method with people in scenes as one more database, by the commands that users type. All data are generated
(synthetic)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from test_command import results

from abaw_ray.blocks.reader import Store
from abaw_ray.config import Recipe, dump_recipe
from abaw_ray.databases.emotic import EMOTIONS, VALENCE_AROUSAL_DOMINANCE
from abaw_ray.databases.reading.spaces import EXPRESSION, VALENCE_AROUSAL
from abaw_ray.models import checkpoint
from abaw_ray.paper.steps import DATABASES
from abaw_ray.spaces import Split
from abaw_ray.streams.base import FACE
from abaw_ray.synthetic.layouts.emotic import FACES, NAME, generate_people

COUNTS = {"train": 30, "val": 10, "test": 2}
TO_VALENCE_AROUSAL = "{valence_arousal: {source: valence_arousal_dominance, names: [valence, arousal]}}"
ENCODERS = ", ".join(f"{name}: {{kind: image_cnn, backbone: test_convnext}}" for name in (FACE, "body", "scene"))
OF_PEOPLE = "emotions_in_context"
SETS = ["mixed_expr", "mixed_va", OF_PEOPLE]


@pytest.mark.slow
def test_people_in_scenes_teach_a_student_of_faces(databases: Path, recipe: Recipe, tmp_path: Path) -> None:
    generate_people(tmp_path / "people", 0, COUNTS, faces=True)
    roots = {name: databases / name for name in DATABASES} | {NAME: tmp_path / "people" / NAME}
    given = [word for name, root in roots.items() for word in ("--database", f"{name}={root}")]
    (tmp_path / "small.yaml").write_text(dump_recipe(recipe))
    options = [f"faces={FACES}", "body_size=32", "scene_size=32"]
    settings = [f"prepare.databases.{NAME}.{option}" for option in options]
    settings.append(f"prepare.label_maps={TO_VALENCE_AROUSAL}")
    of_store = [word for setting in settings for word in ("--set", setting)]
    common = ["--recipe", tmp_path / "small.yaml"]
    made = results("prepare", tmp_path / "store", *given, *common, *of_store)
    assert made["num_images"] > 0

    store = Store(tmp_path / "store")
    own = store.index.database == store.databases.index(NAME)
    has_face = store.has_any([FACE])
    assert has_face[~own].all()
    assert has_face[own].sum() == own.sum() - 1, "all but one of the flawed"
    values, splits = store.labels(VALENCE_AROUSAL_DOMINANCE.name).of(np.flatnonzero(own))
    mapped, of_mapped = store.labels(VALENCE_AROUSAL.name).of(np.flatnonzero(own))
    np.testing.assert_allclose(mapped, (values[:, :2] - 5.5) / 4.5, atol=1e-6)
    np.testing.assert_array_equal(of_mapped, splits)
    in_sets = {entry.name: entry.num_rows for entry in store.manifest.sets}
    assert in_sets["mixed_va"][NAME] == in_sets[OF_PEOPLE][NAME] == (splits == Split.TRAIN).sum()
    assert len(in_sets["mixed_va"]) > 1, "beside other databases"

    training = ["--store", store.path, *common, "--set", f"sampling.sets=[{', '.join(SETS)}]"]
    streams = ["--set", f"model.encoders={{{ENCODERS}}}"]
    results("train", *training, *streams, "--out", tmp_path / "teacher")
    student = results("distill", *training, "--teacher", tmp_path / "teacher", "--out", tmp_path / "student")
    assert student["teachers"] == [str(tmp_path / "teacher")]
    assert set(checkpoint.load(tmp_path / "teacher").description.streams) >= {"body", "scene"}
    described = checkpoint.load(tmp_path / "student").description
    assert not {"body", "scene"} & set(described.streams), "the student sees faces alone"
    assert set(described.tasks) >= {
        EMOTIONS.name,
        VALENCE_AROUSAL_DOMINANCE.name,
        VALENCE_AROUSAL.name,
        EXPRESSION.name,
    }
    for run, learns in (("teacher", False), ("student", True)):
        lines = [json.loads(line) for line in (tmp_path / run / "metrics.jsonl").read_text().splitlines()]
        losses = lines[-1]["losses"]
        of_people = {name for name in losses if name.endswith(f"/{OF_PEOPLE}")}
        assert {f"{name}/{OF_PEOPLE}" for name in (EMOTIONS.name, VALENCE_AROUSAL_DOMINANCE.name)} <= of_people
        assert (f"{EXPRESSION.name}/{OF_PEOPLE}" in of_people) == learns, "people have soft labels alone of it"

    found = results("evaluate", tmp_path / "student", "--store", store.path, "--out", tmp_path / "scores")
    of_database = found["scores"]["every_frame"][NAME]
    assert set(of_database) >= {EMOTIONS.name, VALENCE_AROUSAL_DOMINANCE.name, VALENCE_AROUSAL.name}
    assert len(found["scores"]["every_frame"]) > 2, "other databases, too"
    results("report", tmp_path / "student", tmp_path / "teacher", "--out", tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert NAME in text
    assert "Synthetic data" in text
