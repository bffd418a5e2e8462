"""Streams beside faces: added to a finished store, missing in some rows, learned from."""

from __future__ import annotations

import json
import shutil
import wave
from pathlib import Path

import cv2
import numpy as np
import pytest
from learners import last_checkpoint

from abaw_ray.blocks.files import sha256_of
from abaw_ray.blocks.manifest import Manifest
from abaw_ray.blocks.reader import Store
from abaw_ray.blocks.schema import BLOCKS, MANIFEST, STREAMS
from abaw_ray.blocks.teacher_outputs import TeacherOutputs
from abaw_ray.check import check_place
from abaw_ray.config import PrepareConfig, Recipe, load_recipe
from abaw_ray.databases.base import Database, LabelTable, Options, Problems, RowBuilder, SetMember
from abaw_ray.databases.reading.parsing import videos_table
from abaw_ray.errors import ConfigurationError, StoreError
from abaw_ray.evaluation.evaluate import evaluate
from abaw_ray.inference.teach import compute_teacher_outputs
from abaw_ray.models import checkpoint
from abaw_ray.preprocess.plan import Source as ReadDatabase
from abaw_ray.preprocess.prepare import prepare_sources
from abaw_ray.spaces import LabelSpace, Split
from abaw_ray.streams.base import Source, Stream
from abaw_ray.training.job import Job

SIZE, RATE, NUM_FRAMES = 32, 16_000, 12
CONFIG = PrepareConfig(image_size=SIZE, block_rows=8)
TONES = (300, 1000, 3000)  # Hz
HEARD = LabelSpace(name="heard", kind="multiclass", names=("low", "middle", "high"))
VOICE = Stream(name="voice", kind="audio", size=20, encoding="float16")
SCENE = Stream(name="scene", kind="image", size=16, encoding="jpeg")
VIDEOS = tuple(f"video {k}" for k in range(12))
SILENT, UNREADABLE = "video 3", ("video 4", 5)
"""A video without sound, and a frame without a picture."""


@pytest.fixture(scope="module")
def talks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Videos of grey pictures, each with the sound of its class."""
    root = tmp_path_factory.mktemp("talks")
    rng = np.random.default_rng(0)
    for number, video in enumerate(VIDEOS):
        (root / video).mkdir()
        for frame in range(NUM_FRAMES):
            picture = cv2.resize(rng.integers(100, 140, (4, 4, 3), dtype=np.uint8), (SIZE, SIZE))
            if (video, frame) != UNREADABLE:
                cv2.imwrite(str(root / video / f"{frame}.png"), picture)
        moments = np.arange(RATE * NUM_FRAMES // 25) / RATE
        tone = 0.5 * np.sin(2 * np.pi * TONES[number % 3] * moments) + rng.normal(0, 0.02, len(moments))
        with wave.open(str(root / f"{video}.wav"), "wb") as out:
            out.setnchannels(1)
            out.setsampwidth(2)
            out.setframerate(RATE)
            out.writeframes((tone * 32767).astype("<i2").tobytes())
    return root


def read(root: Path, streams: tuple[Stream, ...], name: str = "talks") -> ReadDatabase:
    rows = RowBuilder((HEARD,), streams)
    for number, video in enumerate(VIDEOS):
        split = Split.VALIDATION if number >= 6 else Split.TRAIN
        for frame in range(NUM_FRAMES):
            path = f"{video}/{frame}.png"
            sources = {"voice": Source(f"{video}.wav", [frame / 25]), "scene": Source(path)}
            given = {s.name: sources[s.name] for s in streams if s.name != "voice" or video != SILENT}
            rows.add(video, frame, path, {"heard": (HEARD.one_hot(number % 3), split)}, sources=given)
    table, unseen = rows.table(), rows.unseen()
    videos = videos_table(dict.fromkeys(VIDEOS, NUM_FRAMES), table, unseen)
    found = LabelTable((HEARD,), table, Problems(), unseen, videos, streams=streams)
    sets = (SetMember("talks", ("heard",)),)
    database = Database(name, "Talks", "", Options, lambda *_: found, "whole", lambda _: sets, sequential=True)
    return ReadDatabase(database, root, Options(), found)


def prepared(folder: Path, talks: Path, *streams: Stream, verify: bool = False) -> Manifest:
    return prepare_sources(CONFIG, 0, folder, [read(talks, streams)], verify=verify)


@pytest.fixture(scope="module")
def both(cluster: None, talks: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with sound and scenes."""
    folder = tmp_path_factory.mktemp("both") / "store"
    prepared(folder, talks, VOICE, SCENE)
    return folder


def hashes(store: Path) -> dict[str, str]:
    files = (file for file in store.rglob("*") if file.is_file() and file.name != MANIFEST)
    return {str(file.relative_to(store)): sha256_of(file) for file in files}


# The store


def test_adding_a_stream_leaves_every_other_file_as_it_was(both: Path, talks: Path, tmp_path: Path) -> None:
    faces = prepared(tmp_path, talks)
    before = hashes(tmp_path)
    with_sound = prepared(tmp_path, talks, VOICE)
    added = hashes(tmp_path).items() - before.items()
    assert before.items() <= hashes(tmp_path).items()
    assert {name.split("/")[0] for name, _ in added} == {BLOCKS, STREAMS}
    assert {name.split("/")[1] for name, _ in added} == {"voice", "voice.arrow"}
    assert (with_sound.num_blocks_written, with_sound.num_blocks_skipped) == (22, len(faces.blocks))
    assert with_sound.hash_of() == faces.hash_of(), "what was computed from faces stays right"
    assert with_sound.content_hash != faces.content_hash
    all_of_them = prepared(tmp_path, talks, SCENE, VOICE)
    assert (all_of_them.num_blocks_written, all_of_them.content_hash) == (24, Manifest.load(both).content_hash)
    assert prepared(tmp_path, talks).content_hash == faces.content_hash
    assert hashes(tmp_path) == before, "a stream that is no longer wanted goes"


def test_rows_have_the_samples_of_their_place_and_moment(both: Path) -> None:
    store = Store(both)
    rows = np.arange(len(store.index))[::-1].copy()
    videos, frames = np.array(store.index.video(rows)), store.index.frame[rows]
    voice, has_voice = store.samples("voice", rows)
    np.testing.assert_array_equal(has_voice, videos != SILENT)
    assert voice.shape == (len(rows), 64, 20)
    loudest = voice[has_voice].mean(2).argmax(1)
    by_video = {video: {*loudest[videos[has_voice] == video].tolist()} for video in set(videos) - {SILENT}}
    assert all(len(bands) == 1 for bands in by_video.values())
    assert len({tuple(bands) for bands in by_video.values()}) == len(TONES)
    assert (SILENT, 0) in set(zip(videos, frames, strict=True))
    assert UNREADABLE not in set(zip(videos, frames, strict=True)), "it has no face"
    scene, has_scene = store.samples("scene", rows)
    assert has_scene.all()
    for face, own in zip(store.images(rows), scene, strict=True):
        assert np.abs(cv2.resize(face, (16, 16), interpolation=cv2.INTER_AREA).astype(int) - own).mean() < 2
    entries = {entry.name: entry for entry in store.manifest.streams}
    assert entries["voice"].num_rows == {"talks": 11 * NUM_FRAMES - 1}
    counts = {name: {r: p.count for r, p in entry.problems.items()} for name, entry in entries.items()}
    assert counts == {"scene": {"missing_image": 1}, "voice": {"sample_of_a_row_without_face": 1}}


def test_a_changed_byte_of_a_stream_is_found_and_mended(both: Path, talks: Path, tmp_path: Path) -> None:
    copy = tmp_path / "store"
    shutil.copytree(both, copy)
    voice = Store(copy).manifest.streams[1]
    for file, named in ((copy / BLOCKS / voice.blocks[2].path, True), (copy / STREAMS / "voice.arrow", False)):
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
        report = check_place(copy)
        assert [Path(finding.path).name for finding in report.findings] == [file.name]
        with pytest.raises(StoreError, match=f"{file.name}: damaged"):
            Store(copy).verify(streams=["voice"])
        if named:
            Store(copy).verify()
        prepared(copy, talks, VOICE, SCENE, verify=True)
        assert hashes(copy) == hashes(both)


def test_streams_of_one_name_must_agree(cluster: None, talks: Path, tmp_path: Path) -> None:
    other = VOICE.model_copy(update={"size": 10})
    sources = [read(talks, (VOICE,)), read(talks, (other,), "others")]
    with pytest.raises(
        ConfigurationError, match="stream voice: found audio, 20, float16 in talks, audio, 10, float16 in another"
    ):
        prepare_sources(CONFIG, 0, tmp_path, sources)


# Training


SOUND_AND_FACE = [
    "model.encoders={face: {kind: image_cnn, backbone: test_convnext}, voice: audio_cnn}",
    "sampling.batch_size=24",
    "sampling.steps_per_epoch=10",
    "train.epochs=3",
    "train.learning_rate=0.003",
]


@pytest.fixture(scope="module")
def hearing(both: Path, recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of sound and faces."""
    with_sound = load_recipe(None, SOUND_AND_FACE, base=recipe)
    return last_checkpoint(Job(with_sound, str(both), str(tmp_path_factory.mktemp("hearing"))))


def accuracy(run: Path, store: Path, out: Path) -> float:
    score: float = evaluate(run, store, out)["scores"]["every_frame"]["all"]["heard"]["accuracy"]
    return score


def test_what_can_only_be_heard_is_learned_from_the_sound(
    both: Path, hearing: Path, recipe: Recipe, tmp_path: Path
) -> None:
    assert checkpoint.load(hearing).description.streams == {"voice": (64, 20)}
    assert accuracy(hearing, both, tmp_path / "heard") > 0.9
    seen = last_checkpoint(Job(load_recipe(None, SOUND_AND_FACE[1:], base=recipe), str(both), str(tmp_path / "seen")))
    assert accuracy(seen, both, tmp_path / "scores") < 0.7


def test_a_network_of_sound_needs_a_store_of_sound(
    both: Path, hearing: Path, talks: Path, recipe: Recipe, tmp_path: Path
) -> None:
    prepared(tmp_path / "faces", talks)
    with pytest.raises(ConfigurationError, match=r"voice not among the streams of .*faces \(face\)"):
        evaluate(hearing, tmp_path / "faces", tmp_path / "scores")
    with pytest.raises(ConfigurationError, match=r"model\.encoders: voice not among the streams"):
        last_checkpoint(
            Job(load_recipe(None, SOUND_AND_FACE, base=recipe), str(tmp_path / "faces"), str(tmp_path / "run"))
        )
    longer = VOICE.model_copy(update={"size": 30})
    prepared(tmp_path / "longer", talks, longer)
    with pytest.raises(ConfigurationError, match=r"takes voice of the shape \(64, 20\), .*longer holds \(64, 30\)"):
        evaluate(hearing, tmp_path / "longer", tmp_path / "scores")


def test_a_student_of_faces_learns_from_a_teacher_that_hears(
    both: Path, hearing: Path, recipe: Recipe, tmp_path: Path
) -> None:
    """Asked in every step or beforehand, the teacher says the same, and hears what the student does not."""
    faces = load_recipe(None, [*SOUND_AND_FACE[1:], "augment.views=2", "train.epochs=1"], base=recipe)
    compute_teacher_outputs([hearing], both, tmp_path / "outputs", faces)
    manifest = TeacherOutputs(tmp_path / "outputs", Store(both)).manifest
    assert (manifest.kind, manifest.streams) == ("streams", ("voice",))
    losses = []
    for name, outputs in (("asked", None), ("stored", str(tmp_path / "outputs"))):
        run = tmp_path / name
        last_checkpoint(Job(faces, str(both), str(run), (str(hearing),), teacher_outputs=outputs))
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        losses.append([line["losses"]["total"] for line in lines if "losses" in line])
    assert losses[0]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)
