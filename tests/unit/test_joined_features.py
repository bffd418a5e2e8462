"""Temporal networks over the joined features of several CNNs, on a small generated store and without Ray."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import stores
import torch
from checkpoints import make_checkpoint, small_recipe
from learners import equal, weights
from paper import TASKS
from sharp import make_sharp_checkpoint
from stores import Made

from abaw_ray.blocks.computed import ComputedBlock
from abaw_ray.blocks.features import FeatureStore
from abaw_ray.blocks.reader import Store
from abaw_ray.blocks.teacher_outputs import TeacherOutputs
from abaw_ray.competition.predict_set import predict_set
from abaw_ray.config import Recipe, dump_recipe, parse_recipe_text
from abaw_ray.databases.schemas import split_column
from abaw_ray.errors import ConfigurationError
from abaw_ray.evaluation.evaluate import evaluate
from abaw_ray.inference import extract
from abaw_ray.inference.export.export import export_run
from abaw_ray.inference.features import ComputedFeatures, JoinedFeatures
from abaw_ray.inference.opening import open_model
from abaw_ray.inference.predict import predict_windows
from abaw_ray.inference.teach import compute_teacher_outputs
from abaw_ray.models import checkpoint
from abaw_ray.models.checkpoint import Checkpoint
from abaw_ray.models.frozen_cnns import inherited
from abaw_ray.spaces import Split
from abaw_ray.training.job import Job, features_in, inherit_settings
from abaw_ray.training.loop import EpochResult, train
from abaw_ray.training.stage import Stage
from abaw_ray.training.trainer import to_dict
from abaw_ray.world import World

CPU = torch.device("cpu")
WIDE, NARROW = 12, 5
SETTINGS = {
    "wide": ("model.backbone=test_efficientnet", f"model.head_features={WIDE}"),
    "narrow": (
        "model.backbone=test_resnet",
        f"model.head_features={NARROW}",
        "model.head=paper",
        "model.mean=[100, 110, 120]",
        "tasks.valence_arousal.form=plain",
        "tasks.expression.head=reversal",
    ),
}


def computed_here(jobs: Sequence[Any], out: Path, recorded: Any, worker: Any, arguments: Any, *_: Any) -> Any:
    """`compute_blocks` in this process."""
    made, blocks = worker(**arguments), []
    for job in jobs:
        (sha256,) = made({name: [value] for name, value in dataclasses.asdict(job).items()})["sha256"]
        blocks.append(
            ComputedBlock(path=job.path, num_rows=job.num_rows, num_variants=len(job.variants), sha256=sha256)
        )
    return blocks


def labels_in_runs(rng: np.random.Generator, count: int) -> dict[str, pa.Array]:
    """`stores.label_columns` of all tasks for every frame, the first half of a video to train on."""
    splits = np.where(np.arange(count) < count / 2, Split.TRAIN, Split.VALIDATION)
    vectors = {
        "expression": np.eye(TASKS["expression"])[rng.integers(0, TASKS["expression"], count)],
        "valence_arousal": rng.uniform(-1, 1, (count, TASKS["valence_arousal"])),
        "action_units": rng.integers(0, 2, (count, TASKS["action_units"])),
    }
    columns = {}
    for task, values in vectors.items():
        flat = pa.array(values.astype(np.float32).reshape(-1))
        columns[task] = pa.FixedSizeListArray.from_arrays(flat, TASKS[task])
        columns[split_column(task)] = pa.array(splits, pa.int8())
    return columns


@dataclasses.dataclass(frozen=True)
class Inputs:
    """A store, CNNs by name, and the features of each."""

    made: Made
    cnns: dict[str, Path]
    features: dict[str, Path]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    folder = tmp_path_factory.mktemp("inputs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stores, "label_columns", labels_in_runs)
        made = stores.make_store(folder / "store")
    cnns = {
        name: make_sharp_checkpoint(folder / name, recipe=small_recipe(*settings), seed=number)
        for number, (name, settings) in enumerate(SETTINGS.items())
    }
    features = {name: extracted(cnn, made.path, folder / f"{name}-features") for name, cnn in cnns.items()}
    return Inputs(made, cnns, features)


def extracted(cnn: Path, store: Path, out: Path, num_variants: int | None = None) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extract, "compute_blocks", computed_here)
        patch.setattr(torch, "set_num_threads", lambda _: None)
        extract.extract_features(cnn, store, out, num_variants)
    return out


def temporal_recipe(*overrides: str) -> Recipe:
    return small_recipe("temporal.window=2", "temporal.batch_size=2", "temporal.hidden=4", "train.epochs=1", *overrides)


def job_of(inputs: Inputs, names: Sequence[str], run: Path, *overrides: str, teachers: Sequence[Path] = ()) -> Job:
    features = tuple(str(inputs.features[name]) for name in names)
    job = Job(
        temporal_recipe(*overrides), str(inputs.made.path), str(run), tuple(map(str, teachers)), features=features
    )
    return inherit_settings(job)


def trained(job: Job, keep: Path) -> list[EpochResult]:
    """Trains; the checkpoint is `keep`."""
    results = []

    def report(result: EpochResult, folder: Path | None) -> None:
        results.append(result)
        if folder is not None:
            shutil.copytree(folder, keep)

    train(job, World(), report)
    return results


@pytest.fixture(scope="module")
def gru(inputs: Inputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a network over the features of the wide CNN and the narrow one, in this order."""
    folder = tmp_path_factory.mktemp("gru")
    trained(job_of(inputs, ["wide", "narrow"], folder / "run"), folder / "last")
    return folder / "last"


def test_features_lie_side_by_side_in_the_order_of_the_stores(inputs):
    store = Store(inputs.made.path)
    wide, narrow = (FeatureStore(inputs.features[name], store) for name in ("wide", "narrow"))
    rows = np.arange(8, 20).reshape(3, 4)
    chosen = np.full(3, wide.variants.centre)
    for sources in ((wide, narrow), (narrow, wide)):
        found = JoinedFeatures(sources).read(rows, chosen)
        assert set(found) == set(TASKS)
        for task in TASKS:
            assert found[task].shape == (3, 4, WIDE + NARROW)
            parts = [source.read(rows, chosen)[task] for source in sources]
            np.testing.assert_array_equal(found[task], np.concatenate(parts, axis=2))


def test_a_step_learns_from_every_cnn_in_the_same_variant(inputs, tmp_path):
    stage = Stage(job_of(inputs, ["narrow", "wide"], tmp_path), CPU)
    alone = [Stage(job_of(inputs, [name], tmp_path), CPU) for name in ("narrow", "wide")]
    batch, parts = stage.data.batch(0, 0, World()), [one.data.batch(0, 0, World()) for one in alone]
    for name, windows in batch.items():
        for task, features in windows.features.items():
            assert features.shape[1:] == (2, WIDE + NARROW)
            assert torch.equal(features, torch.cat([part[name].features[task] for part in parts], dim=2))


def test_a_trained_network_holds_every_cnn_and_changes_none(inputs, gru):
    found = checkpoint.load(gru)
    hashes = [checkpoint.load(inputs.cnns[name]).weights_sha256() for name in ("wide", "narrow")]
    assert found.description.cnn_sha256 == tuple(hashes)
    network: Any = found.network(CPU)
    faces = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 255
    for held, name in zip(network.cnns, ("wide", "narrow"), strict=True):
        own = checkpoint.load(inputs.cnns[name]).cnn(CPU)
        for task, logits in held(faces).items():
            torch.testing.assert_close(logits, own(faces)[task])
    assert network.heads["expression"].gru.input_size == WIDE + NARROW
    both = network.cnn.task_features(faces)["expression"]
    torch.testing.assert_close(both[:, WIDE:], network.cnns[1].task_features(faces)["expression"])


def test_a_recipe_comes_back_with_the_joined_cnns_and_one_without_is_dumped_as_before(inputs, gru):
    recipe = checkpoint.load(gru).recipe
    (joined,) = recipe.temporal.joined
    assert (joined.model.backbone, joined.outputs["valence_arousal"]) == ("test_resnet", 2)
    assert joined.heads == {"expression": "reversal"}
    assert parse_recipe_text(dump_recipe(recipe).encode(), "recipe") == recipe
    assert "joined" not in dump_recipe(temporal_recipe())
    assert recipe.backbones == ("test_efficientnet", "test_resnet")


def test_one_store_of_features_is_noted_as_it_always_was(inputs, tmp_path):
    job = job_of(inputs, ["wide"], tmp_path / "run")
    trained(job, tmp_path / "last")
    described = json.loads((tmp_path / "last" / "checkpoint.json").read_text())
    assert described["cnn_sha256"] == checkpoint.load(inputs.cnns["wide"]).weights_sha256()
    assert to_dict(job)["features"] == str(inputs.features["wide"])
    assert {name for name in weights(tmp_path / "last") if "cnns" in name} == set()
    assert "joined" not in (tmp_path / "last" / "recipe.yaml").read_text()
    several = to_dict(job_of(inputs, ["wide", "narrow"], tmp_path))
    assert several["features"] == [str(inputs.features[name]) for name in ("wide", "narrow")]
    for names in (["wide"], ["wide", "narrow"]):
        assert features_in(to_dict(job_of(inputs, names, tmp_path))) == tuple(str(inputs.features[n]) for n in names)
    assert features_in({"features": None}) == ()


def test_evaluation_from_images_is_that_from_all_stores(inputs, gru, tmp_path):
    given = {"images": [], "features": [inputs.features[name] for name in ("wide", "narrow")]}
    scores = [
        evaluate(gru, inputs.made.path, tmp_path / name, features=features)["scores"]["every_frame"]["all"]
        for name, features in given.items()
    ]
    assert scores[0]["criterion"] == pytest.approx(scores[1]["criterion"], abs=1e-4)
    described = checkpoint.load(gru).description.scores["every_frame"]["all"]
    assert scores[1]["criterion"] == pytest.approx(described["criterion"])


@pytest.mark.parametrize("names", [["narrow", "wide"], ["wide"], ["wide", "wide"], ["wide", "narrow", "narrow"]])
@pytest.mark.parametrize("verb", [evaluate, predict_set])
def test_features_of_other_cnns_or_in_another_order_are_refused_with_the_facts(inputs, gru, tmp_path, names, verb):
    hashes = {name: checkpoint.load(cnn).weights_sha256()[:12] for name, cnn in inputs.cnns.items()}
    features = [inputs.features[name] for name in names]
    found = ", ".join(f"{inputs.features[name]} of the CNN {hashes[name]}" for name in names)
    options = {"database": "b"} if verb is predict_set else {}
    with pytest.raises(ConfigurationError) as error:
        verb(gru, inputs.made.path, tmp_path / "out", Split.VALIDATION, features=features, **options)
    assert str(error.value) == (
        f"--features: found {found}; {gru} goes on from {hashes['wide']}, {hashes['narrow']}, expected features of 2 in"
        " this order"
    )


def test_a_network_of_one_cnn_takes_no_two(inputs, tmp_path):
    trained(job_of(inputs, ["wide"], tmp_path / "run"), tmp_path / "last")
    both = [inputs.features[name] for name in ("wide", "narrow")]
    with pytest.raises(ConfigurationError, match=r"goes on from \w{12}, expected features of 1$"):
        evaluate(tmp_path / "last", inputs.made.path, tmp_path / "out", features=both)


def changed(inputs: Inputs, folder: Path, *settings: str, tasks: Sequence[str] = tuple(TASKS)) -> Inputs:
    """With features of a third CNN, `other`, with settings of its own, which knows `tasks` alone."""
    cnn = make_checkpoint(folder / "cnn", recipe=small_recipe(*settings), seed=7)
    if len(tasks) < len(TASKS):
        whole = checkpoint.load(cnn)
        cnn = folder / "few"
        cnn.mkdir()
        spaces = tuple(space for space in whole.description.spaces if space.name in tasks)
        few = dataclasses.replace(whole, description=whole.description.model_copy(update={"spaces": spaces}))
        network = _without_heads(whole, tasks)
        checkpoint.save(cnn, network, torch.optim.Adam(network.parameters()), few.recipe, few.description)
    features = extracted(cnn, inputs.made.path, folder / "features")
    return dataclasses.replace(inputs, features=inputs.features | {"other": features})


def _without_heads(whole: Checkpoint, tasks: Sequence[str]) -> Any:
    network = whole.cnn(CPU)
    for task in [task for task in network.heads if task not in tasks]:
        del network.heads[task]
    return network


def test_cnns_of_other_views_are_refused(inputs, tmp_path):
    other = changed(inputs, tmp_path, "augment.zoom=1.5")
    job = job_of(other, ["wide", "other"], tmp_path)
    with pytest.raises(ConfigurationError, match=r"views with augment\.zoom=1\.5, .*; expected augment\.zoom=1\.2, .*"):
        Stage(job, CPU)


def test_a_cnn_that_lacks_a_task_of_the_first_is_refused_and_one_with_more_is_not(inputs, tmp_path):
    other = changed(inputs, tmp_path, tasks=["expression"])
    with pytest.raises(ConfigurationError, match=r"found a CNN of expression, expected .*valence_arousal"):
        Stage(job_of(other, ["wide", "other"], tmp_path), CPU)
    job = job_of(other, ["other", "narrow"], tmp_path / "run")
    trained(job, tmp_path / "last")
    assert checkpoint.load(tmp_path / "last").description.tasks == ("expression",)
    assert evaluate(tmp_path / "last", inputs.made.path, tmp_path / "out")["num_frames"] > 0


def test_all_variants_and_the_evaluation_view_alone_are_not_joined(inputs, tmp_path):
    one = extracted(inputs.cnns["narrow"], inputs.made.path, tmp_path / "one", num_variants=1)
    other = dataclasses.replace(inputs, features=inputs.features | {"one": one})
    with pytest.raises(ConfigurationError, match=r"all variants of .* in \S*wide-features, the evaluation view"):
        Stage(job_of(other, ["wide", "one"], tmp_path), CPU)
    trained(job_of(other, ["one", "one"], tmp_path / "run"), tmp_path / "last")


def test_settings_of_another_number_of_cnns_are_refused(inputs, tmp_path):
    job = job_of(inputs, ["wide", "narrow"], tmp_path)
    with pytest.raises(ConfigurationError, match=r"temporal\.joined must be of"):
        Stage(dataclasses.replace(job, recipe=inherited([checkpoint.load(inputs.cnns["wide"])], job.recipe)), CPU)


def test_a_student_learns_from_a_teacher_of_the_same_cnns_alone(inputs, gru, tmp_path):
    student = job_of(inputs, ["wide", "narrow"], tmp_path / "run", teachers=[gru])
    (result,) = trained(student, tmp_path / "student")
    assert np.isfinite(result.losses["total"])
    reordered = job_of(inputs, ["narrow", "wide"], tmp_path / "run", teachers=[gru])
    with pytest.raises(ConfigurationError, match="of another CNN than the student's"):
        Stage(reordered, CPU).teacher(CPU)


def test_a_teacher_says_of_frames_what_it_says_of_the_stores_windows(inputs, gru, tmp_path):
    compute_teacher_outputs([gru], inputs.made.path, tmp_path / "outputs", temporal_recipe())
    store, found = Store(inputs.made.path), checkpoint.load(gru)
    rows = np.arange(8, 20)  # of one video
    source = JoinedFeatures([FeatureStore(inputs.features[name], store) for name in ("wide", "narrow")])
    network: Any = found.network(CPU)
    tasks, windows = found.tasks(found.recipe), rows.reshape(6, 2)
    expected = predict_windows(network, tasks, source, windows, found.recipe, World(), decoded=False)
    read = TeacherOutputs(tmp_path / "outputs", store).read(rows, np.zeros(len(rows), np.int64))
    for task in TASKS:
        np.testing.assert_allclose(read[task], expected[task].reshape(12, -1), atol=1e-4)


def test_faces_are_predicted_and_exported(inputs, gru, tmp_path):
    """As a window of the store is in evaluation."""
    model, store, rows = open_model(gru), Store(inputs.made.path), np.arange(8, 10)
    faces = store.images(rows)
    found = model.predict(faces)
    source = JoinedFeatures([FeatureStore(inputs.features[name], store) for name in ("wide", "narrow")])
    trained_gru = checkpoint.load(gru)
    tasks = trained_gru.tasks(trained_gru.recipe)
    network: Any = trained_gru.network(CPU)
    expected = predict_windows(network, tasks, source, rows[None], trained_gru.recipe, World())
    np.testing.assert_allclose(found["valence_arousal"], expected["valence_arousal"][0], atol=1e-4)
    export_run(gru, tmp_path / "model.onnx", "onnx")
    exported = open_model(tmp_path / "model.onnx")
    for length in (1, 2):
        of_file, of_run = exported.predict(faces[:length]), model.predict(faces[:length])
        for name, values in of_run.items():
            np.testing.assert_allclose(of_file[name], values, atol=1e-4, err_msg=name)


def test_an_entry_is_that_of_either_way(inputs, gru, tmp_path):
    for name, features in (("images", []), ("stores", [inputs.features["wide"], inputs.features["narrow"]])):
        predict_set(gru, inputs.made.path, tmp_path / name, Split.VALIDATION, "b", features=features)
    files = sorted(path.relative_to(tmp_path / "images") for path in (tmp_path / "images").rglob("*.txt"))
    assert files
    for file in files:
        one, other = (
            np.loadtxt(tmp_path / name / file, delimiter=",", skiprows=1, ndmin=1) for name in ("images", "stores")
        )
        # thresholds are fitted to predictions: by how numbers are rounded, the frame at each may have either answer
        assert one.shape == other.shape
        assert ((np.abs(one - other) > 2e-4).sum(0) <= 1).all()


def test_computed_features_of_several_cnns_are_those_of_the_stores(inputs, gru):
    store, found = Store(inputs.made.path), checkpoint.load(gru)
    network: Any = found.network(CPU)
    computed = ComputedFeatures(store, network.cnn, found.recipe)
    stores = JoinedFeatures([FeatureStore(inputs.features[name], store) for name in ("wide", "narrow")])
    rows, chosen = np.arange(8, 16).reshape(4, 2), np.full(4, stores.variants.centre)
    expected, read = computed.read(rows, chosen), stores.read(rows, chosen)
    assert equal(sorted(expected), sorted(read))
    for task in TASKS:
        np.testing.assert_allclose(read[task], expected[task], atol=1e-4)
