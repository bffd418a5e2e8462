"""A run as a file predicts what the run predicts, and a run what evaluation predicts."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from checkpoints import make_checkpoint, small_recipe
from hypothesis import given
from hypothesis import strategies as st
from sharp import make_sharp_checkpoint
from stores import SIZE, Made, make_store

from abaw_ray.augmentation import centre_views
from abaw_ray.blocks.reader import Store
from abaw_ray.config import AugmentConfig
from abaw_ray.errors import ConfigurationError, MissingInputError, StoreError
from abaw_ray.evaluation.decisions import ValidationDecisions
from abaw_ray.inference.export import export as exporting
from abaw_ray.inference.export import parity
from abaw_ray.inference.export.export import Exported, export_run
from abaw_ray.inference.export.parity import random_faces
from abaw_ray.inference.export.view import CentreView
from abaw_ray.inference.exported import ExportNote, Precision
from abaw_ray.inference.features import ComputedFeatures
from abaw_ray.inference.model_info import Model
from abaw_ray.inference.opening import open_model
from abaw_ray.inference.predict import predict_rows, predict_windows
from abaw_ray.inference.run_model import RunModel, at_temperature
from abaw_ray.inference.torch_model import TENSORS
from abaw_ray.models import checkpoint
from abaw_ray.world import World

CLOSE = 1e-4
WINDOW = 4
DECISIONS = {
    "expression": {"temperature": [2.0]},
    "valence_arousal": {"error_scale": [0.5, 3.0]},
    "action_units": {"thresholds": [0.2] * 12, "temperature": [1.5]},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_store(tmp_path_factory.mktemp("store") / "store")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Kind of network -> its checkpoint."""
    folder = tmp_path_factory.mktemp("runs")
    described = {"decisions": DECISIONS}
    streams = small_recipe("model.encoders={face: image_cnn}")
    return {
        "cnn": make_sharp_checkpoint(folder / "cnn", described),
        "temporal": make_sharp_checkpoint(folder / "temporal", described, kind="temporal"),
        "streams": make_sharp_checkpoint(folder / "streams", described, kind="streams", recipe=streams),
    }


@pytest.fixture(scope="module")
def files(runs: dict[str, Path], made: Made, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Exported]:
    """Name -> export."""
    folder = tmp_path_factory.mktemp("files")
    return {
        "cnn.onnx": export_run(runs["cnn"], folder / "cnn.onnx", "onnx", made.path, num_faces=10),
        "cnn.pt2": export_run(runs["cnn"], folder / "cnn.pt2", "torch"),
        "temporal.onnx": export_run(runs["temporal"], folder / "temporal.onnx", "onnx"),
        "temporal.pt2": export_run(runs["temporal"], folder / "temporal.pt2", "torch"),
    }


def assert_same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert list(found) == list(expected)
    for name, values in expected.items():
        assert found[name].dtype == np.float32
        np.testing.assert_allclose(found[name], values, atol=CLOSE, err_msg=name)


class TestRun:
    def test_it_predicts_what_evaluation_predicts(self, runs: dict[str, Path], made: Made) -> None:
        model, store = open_model(runs["cnn"]), Store(made.path)
        assert isinstance(model, RunModel)
        rows = np.arange(len(store.index))
        tasks, world = model.trained.tasks(model.recipe), World(device=torch.device("cpu"))
        raw = predict_rows(model.network, tasks, store, rows, model.recipe, world)
        found = model.predict(store.images(rows))
        powers = raw["expression"].astype(np.float64) ** (1 / 2.0)
        np.testing.assert_allclose(found["expression"], powers / powers.sum(1, keepdims=True), atol=1e-5)
        odds = (raw["action_units"] / (1 - raw["action_units"].astype(np.float64))) ** (1 / 1.5)
        np.testing.assert_allclose(found["action_units"], odds / (1 + odds), atol=1e-5)
        np.testing.assert_allclose(found["valence_arousal"], raw["valence_arousal"], atol=1e-6)

    def test_windows_are_those_of_evaluation(self, runs: dict[str, Path], made: Made) -> None:
        model, store = open_model(runs["temporal"]), Store(made.path)
        assert isinstance(model, RunModel)
        windows = np.arange(8).reshape(2, WINDOW)
        raw = predict_windows(
            model.network,
            model.trained.tasks(model.recipe),
            ComputedFeatures(store, model.network.cnn, model.recipe),
            windows,
            model.recipe,
            World(device=torch.device("cpu")),
        )
        for window, expected in zip(windows, raw["valence_arousal"], strict=True):
            np.testing.assert_allclose(model.predict(store.images(window))["valence_arousal"], expected, atol=1e-5)

    def test_deviations_are_scaled(self, runs: dict[str, Path], tmp_path: Path) -> None:
        faces = random_faces(open_model(runs["cnn"]).info, 6)
        plain = make_sharp_checkpoint(tmp_path / "plain", {"decisions": {}})
        scaled, unscaled = (open_model(run).predict(faces)["valence_arousal:deviation"] for run in (runs["cnn"], plain))
        np.testing.assert_allclose(scaled, unscaled * np.array([0.5, 3.0]), rtol=1e-4)

    def test_batches_change_nothing(self, runs: dict[str, Path], tmp_path: Path) -> None:
        recipe = small_recipe("train.evaluation_batch_size=4")
        small = make_sharp_checkpoint(tmp_path / "small", {"decisions": DECISIONS}, recipe=recipe)
        faces = random_faces(open_model(small).info, 10)
        assert_same(open_model(small).predict(faces), open_model(runs["cnn"]).predict(faces))

    def test_no_face_gives_no_rows(self, runs: dict[str, Path]) -> None:
        found = open_model(runs["cnn"]).predict(np.empty((0, SIZE, SIZE, 3), np.uint8))
        assert {name: values.shape for name, values in found.items()} == {
            "expression": (0, 7),
            "valence_arousal": (0, 2),
            "valence_arousal:deviation": (0, 2),
            "action_units": (0, 12),
        }

    def test_decisions_of_an_evaluation_hold_instead(self, runs: dict[str, Path], tmp_path: Path) -> None:
        sha256 = checkpoint.load(runs["cnn"]).weights_sha256()
        thresholds = {"action_units": {"thresholds": [0.7] * 12}}
        ValidationDecisions(weights_sha256=sha256, smoothing="median:5", decisions=thresholds).write(tmp_path)
        info = open_model(runs["cnn"], tmp_path).info
        assert (info.smoothing, info.temperatures, info.thresholds) == ("median:5", {}, {"action_units": [0.7] * 12})
        with pytest.raises(ConfigurationError, match="another network"):
            open_model(runs["temporal"], tmp_path)

    def test_tasks_that_features_should_not_tell_are_left_out(self, tmp_path: Path) -> None:
        run = make_checkpoint(tmp_path / "run", tasks={"action_units": {"role": "nuisance"}})
        assert [space.name for space in open_model(run).info.spaces] == ["expression", "valence_arousal"]

    def test_networks_that_take_more_than_faces_are_refused(self, tmp_path: Path) -> None:
        recipe = small_recipe("model.encoders={face: image_cnn, voice: vector_mlp}")
        run = make_checkpoint(tmp_path / "run", kind="streams", recipe=recipe, streams={"voice": (5,)})
        with pytest.raises(ConfigurationError, match=r"takes face, voice; expected .* how voice would be cut"):
            open_model(run)

    @pytest.mark.parametrize(
        "faces",
        [
            np.zeros((2, SIZE, SIZE, 3), np.float32),
            np.zeros((2, 8, 8, 3), np.uint8),
            np.zeros((SIZE, SIZE, 3), np.uint8),
        ],
    )
    def test_other_faces_are_refused(self, runs: dict[str, Path], faces: np.ndarray) -> None:
        with pytest.raises(ConfigurationError, match=r"expected n x 16 x 16 x 3 uint8"):
            open_model(runs["cnn"]).predict(faces)


@given(st.floats(0, 1), st.lists(st.floats(0.001, 0.999), min_size=1), st.floats(0.1, 10))
def test_thresholds_of_calibrated_probabilities_give_the_same_answers(
    threshold: float, probabilities: list[float], temperature: float
) -> None:
    """Of probabilities that are not within rounding of the threshold."""
    for probability in probabilities:
        if abs(probability - threshold) > 1e-9:
            calibrated = at_temperature(probability, temperature)
            assert (calibrated >= at_temperature(threshold, temperature)) == (probability >= threshold)


@pytest.mark.parametrize("size", [16, 48, 112])
@pytest.mark.parametrize("zoom", [1.0, 1.05, 1.2, 2.0, 3.1])
def test_the_view_is_that_of_evaluation(size: int, zoom: float) -> None:
    config = AugmentConfig(zoom=zoom)
    faces = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (7, size, size, 3), dtype=np.uint8))
    faces[0] = 255
    np.testing.assert_array_equal(CentreView(size, config)(faces).numpy(), centre_views(faces, config).numpy())


class TestFiles:
    @pytest.mark.parametrize(("name", "lengths"), [("cnn", (1, 2, 67)), ("temporal", (1, 2, 3, 4))])
    @pytest.mark.parametrize("suffix", ["onnx", "pt2"])
    def test_they_predict_what_the_run_predicts(
        self, runs: dict[str, Path], files: dict[str, Exported], name: str, lengths: tuple[int, ...], suffix: str
    ) -> None:
        run, file = open_model(runs[name]), open_model(files[f"{name}.{suffix}"].path)
        assert file.info == run.info
        faces = random_faces(run.info, 70)
        for length in lengths:
            expected = run.predict(faces[:length])
            assert_same(file.predict(faces[:length]), expected)
        assert np.ptp(expected["expression"], axis=0).max() > 0.1, "faces that the network tells apart"

    def test_a_network_of_streams_of_faces_alone(self, runs: dict[str, Path], tmp_path: Path) -> None:
        export_run(runs["streams"], tmp_path / "file.pt2", "torch")
        run, file = open_model(runs["streams"]), open_model(tmp_path / "file.pt2")
        faces = random_faces(run.info, 5)
        assert_same(file.predict(faces), run.predict(faces))

    def test_what_was_compared_is_noted(self, files: dict[str, Exported]) -> None:
        note = files["cnn.onnx"].note
        assert note.faces_compared == {"random": 48, "store": 10}
        assert max(note.differences.values()) < CLOSE
        metadata = {prop.key: prop.value for prop in onnx.load(str(files["cnn.onnx"].path)).metadata_props}
        assert ExportNote.model_validate_json(metadata["abaw_ray.export"]) == note
        assert set(note.differences) == {"expression", "valence_arousal", "valence_arousal:deviation", "action_units"}

    def test_more_than_a_window_is_refused(self, files: dict[str, Exported]) -> None:
        for name in ("temporal.onnx", "temporal.pt2"):
            model = open_model(files[name].path)
            with pytest.raises(ConfigurationError, match="at most a window of 4"):
                model.predict(np.zeros((5, SIZE, SIZE, 3), np.uint8))

    def test_they_have_their_decisions_inside(self, files: dict[str, Exported], tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="decisions inside"):
            open_model(files["cnn.onnx"].path, tmp_path)

    def test_one_file_and_no_place_of_this_machine_in_its_graph(self, files: dict[str, Exported]) -> None:
        for exported in files.values():
            assert isinstance(exported.path, Path)
            beside = {path.name for path in exported.path.parent.iterdir()}
            assert beside == set(files)
        with zipfile.ZipFile(str(files["cnn.pt2"].path)) as archive:
            (graph,) = (archive.read(name) for name in archive.namelist() if name.endswith("models/model.json"))
        assert str(Path(torch.__file__).parents[1]).encode() not in graph


class TestParity:
    def test_a_file_that_differs_is_not_kept(
        self, runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        perturbed = make_sharp_checkpoint(tmp_path / "other", {"decisions": DECISIONS}, seed=1)
        real = exporting.FaceGraph
        monkeypatch.setattr(exporting, "FaceGraph", lambda _, info: real(checkpoint.load(perturbed), info))
        out = tmp_path / "out" / "file.pt2"
        with pytest.raises(ConfigurationError, match=r"predicts otherwise.*expression by \d"):
            export_run(runs["cnn"], out, "torch")
        assert not list(out.parent.iterdir())

    def test_numbers_that_are_none_are_the_largest_difference(self, runs: dict[str, Path]) -> None:
        run = open_model(runs["cnn"])

        class Broken:
            info = run.info

            def predict(self, faces: np.ndarray) -> dict[str, np.ndarray]:
                return {name: values * np.nan for name, values in run.predict(faces).items()}

        broken: Model = Broken()
        found = parity.differences(run, broken, random_faces(run.info, 3))
        assert set(found.values()) == {np.inf}

    def test_faces_of_a_store_are_spread_and_always_the_same(self) -> None:
        assert parity.spread_rows(100, 4, 1).tolist() == [0, 33, 66, 99]
        assert parity.spread_rows(100, 8, 4).tolist() == [0, 1, 2, 3, 96, 97, 98, 99]
        assert parity.spread_rows(100, 6, 4).tolist() == [0, 1, 2, 3, 96, 97]
        assert parity.spread_rows(3, 200, 4).tolist() == [0, 1, 2]


@pytest.mark.parametrize(("kind", "precision", "largest"), [("temporal", "float16", 0.02), ("cnn", "int8", 0.5)])
def test_less_precise_numbers_are_scored(
    runs: dict[str, Path],
    made: Made,
    tmp_path: Path,
    files: dict[str, Exported],
    kind: str,
    precision: Precision,
    largest: float,
) -> None:
    exported = export_run(runs[kind], tmp_path / "file.onnx", "onnx", made.path, precision=precision)
    run, file = open_model(runs[kind]), open_model(exported.path)
    faces = random_faces(run.info, WINDOW)
    found, expected = file.predict(faces), run.predict(faces)
    assert all(values.dtype == np.float32 for values in found.values())
    assert 0 < np.abs(found["expression"] - expected["expression"]).max() < largest
    np.testing.assert_allclose(found["expression"].sum(1), 1, atol=1e-5)
    scored = {(change.task, change.score) for change in exported.note.score_changes}
    assert {("expression", "F1"), ("valence_arousal", "CCC V"), ("action_units", "AU F1")} <= scored
    assert exported.num_bytes < files[f"{kind}.onnx"].num_bytes
    assert exported.note.precision == precision


class TestRefusals:
    def test_what_cannot_be_is_said_before_any_work(self, runs: dict[str, Path], tmp_path: Path) -> None:
        for arguments, message in [
            ((tmp_path / "file.pt2", "onnx"), r"ends in \.onnx"),
            ((tmp_path / "file.onnx", "torch"), r"ends in \.pt2"),
            ((tmp_path / "file.onnx", "tflite"), "expected onnx or torch"),
            ((tmp_path / "file.onnx", "onnx", None, None, "int4"), "expected one of float32, float16, int8"),
            ((tmp_path / "file.onnx", "onnx", None, None, "int8"), "give --store, whose training faces"),
            ((tmp_path / "file.pt2", "torch", tmp_path, None, "float16"), "of --format onnx only"),
        ]:
            with pytest.raises(ConfigurationError, match=message):
                export_run(runs["cnn"], *arguments)  # type: ignore[arg-type]
        assert not list(tmp_path.iterdir())

    def test_only_exports_are_replaced(self, runs: dict[str, Path], files: dict[str, Exported], tmp_path: Path) -> None:
        own = tmp_path / "own.pt2"
        own.write_bytes(b"a thesis")
        with pytest.raises(ConfigurationError, match=r"own\.pt2: there is something else"):
            export_run(runs["cnn"], own, "torch")
        assert own.read_bytes() == b"a thesis"
        earlier = tmp_path / "earlier.pt2"
        earlier.write_bytes(Path(str(files["cnn.pt2"].path)).read_bytes())
        export_run(runs["streams"], earlier, "torch")
        assert open_model(earlier).info.kind == "streams"

    def test_what_there_is_not(self, tmp_path: Path) -> None:
        with pytest.raises(MissingInputError, match="not there; expected a run, a checkpoint, or an exported"):
            open_model(tmp_path / "model.onnx")
        (tmp_path / "model.txt").write_text("")
        with pytest.raises(ConfigurationError, match=r"ends in \.onnx or \.pt2"):
            open_model(tmp_path / "model.txt")

    def test_files_that_no_export_wrote(self, files: dict[str, Exported], tmp_path: Path) -> None:
        (tmp_path / "damaged.onnx").write_bytes(Path(str(files["cnn.onnx"].path)).read_bytes()[:-1000])
        with pytest.raises(StoreError, match=r"damaged\.onnx: not a whole ONNX file"):
            open_model(tmp_path / "damaged.onnx")
        proto = onnx.load(str(files["cnn.onnx"].path))
        del proto.metadata_props[:]
        onnx.save(proto, tmp_path / "other.onnx")
        with pytest.raises(ConfigurationError, match=r"other\.onnx: no metadata abaw_ray\.model"):
            open_model(tmp_path / "other.onnx")


@pytest.mark.parametrize("name", ["cnn.onnx", "cnn.pt2", "run"])
@pytest.mark.parametrize("device", ["gpu", "cuda:x"])
def test_devices_that_there_are_not(runs: dict[str, Path], files: dict[str, Exported], name: str, device: str) -> None:
    place = runs["cnn"] if name == "run" else files[name].path
    with pytest.raises(ConfigurationError, match=f"device '{device}': expected cpu, cuda or cuda:N"):
        open_model(place, device=device)


class TestTorchArchives:
    """Whatever torch would execute of an archive is refused before torch is given it."""

    @pytest.mark.parametrize(
        ("member", "old", "new", "found"),
        [
            ("data/sample_inputs/model.pt", b"", b"pickled", "a pickled example"),
            ("data/constants/custom_obj_0", None, b"pickled", "the member"),
            ("data/aotinductor/model/code.so", None, b"code", "the member"),
            (
                "data/weights/model_weights_config.json",
                b'"use_pickle": false',
                b'"use_pickle": true',
                "a pickled object",
            ),
            (TENSORS[0], b'"weight_0"', b'"../x"', "a pickled object"),
            (
                "models/model.json",
                b"torch.ops.aten.conv2d.default",
                b"torch.os.system",
                "the operator 'torch.os.sys",
            ),
            ("models/model.json", b"Symbol(", b"__import__(", "the size"),
            ("models/model.json", b'"guards_code": []', b'"guards_code": ["code"]', "Python code"),
        ],
    )
    def test_foreign_parts(
        self, files: dict[str, Exported], tmp_path: Path, member: str, old: bytes | None, new: bytes, found: str
    ) -> None:
        changed = io.BytesIO()
        with zipfile.ZipFile(str(files["cnn.pt2"].path)) as source, zipfile.ZipFile(changed, "w") as target:
            prefix = source.namelist()[0].partition("/")[0]
            for name in source.namelist():
                content = source.read(name)
                if name == f"{prefix}/{member}":
                    assert old in content
                    content = content.replace(old, new, 1) if old else new
                target.writestr(name, content)
            if old is None:
                target.writestr(f"{prefix}/{member}", new)
        (tmp_path / "file.pt2").write_bytes(changed.getvalue())
        with pytest.raises(StoreError, match=rf"file\.pt2: found {found}"):
            open_model(tmp_path / "file.pt2")

    def test_half_an_archive(self, files: dict[str, Exported], tmp_path: Path) -> None:
        (tmp_path / "file.pt2").write_bytes(Path(str(files["cnn.pt2"].path)).read_bytes()[:5000])
        with pytest.raises(StoreError, match="not a whole export"):
            open_model(tmp_path / "file.pt2")
