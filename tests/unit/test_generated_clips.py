"""Generated clips of people who are seen and heard."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from native_layouts import database

from abaw_ray.databases.base import LabelTable
from abaw_ray.databases.reading.database import read_database
from abaw_ray.databases.reading.spaces import TEN_EXPRESSIONS
from abaw_ray.errors import ConfigurationError
from abaw_ray.preprocess.sounds import RATE, log_mel, window
from abaw_ray.sound import read_sound
from abaw_ray.spaces import Split
from abaw_ray.synthetic.speakers import (
    CLASSES,
    FPS,
    HEARD,
    LANGUAGES,
    LOOKS,
    SIZES,
    generate_speakers,
    language_of,
    split_of,
    voice,
)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("drawn") / "clips"
    generate_speakers(out, 0, "tiny")
    return out


@pytest.fixture(scope="module")
def table(drawn: Path) -> LabelTable:
    return read_database("heu", drawn / "heu", {"fps": FPS})[2]


def test_the_adapter_reads_all_of_it(drawn: Path, table: LabelTable) -> None:
    assert not table.problems.counts
    rows = table.rows.to_pylist()
    assert {(r["part"], r["audio:path"] is None, r["body:path"] is None) for r in rows} == {
        ("1", True, False),
        ("2", False, False),
    }
    names = {part: {_class(r) for r in rows if r["part"] == part} for part in ("1", "2")}
    assert not names["1"] & set(HEARD), "what is told by sound alone is where there is sound"
    assert names["2"] & set(HEARD)
    subjects = {split: {r["subject_name"] for r in rows if r["expression_split"] == split} for split in (1, 2)}
    assert subjects[Split.TRAIN]
    assert subjects[Split.VALIDATION]
    assert not subjects[Split.TRAIN] & subjects[Split.VALIDATION]
    assert [stream.name for stream in table.streams] == ["body", "audio"]
    assert database("heu").layout.count("clip_id")


def test_clips_depend_on_the_seed_and_stay(drawn: Path, tmp_path: Path) -> None:
    before = {file: file.stat().st_mtime_ns for file in drawn.rglob("*")}
    counts = generate_speakers(drawn, 0, "tiny")["counts"]
    assert {file: file.stat().st_mtime_ns for file in drawn.rglob("*")} == before
    with (drawn / "heu/manifest.csv").open() as lines:
        assert Counter(f"part {r['part']}, {r['split']}" for r in csv.DictReader(lines)) == counts
    generate_speakers(tmp_path / "again", 0, "tiny")
    for file in ("heu/manifest.csv", "heu/audio/s001_000.wav", "heu/faces/s000_003/00003.png"):
        assert (tmp_path / "again" / file).read_bytes() == (drawn / file).read_bytes()
    with pytest.raises(ConfigurationError, match="other generated data"):
        generate_speakers(drawn, 1, "tiny")
    with pytest.raises(ConfigurationError, match="sizes: tiny"):
        generate_speakers(tmp_path / "none", 0, "huge")


def test_both_splits_speak_every_language() -> None:
    speakers = range(1, SIZES["small"].subjects, 2)
    spoken = Counter((split_of(subject), language_of(subject)) for subject in speakers)
    assert spoken.keys() == {(split, language) for split in ("train", "validation") for language in LANGUAGES}


def test_sounds_cover_the_moments_of_the_frames(drawn: Path, table: LabelTable) -> None:
    heard = table.rows.filter(table.rows["audio:path"].is_valid()).slice(0, 1)
    (row,) = heard.to_pylist()
    samples = window(read_sound(drawn / "heu" / row["audio:path"], RATE), row["audio:geometry"][0], 64)
    assert samples is not None
    assert (log_mel(samples).std(0) > 0.1).all(), "no step of it is silence"


def test_a_voice_says_who_by_its_pitch_and_what_by_its_swells() -> None:
    """Of two classes that look the same the sound swells at other rates, whoever speaks."""
    assert LOOKS[HEARD[0]] == LOOKS[HEARD[1]]
    rates = {}
    for pitch in (120.0, 280.0):
        for emotion in CLASSES:
            samples = voice(np.random.default_rng(0), pitch, emotion, 4.0)
            levels = np.abs(samples).reshape(-1, RATE // 100).mean(1)
            spectrum = np.abs(np.fft.rfft(levels - levels.mean()))
            rates[pitch, emotion] = np.fft.rfftfreq(len(levels), 0.01)[spectrum[:120].argmax()]
    for emotion in CLASSES:
        assert rates[120.0, emotion] == pytest.approx(rates[280.0, emotion], rel=0.15)
    found = [rates[120.0, emotion] for emotion in CLASSES]
    assert found == sorted(found)
    assert found[-1] > 5 * found[0]


def _class(row: dict[str, pa.Scalar]) -> str:
    return TEN_EXPRESSIONS.names[int(np.argmax(row["expression"]))]
