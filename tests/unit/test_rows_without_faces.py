"""Rows without a face, with samples of other streams alone, of generated pictures: the store, training, evaluation."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from learners import last_checkpoint
from serial import prepare_here, workers_here

from abaw_ray.blocks.features import FeatureStore
from abaw_ray.blocks.pictures import pictures
from abaw_ray.blocks.reader import Store
from abaw_ray.blocks.teacher_outputs import TeacherOutputs
from abaw_ray.config import PrepareConfig, Recipe, load_recipe
from abaw_ray.databases.base import Database, LabelTable, Options, Problems, RowBuilder, SetMember
from abaw_ray.databases.reading.inspection import inspect_table
from abaw_ray.databases.reading.parsing import videos_table
from abaw_ray.errors import ConfigurationError, MissingInputError, StoreError
from abaw_ray.evaluation.evaluate import evaluate
from abaw_ray.evaluation.frames import evaluation_frames, gap_free
from abaw_ray.inference.extract import extract_features
from abaw_ray.inference.label import label_store
from abaw_ray.inference.store_predictions import predict_stored, predictable_rows
from abaw_ray.inference.teach import compute_teacher_outputs
from abaw_ray.models import checkpoint
from abaw_ray.preprocess.plan import Source as ReadDatabase
from abaw_ray.spaces import LabelSpace, Split
from abaw_ray.streams.base import FACE, Source, Stream
from abaw_ray.training.data import TrainingData
from abaw_ray.training.job import Job
from abaw_ray.training.stage import Stage
from abaw_ray.world import World

SIZE, NUM_FRAMES = 32, 12
CONFIG = PrepareConfig(image_size=SIZE, block_rows=4)
TINT = LabelSpace(name="tint", kind="multiclass", names=("red", "green", "blue"))
BODY = Stream(name="body", kind="image", size=SIZE, encoding="jpeg", crop="box")
SCENE = Stream(name="scene", kind="image", size=24, encoding="raw")
UNREADABLE = "gone.png"
LEARNING = [
    "model.backbone=test_convnext",
    "model.head=paper",
    "model.head_dropout=0",
    "sampling.batch_size=12",
    "sampling.steps_per_epoch=12",
    "train.epochs=1",
    "train.precision=float32",
    "train.learning_rate=0.003",
]
OF_BODIES = "model.encoders={body: {kind: image_cnn, backbone: test_convnext}}"


def split_of(number: int) -> Split:
    return Split.VALIDATION if number >= 6 else Split.TRAIN


def draw(root: Path, name: str, tint: int) -> str:
    """A picture of one colour, with noise that differs from file to file."""
    rng = np.random.default_rng(len(list(root.iterdir())))
    picture = rng.integers(0, 60, (SIZE, SIZE, 3), np.uint8)
    picture[..., 2 - tint] += 150
    cv2.imwrite(str(root / name), picture)
    return name


def persons(root: Path) -> ReadDatabase:
    """Photos of two persons each, none with a face; one of them without anything that can be read."""
    rows, streams = RowBuilder((TINT,), (BODY, SCENE)), (BODY, SCENE)
    for number in range(9):
        path = draw(root, f"p{number}.png", number % 3)
        for person in range(2):
            place = UNREADABLE if (number, person) == (4, 1) else path
            sources = {"body": Source(place, (0, 0, 16, 32))}
            if number % 2 == 0 and place == path:
                sources["scene"] = Source(path)
            rows.add(
                f"p{number}", person, None, {"tint": (TINT.one_hot(number % 3), split_of(number))}, sources=sources
            )
    sets = (SetMember("tints", ("tint",)),)
    table = LabelTable((TINT,), rows.table(), Problems(), streams=streams)
    return ReadDatabase(
        Database("persons", "", "", Options, lambda *_: table, "box", lambda _: sets), root, Options(), table
    )


def photos(root: Path, with_faces: bool = True) -> ReadDatabase:
    """Photos with a face, but of every other one without it when they are to be mixed, and with a body."""
    rows = RowBuilder((TINT,), (BODY,))
    for number in range(9):
        path = draw(root, f"f{number}.png", number % 3)
        has_face = with_faces or number % 2 == 0
        labels = {"tint": (TINT.one_hot(number % 3), split_of(number))}
        rows.add(path, 0, path if has_face else None, labels, sources={"body": Source(path, (0, 0, 16, 32))})
    sets = (SetMember("tints", ("tint",)),)
    table = LabelTable((TINT,), rows.table(), Problems(), streams=(BODY,))
    return ReadDatabase(
        Database("photos", "", "", Options, lambda *_: table, "whole", lambda _: sets), root, Options(), table
    )


def talks(root: Path) -> ReadDatabase:
    """Videos in which every third frame has no face and a body, and one frame a face that cannot be read."""
    rows = RowBuilder((TINT,), (BODY,))
    for number in range(3):
        for frame in range(NUM_FRAMES):
            path = draw(root, f"v{number}-{frame}.png", number)
            image: str | None = path if frame % 3 else None
            if (number, frame) == (1, 4):
                image = UNREADABLE
            labels = {"tint": (TINT.one_hot(number), split_of(3 * number))}
            rows.add(f"v{number}", frame, image, labels, sources={"body": Source(path, (0, 0, 16, 32))})
    table = rows.table()
    videos = videos_table({f"v{n}": NUM_FRAMES for n in range(3)}, table, rows.unseen())
    found = LabelTable((TINT,), table, Problems(), rows.unseen(), videos, streams=(BODY,))
    database = Database("talks", "", "", Options, lambda *_: found, "whole", lambda _: (), sequential=True)
    return ReadDatabase(database, root, Options(), found)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Persons without faces, photos of which some have one, and videos of both."""
    root, folder = tmp_path_factory.mktemp("pictures"), tmp_path_factory.mktemp("prepared") / "store"
    prepare_here(CONFIG, folder, [persons(root), photos(root, with_faces=False), talks(root)])
    return Store(folder)


def rows_of(store: Store, database: str) -> np.ndarray:
    return np.flatnonzero(store.index.database == store.databases.index(database))


def tint_of(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1, 3).mean(1).argmax(1)


# The store


def test_rows_without_a_face_are_stored_with_what_they_have(store: Store) -> None:
    of_persons = rows_of(store, "persons")
    assert len(of_persons) == 17
    (entry,) = (entry for entry in store.manifest.databases if entry.name == "persons")
    assert {reason: p.count for reason, p in entry.problems.items()} == {"row_without_a_sample": 1}
    assert not store.index.has_face[of_persons].any()
    faces, has_face = store.samples(FACE, of_persons)
    assert not has_face.any()
    assert not faces.any(), "zeros, and masked"
    bodies, has_body = store.samples("body", of_persons)
    assert has_body.all()
    truth = store.labels("tint").of(of_persons)[0].argmax(1)
    np.testing.assert_array_equal(tint_of(bodies), truth)
    _, has_scene = store.samples("scene", of_persons)
    numbers = np.array([int(name[1:]) for name in store.index.video(of_persons)])
    np.testing.assert_array_equal(has_scene, numbers % 2 == 0)
    np.testing.assert_array_equal(tint_of(pictures(store, of_persons)), truth)


def test_faces_are_those_of_their_rows_where_only_some_have_one(store: Store) -> None:
    for database in ("photos", "talks"):
        rows = rows_of(store, database)[::-1]
        faces, has_face = store.samples(FACE, rows)
        truth = store.labels("tint").of(rows)[0].argmax(1)
        np.testing.assert_array_equal(tint_of(faces[has_face]), truth[has_face])
        frames = store.index.frame[rows]
        names = np.array([int(name.strip("fv.png")) for name in store.index.video(rows)])
        np.testing.assert_array_equal(has_face, frames % 3 != 0 if database == "talks" else names % 2 == 0)
        np.testing.assert_array_equal(store.has_any([FACE])[rows], has_face)
        assert store.has_any([FACE, "body"])[rows].all()
    frames = list(
        zip(store.index.video(rows_of(store, "talks")), store.index.frame[rows_of(store, "talks")], strict=True)
    )
    assert ("v1", 4) not in frames, "a face that there is and cannot be read is left out with its row"
    assert len(store.unseen) == 1


def test_blocks_are_parts_of_the_index_whatever_their_rows_have(store: Store) -> None:
    parts = [store.index.rows_of_block(block) for block in range(len(store.manifest.blocks))]
    np.testing.assert_array_equal(
        np.concatenate([np.arange(p.start, p.stop) for p in parts]), np.arange(len(store.index))
    )
    num_faces = [entry.num_rows for entry in store.manifest.blocks]
    assert num_faces == [int(store.index.has_face[part].sum()) for part in parts]
    assert 0 in num_faces
    assert any(0 < n < part.stop - part.start for n, part in zip(num_faces, parts, strict=True))
    store.verify()


def test_a_manifest_and_an_inspection_count_faces(store: Store, tmp_path: Path) -> None:
    from rich.console import Console

    console = Console(width=200, record=True)
    console.print(store.manifest.render())
    num_faces, num_rows = int(store.index.has_face.sum()), len(store.index)
    assert f"stream face: {num_faces} of {num_rows} rows have it" in console.export_text()
    read = persons(tmp_path)
    found = inspect_table(read.database, tmp_path, read.table)
    assert (found.num_rows, found.num_faces, found.num_images) == (18, 0, 10)
    assert "stream face: 0 rows have it" in found.render().splitlines()


def test_a_store_with_all_faces_is_the_same_whether_rows_may_lack_one(tmp_path: Path) -> None:
    manifest = prepare_here(CONFIG, tmp_path / "store", [photos(tmp_path)])
    store = Store(tmp_path / "store")
    assert store.index.has_face.all()
    assert store.index.row.tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0]
    assert [entry.num_rows for entry in manifest.blocks] == [4, 4, 1]


def test_a_database_of_which_nothing_can_be_read_is_refused(tmp_path: Path) -> None:
    read = persons(tmp_path)
    for file in tmp_path.glob("*.png"):
        file.unlink()
    with pytest.raises(MissingInputError, match=r"no image could be read; row_without_a_sample 18 .*missing_image 27"):
        prepare_here(CONFIG, tmp_path / "store", [read])


# Evaluation


def test_a_network_of_faces_is_scored_on_the_photos_that_have_one(store: Store) -> None:
    every = evaluation_frames(store, ["tint"], Split.VALIDATION, ["persons", "photos"])
    assert (len(every), every.num_left_out) == (9, 0)
    faces = evaluation_frames(store, ["tint"], Split.VALIDATION, ["persons", "photos"], store.has_any([FACE]))
    assert (len(faces), faces.num_left_out) == (2, 7)
    assert store.index.has_face[faces.row].all()
    with pytest.raises(StoreError, match="none of 6 rows with validation labels of tint has what the network takes"):
        evaluation_frames(store, ["tint"], Split.VALIDATION, ["persons"], store.has_any([FACE]))


def test_a_frame_without_a_face_counts_with_the_last_face_before_it(store: Store) -> None:
    frames = evaluation_frames(store, ["tint"], Split.VALIDATION, ["talks"], store.has_any([FACE]))
    assert len(frames) == NUM_FRAMES
    np.testing.assert_array_equal(frames.seen, np.arange(NUM_FRAMES) % 3 != 0)
    shown = store.index.frame[frames.row]
    assert shown.tolist() == [1, 1, 2, 2, 4, 5, 5, 7, 8, 8, 10, 11]
    assert np.isfinite(frames.labels(store, "tint", Split.VALIDATION)).all(), "every frame has its own label"
    bodies = evaluation_frames(store, ["tint"], Split.VALIDATION, ["talks"], store.has_any(["body"]))
    assert bodies.seen.all()


def test_a_frame_without_a_face_is_a_gap_of_windows(store: Store) -> None:
    windows = gap_free(store, "tint", Split.TRAIN, 2, 2, ["talks"])
    assert len(windows)
    assert store.index.has_face[windows].all()
    assert (np.diff(store.index.frame[windows]) == 1).all()


# Training


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return load_recipe(None, [*LEARNING, "temporal.databases=[talks]", "temporal.window=2", "temporal.batch_size=4"])


@pytest.fixture(scope="module")
def of_bodies(store: Store, recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained network of bodies."""
    bodies = load_recipe(None, [OF_BODIES], base=recipe)
    return last_checkpoint(Job(bodies, str(store.path), str(tmp_path_factory.mktemp("bodies"))))


@pytest.fixture(scope="module")
def of_faces(store: Store, recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained network of faces."""
    return last_checkpoint(Job(recipe, str(store.path), str(tmp_path_factory.mktemp("faces"))))


def test_batches_have_rows_that_every_network_has_a_stream_of(store: Store, recipe: Recipe) -> None:
    faces = TrainingData(store, recipe)
    assert faces.num_without_streams == {"tints": 11 + 3}
    bodies = TrainingData(store, recipe, streams=["body", FACE])
    assert bodies.num_without_streams == {"tints": 0}
    assert bodies.lacking == {"body": 0, FACE: 14}
    ((name, batch),) = bodies.batch(0, 0, World()).items()
    present = batch.samples.present
    assert present["body"].all()
    assert 0 < present[FACE].sum() < len(present[FACE])
    assert name == "tints"


def test_a_store_without_a_row_for_the_network_is_refused(store: Store, recipe: Recipe) -> None:
    with pytest.raises(StoreError, match="no rows in any training set, with what the networks take: face, scene"):
        TrainingData(store, recipe, streams=[FACE, "scene"], takers=[["scene"], [FACE]])


def test_what_is_left_out_of_training_and_evaluation_is_said(
    store: Store, recipe: Recipe, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        Stage(Job(recipe, str(store.path), str(tmp_path)), World().device).check(1)
    assert "tints: 14 rows have nothing of what the networks take (face)" in caplog.text
    assert "of 21 photos with validation labels have none of what the networks take (face); left out" in caplog.text


def test_bodies_are_learned_from_rows_without_faces(store: Store, of_bodies: Path, tmp_path: Path) -> None:
    found = evaluate(of_bodies, store.path, tmp_path)
    assert found["num_frames"] == 9 + NUM_FRAMES
    assert found["scores"]["every_frame"]["persons"]["tint"]["accuracy"] > 0.8


def test_an_ensemble_is_scored_where_each_member_has_something(
    store: Store, of_bodies: Path, of_faces: Path, tmp_path: Path
) -> None:
    found = evaluate([str(of_bodies), str(of_faces)], store.path, tmp_path)
    assert found["num_frames"] == 2 + NUM_FRAMES
    assert set(found["scores"]["every_frame"]) == {"photos", "talks", "all"}


def test_predictions_are_of_rows_that_the_network_has_a_stream_of(
    store: Store, of_faces: Path, of_bodies: Path
) -> None:
    network = checkpoint.load(of_faces)
    rows = predictable_rows(network, store, network.recipe)
    np.testing.assert_array_equal(rows, np.flatnonzero(store.index.has_face))
    assert len(predict_stored(of_faces, store.path, rows, network.recipe)["tint"]) == len(rows)
    bodies = checkpoint.load(of_bodies)
    assert len(predictable_rows(bodies, store, bodies.recipe)) == len(store.index)


def test_temporal_networks_go_over_the_faces_of_a_video(
    store: Store, of_faces: Path, recipe: Recipe, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    job = Job(recipe, str(store.path), str(tmp_path), cnn=str(of_faces))
    with caplog.at_level(logging.WARNING):
        Stage(job, World().device).check(1)
    assert "tint_windows: 8 rows have nothing of what the networks take (face)" in caplog.text
    temporal = last_checkpoint(job)
    found = evaluate(temporal, store.path, tmp_path / "scores")
    assert (found["num_frames"], found["num_frames_without_face"]) == (NUM_FRAMES, 4)
    network = checkpoint.load(temporal)
    rows = predictable_rows(network, store, network.recipe)
    assert store.index.has_face[rows].all()
    assert len(predict_stored(temporal, store.path, rows, network.recipe)["tint"]) == len(rows)


def test_a_student_learns_where_its_teacher_has_a_stream_too(
    store: Store, of_faces: Path, recipe: Recipe, tmp_path: Path
) -> None:
    student = load_recipe(None, [OF_BODIES], base=recipe)
    stage = Stage(Job(student, str(store.path), str(tmp_path), (str(of_faces),)), World().device)
    assert stage.data.num_without_streams == {"tints": 14}
    last_checkpoint(Job(student, str(store.path), str(tmp_path), (str(of_faces),)))
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert all(np.isfinite(line["losses"]["total"]) for line in lines if "losses" in line)


def test_outputs_of_a_teacher_are_of_rows_that_it_has_a_stream_of(
    store: Store, of_faces: Path, recipe: Recipe, tmp_path: Path
) -> None:
    """Asked in every step or beforehand, the teacher says the same."""
    student = load_recipe(None, [OF_BODIES, "augment.views=2"], base=recipe)
    with workers_here():
        compute_teacher_outputs([of_faces], store.path, tmp_path / "outputs", student)
    outputs = TeacherOutputs(tmp_path / "outputs", store)
    rows = np.intersect1d(store.sets["tints"].rows, rows_of(store, "photos"))
    said = outputs.read(rows, np.ones(len(rows), np.int64))["tint"]
    np.testing.assert_array_equal(np.isfinite(said).all(1), store.index.has_face[rows])
    losses = []
    for name, path in (("asked", None), ("stored", str(tmp_path / "outputs"))):
        last_checkpoint(Job(student, str(store.path), str(tmp_path / name), (str(of_faces),), teacher_outputs=path))
        lines = [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        losses.append([line["losses"]["total"] for line in lines if "losses" in line])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


def test_features_are_of_frames_with_a_face(store: Store, of_faces: Path, recipe: Recipe, tmp_path: Path) -> None:
    with workers_here():
        extract_features(
            of_faces,
            store.path,
            tmp_path / "features",
            change=lambda own: own.model_copy(update={"temporal": recipe.temporal}),
        )
    features = FeatureStore(tmp_path / "features", store)
    rows = rows_of(store, "talks")
    found = features.read(rows[:, None], np.full(len(rows), features.variants.centre))["tint"]
    np.testing.assert_array_equal(np.isfinite(found).all((1, 2)), store.index.has_face[rows])
    job = Job(recipe, str(store.path), str(tmp_path / "run"), features=(str(tmp_path / "features"),))
    Stage(job, World().device).check(1)


def test_labels_of_a_run_are_of_rows_that_it_has_a_stream_of(store: Store, of_faces: Path, tmp_path: Path) -> None:
    copy = tmp_path / "store"
    shutil.copytree(store.path, copy)
    with workers_here():
        label_store(copy, of_faces, "faces")
    machine = Store(copy).label_sets["tint", "faces"]
    labelled = np.concatenate([machine.rows_with(split) for split in (Split.TRAIN, Split.VALIDATION)])
    np.testing.assert_array_equal(np.sort(labelled), np.flatnonzero(store.index.has_face))


def test_faces_are_not_matched_where_there_are_none(store: Store, recipe: Recipe, tmp_path: Path) -> None:
    mixed = load_recipe(
        None,
        [
            "model.encoders={face: {kind: image_cnn, backbone: test_convnext},"
            " body: {kind: image_cnn, backbone: test_convnext}}",
            "objectives={joint_matching: {image_size: 16}}",
        ],
        base=recipe,
    )
    with pytest.raises(ConfigurationError, match="14 training rows have no face, and faces are matched"):
        Stage(Job(mixed, str(store.path), str(tmp_path)), World().device).check(1)
