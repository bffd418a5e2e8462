"""Samples of streams are what their files hold at the place and moment that a row says."""

from __future__ import annotations

import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pytest
from films import film, picture

from abaw_ray.errors import ConfigurationError
from abaw_ray.preprocess.sounds import OFFSET, RATE, log_mel, mel_filters
from abaw_ray.sound import UnreadableSound, read_sound
from abaw_ray.streams import KINDS, kind_of
from abaw_ray.streams.audio import BANDS
from abaw_ray.streams.base import Stream
from abaw_ray.streams.kind import Cut, CutSettings
from abaw_ray.video import frame_times

TONES = (300.0, 1000.0, 3000.0)  # Hz
SOUND = Stream(name="voice", kind="audio", size=20, encoding="float16")
VECTORS = Stream(name="gaze", kind="vector", size=3, encoding="float32")


def tone(hertz: float, seconds: float, rate: int = RATE) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def write_wav(path: Path, samples: np.ndarray, rate: int = RATE, channels: int = 1) -> Path:
    with wave.open(str(path), "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes((samples * 32767).astype("<i2").repeat(channels).tobytes())
    return path


def planned(rows: list[tuple[str, int, list[float]]]) -> pa.Table:
    paths, frames, geometries = zip(*rows, strict=True)
    return pa.table(
        {
            "frame": pa.array(frames, pa.int32()),
            "image": pa.array(paths),
            "geometry": pa.array(geometries, pa.list_(pa.float32())),
        }
    )


def cut(stream: Stream, root: Path, rows: list[tuple[str, int, list[float]]]) -> tuple[np.ndarray, Cut]:
    """The samples (rows, *shape), and what they came with."""
    kind = kind_of(stream)
    made = kind.cut(planned(rows), root, stream, CutSettings())
    assert made.samples.type == kind.field(stream).type
    return made.samples.flatten().to_numpy().reshape(len(rows), *kind.shape(stream)), made


def loudest(window: np.ndarray) -> int:
    """The band that is loudest in the middle of a window."""
    return int(window[:, window.shape[1] // 2].argmax())


def band_of(hertz: float) -> int:
    """The band whose middle is nearest."""
    edges = np.linspace(1127 * np.log(1 + 125 / 700), 1127 * np.log(1 + 7500 / 700), BANDS + 2)
    return int(np.abs(edges[1:-1] - 1127 * np.log(1 + hertz / 700)).argmin())


# Spectra


@pytest.mark.parametrize("hertz", [200.0, 440.0, 1000.0, 5000.0])
def test_a_tone_is_loudest_in_its_band(hertz: float) -> None:
    spectra = log_mel(tone(hertz, 0.5))
    assert spectra.shape == (BANDS, 48)
    assert set(spectra.argmax(0)) <= {band_of(hertz) + d for d in (-1, 0, 1)}


def test_silence_is_the_logarithm_of_the_offset() -> None:
    np.testing.assert_allclose(log_mel(np.zeros(RATE, np.float32)), np.log(OFFSET), rtol=1e-6)


def test_spectra_are_magnitudes_in_triangular_bands() -> None:
    """By hand for one step: the definition of a discrete Fourier transform, and weights between the bands' middles."""
    samples = np.random.default_rng(0).normal(size=400)
    hann = np.sin(np.pi * np.arange(400) / 400) ** 2
    angles = 2 * np.pi * np.outer(np.arange(257), np.arange(400)) / 512
    magnitudes = np.hypot((hann * samples * np.cos(angles)).sum(1), (hann * samples * np.sin(angles)).sum(1))
    np.testing.assert_allclose(log_mel(samples)[:, 0], np.log(magnitudes @ mel_filters() + 0.01), rtol=1e-5)
    weights = mel_filters()
    assert weights.min() == 0
    assert weights.max() <= 1
    hertz = np.arange(257) * 31.25
    assert not weights[(hertz <= 125) | (hertz >= 7500)].any()
    between = (hertz > 200) & (hertz < 7000)
    np.testing.assert_allclose(weights[between].sum(1), 1, err_msg="neighbours' slopes add up")


# Sound


@pytest.fixture
def scale(tmp_path: Path) -> Path:
    """A second of each tone."""
    write_wav(tmp_path / "scale.wav", np.concatenate([tone(hertz, 1) for hertz in TONES]))
    return tmp_path


def test_windows_lie_around_the_seconds_that_rows_say(scale: Path) -> None:
    rows: list[tuple[str, int, list[float]]] = [("scale.wav", 0, [t]) for t in (0.5, 1.5, 2.5, 0.0, 3.05, 4.0)]
    windows, made = cut(SOUND, scale, rows)
    assert [loudest(window) for window in windows[:3]] == [band_of(hertz) for hertz in TONES]
    assert made.reasons == ["", "", "", "", "", "outside_the_sound"]
    assert made.places[5] == "scale.wav: 4.00 s"
    assert np.allclose(windows[3][:, :8], np.log(OFFSET), atol=1e-2), "before the sound is silence"
    assert windows[3].max() > 0
    assert not windows[5].any()


@pytest.mark.parametrize(("rate", "channels"), [(44_100, 2), (8_000, 1)])
def test_sound_of_any_rate_and_number_of_channels_is_resampled(tmp_path: Path, rate: int, channels: int) -> None:
    write_wav(tmp_path / "a.wav", tone(1000, 2, rate), rate, channels)
    sound = read_sound(tmp_path / "a.wav", RATE)
    assert abs(len(sound.samples) - 2 * RATE) <= 40
    assert loudest(log_mel(sound.samples)) == band_of(1000)
    assert 0.45 < np.abs(sound.samples[1000:-1000]).max() < 0.55


def test_what_is_no_sound_says_so(tmp_path: Path) -> None:
    film(tmp_path / "silent.mp4", [picture(k) for k in range(5)])
    (tmp_path / "text.wav").write_text("no sound")
    rows: list[tuple[str, int, list[float]]] = [(n, 0, [0.0]) for n in ("silent.mp4", "text.wav", "gone.wav")]
    _, made = cut(SOUND, tmp_path, rows)
    assert made.reasons == ["unreadable_sound", "unreadable_sound", "missing_sound"]
    assert made.places[0] == "silent.mp4: no sound track"
    with pytest.raises(UnreadableSound, match="no sound track"):
        read_sound(tmp_path / "silent.mp4", RATE)


@pytest.mark.parametrize("geometry", [[0.0, 1.0], [float("nan")]])
def test_what_is_no_moment_is_counted(scale: Path, geometry: list[float]) -> None:
    assert cut(SOUND, scale, [("scale.wav", 0, geometry)])[1].reasons == ["bad_geometry"]


# Sound of videos


def sounding_film(path: Path, times: list[int], begin: float = 0.0) -> Path:
    """A video of frames at `times` (25ths of a second) with a second of each tone, from the second `begin` on."""
    with av.open(str(path), "w") as out:
        video, audio = out.add_stream("mpeg4", rate=25), out.add_stream("pcm_s16le", rate=RATE, layout="mono")
        video.height, video.width = picture(0).shape[:2]
        video.pix_fmt, video.codec_context.time_base = "yuv420p", Fraction(1, 25)
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 25)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        samples = (np.concatenate([tone(hertz, 1) for hertz in TONES]) * 32767).astype(np.int16)
        sound = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        sound.sample_rate, sound.pts, sound.time_base = RATE, round(begin * RATE), Fraction(1, RATE)
        out.mux(audio.encode(sound))
        out.mux(audio.encode(None))
    return path


@pytest.mark.parametrize("begin", [0.0, 1.0])
def test_windows_of_frames_lie_where_the_video_shows_them(tmp_path: Path, begin: float) -> None:
    times = [12, 37, 62, 63, 87]  # unequal steps
    sounding_film(tmp_path / "a.mkv", times, begin)
    np.testing.assert_allclose(frame_times(tmp_path / "a.mkv"), np.array(times) / 25, atol=1e-3)
    windows, made = cut(SOUND, tmp_path, [("a.mkv", frame, []) for frame in (0, 1, 2, 4, 9)])
    heard = [loudest(window) if not reason else None for window, reason in zip(windows, made.reasons, strict=True)]
    expected = [band_of(hertz) for hertz in TONES]
    assert heard == ([*expected, None, None] if not begin else [None, *expected, None])
    assert made.reasons[-1] == "unreadable_frame"
    assert made.places[-1] == "a.mkv: frame 9 of 5"


def test_frames_of_a_container_without_times_follow_its_rate(tmp_path: Path) -> None:
    film(tmp_path / "a.avi", [picture(k) for k in range(30)])
    np.testing.assert_allclose(frame_times(tmp_path / "a.avi"), np.arange(30) / 25)


# Vectors


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    np.save(tmp_path / "one.npy", np.array([1, 2, 3]))
    np.save(tmp_path / "many.npy", np.arange(12.0).reshape(4, 3))
    np.save(tmp_path / "long.npy", np.zeros(4))
    np.save(tmp_path / "nan.npy", np.array([0, np.nan, 0]))
    np.save(tmp_path / "pickled.npy", np.array([{}, {}, {}]), allow_pickle=True)
    (tmp_path / "text.npy").write_text("1 2 3")
    return tmp_path


def test_vectors_are_those_of_the_row_s_number(vectors: Path) -> None:
    found, made = cut(VECTORS, vectors, [("one.npy", 7, []), ("many.npy", 2, []), ("many.npy", 2, [3.0])])
    assert made.reasons == ["", "", ""]
    np.testing.assert_array_equal(found, [[1, 2, 3], [6, 7, 8], [9, 10, 11]])


@pytest.mark.parametrize(
    ("path", "frame", "reason"),
    [
        ("many.npy", 4, "missing_vector"),
        ("gone.npy", 0, "missing_vector"),
        ("long.npy", 0, "bad_vector"),
        ("nan.npy", 0, "bad_vector"),
        ("pickled.npy", 0, "unreadable_vector"),
        ("text.npy", 0, "unreadable_vector"),
    ],
)
def test_what_is_no_vector_is_counted(vectors: Path, path: str, frame: int, reason: str) -> None:
    found, made = cut(VECTORS, vectors, [(path, frame, []), ("one.npy", 0, [])])
    assert made.reasons == [reason, ""]
    assert made.places[0].startswith(f"{path}: ")
    np.testing.assert_array_equal(found[1], [1, 2, 3])


def test_numbers_that_float16_does_not_have_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "big.npy", np.array([1e6, 0, 0]))
    half = VECTORS.model_copy(update={"encoding": "float16"})
    assert cut(half, tmp_path, [("big.npy", 0, [])])[1].reasons == ["bad_vector"]


# Kinds


def test_an_unknown_kind_or_encoding_names_those_there_are() -> None:
    assert {"audio", "image", "vector"} <= set(KINDS.names())
    with pytest.raises(ConfigurationError, match=r"stream voice: found 'smell'.* known: audio, image.* vector"):
        kind_of(SOUND.model_copy(update={"kind": "smell"}))
    with pytest.raises(ConfigurationError, match="stream voice: found the encoding 'mp3', expected one of float16"):
        kind_of(SOUND.model_copy(update={"encoding": "mp3"}))
