"""Pictures and videos with answers drawn upon them: what is kept of the source, and what is seen."""

from __future__ import annotations

import struct
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from answers import info_of, made_answers
from films import film
from hypothesis import given, settings
from hypothesis import strategies as st
from paper import SPACES

from abaw_ray.errors import ConfigurationError
from abaw_ray.inference.answers import answers_schema
from abaw_ray.inference.media import encoding
from abaw_ray.inference.media.annotated_video import rows_of_frames, write_annotated_video
from abaw_ray.inference.media.drawing import annotate
from abaw_ray.inference.media.history import SPAN, History
from abaw_ray.inference.media.labels import Label, labels_of
from abaw_ray.inference.media.picture import write_annotated_picture
from abaw_ray.inference.media.placing import placed
from abaw_ray.inference.media.shapes import Rect, Sizes, person_rgb
from abaw_ray.inference.media.text import line_height, shortened_to, text_width
from abaw_ray.sound import read_sound
from abaw_ray.spaces import LabelSpace
from abaw_ray.video import UnreadableVideo, frame_times, read_frames

INFO = info_of(SPACES)
RATE = 25
BOX = (60.0, 40.0, 120.0, 110.0)
ALL_KINDS = info_of(
    [
        LabelSpace(name="mood", kind="multiclass", names=("größte Freude", "печаль", "怒り", "😀")),
        LabelSpace(name="stance", kind="multiclass", names=("one", "two")),
        LabelSpace(name="pain", kind="regression", names=("intensity",), low=0, high=10),
        LabelSpace(name="affect", kind="regression", names=("pleasure", "arousal", "dominance")),
        LabelSpace(name="gaze", kind="regression", names=("yaw", "pitch"), low=-90, high=90),
        LabelSpace(name="traits", kind="multilabel", names=tuple(f"attribute_{k}" for k in range(40))),
    ]
)


def grey(height: int = 240, width: int = 320) -> np.ndarray:
    return np.full((height, width, 3), 128, np.uint8)


def one_face(_: int) -> dict[int, tuple[float, float, float, float]]:
    return {0: BOX}


def rows_at(info, boxes: dict, time: float = 0.0) -> list[dict]:
    return made_answers(info, [time], lambda _: boxes).to_pylist()


def source(folder: Path, num_frames: int = 12, height: int = 160, width: int = 240, times=None) -> Path:
    return film(folder / "source.mp4", [grey(height, width)] * num_frames, times=times)


def details(path: Path) -> tuple[str, str, int, int]:
    with av.open(str(path)) as container:
        codec = container.streams.video[0].codec_context
        return codec.name, codec.pix_fmt or "", codec.width, codec.height


def images(path: Path) -> list[np.ndarray]:
    return [image for _, image in read_frames(path, range(10_000))]


def changed(one: np.ndarray, other: np.ndarray, least: int = 24) -> np.ndarray:
    """Which pixels differ by more than encoding alone makes them."""
    return np.abs(one.astype(int) - other).max(2) > least


def turned(path: Path) -> Path:
    """The video, to be shown turned by 90 degrees clockwise."""
    content = bytearray(path.read_bytes())
    place = content.index(b"tkhd") + 4 + 40
    content[place : place + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path


def with_beep(path: Path, codec: str, at: float = 0.4, first: int = 0) -> Path:
    """A video of 25 frames from number `first` on, and a second of sound that is silent up to a moment."""
    rate = 32_000
    tone = np.sin(np.arange(rate) * 2 * np.pi * 1000 / rate) * 0.5
    tone[: round(at * rate)] = 0
    with av.open(str(path), "w") as out:
        pictures, sound = out.add_stream("mpeg4", rate=RATE), out.add_stream(codec, rate=rate, layout="mono")
        pictures.height, pictures.width = 160, 240
        for number in range(RATE):
            frame = av.VideoFrame.from_ndarray(grey(160, 240), format="rgb24")
            frame.pts, frame.time_base = first + number, Fraction(1, RATE)
            out.mux(pictures.encode(frame))
        out.mux(pictures.encode(None))
        samples = av.AudioFrame.from_ndarray((tone * 32767).astype(np.int16)[None], format="s16", layout="mono")
        samples.rate, samples.pts, samples.time_base = rate, 0, Fraction(1, rate)
        out.mux(sound.encode(samples))
        out.mux(sound.encode(None))
    return path


def beginning(path: Path) -> float:
    """Seconds at which a sound begins."""
    sound = read_sound(path, 32_000)
    return sound.start + float(np.flatnonzero(np.abs(sound.samples) > 0.1)[0]) / 32_000


def test_browsers_can_play_it_and_frames_keep_their_times(tmp_path):
    times = [0, 1, 2, 5, 6, 9, 10, 30, 31, 40, 41, 42]
    video = source(tmp_path, times=times)
    steps = []
    rows = made_answers(INFO, frame_times(video), one_face)
    out = write_annotated_video(video, rows, INFO, tmp_path / "out.avi", lambda *done: steps.append(done))
    assert out == tmp_path / "out.mp4"
    assert details(out) == ("h264", "yuv420p", 240, 160)
    np.testing.assert_allclose(frame_times(out), np.array(times) / RATE, atol=1e-4)
    assert steps == [(done, 12) for done in range(1, 13)]
    content = out.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat"), "a browser begins before it has the whole file"
    assert {file.name for file in tmp_path.iterdir()} == {"source.mp4", "out.mp4"}


def test_the_first_frame_is_at_0(tmp_path):
    video = source(tmp_path, times=[5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16])
    start = frame_times(video)[0]
    out = write_annotated_video(video, made_answers(INFO, frame_times(video), one_face), INFO, tmp_path / "out.mp4")
    np.testing.assert_allclose(frame_times(out), frame_times(video) - start, atol=1e-4)


def test_a_box_is_where_the_face_is_in_its_colour(tmp_path):
    video = source(tmp_path)
    out = write_annotated_video(video, made_answers(INFO, frame_times(video), one_face), INFO, tmp_path / "out.mp4")
    image = images(out)[5]
    left, top, right, bottom = map(int, BOX)
    np.testing.assert_allclose(image[top + 2 : bottom - 2, left].mean(0), person_rgb(0), atol=60)
    inside = image[top + 8 : bottom - 8, left + 8 : right - 8]
    assert not changed(inside, np.full_like(inside, 128)).any(), "the face stays free, and grey stays grey"


def test_frames_without_rows_look_like_the_last_that_has_some(tmp_path):
    video = source(tmp_path)

    def moving(frame: int) -> dict:
        return {0: (60.0 + 5 * frame, 40.0, 120.0 + 5 * frame, 110.0)}

    out = write_annotated_video(video, made_answers(INFO, frame_times(video), moving, 4), INFO, tmp_path / "out.mp4")
    drawn = images(out)
    for number, image in enumerate(drawn):
        assert changed(image, drawn[number // 4 * 4]).mean() < 0.003
    assert changed(drawn[4], drawn[3]).mean() > 0.01


@pytest.mark.parametrize("size", [(161, 240), (160, 241), (161, 241)])
def test_odd_sizes_become_even(tmp_path, size):
    with av.open(str(tmp_path / "odd.avi"), "w") as out:
        stream = out.add_stream("mjpeg", rate=RATE)
        stream.height, stream.width, stream.pix_fmt = *size, "yuvj444p"
        out.mux(stream.encode(av.VideoFrame.from_ndarray(grey(*size), format="rgb24")))
        out.mux(stream.encode(None))
    rows = made_answers(INFO, [0.0], one_face)
    written = write_annotated_video(tmp_path / "odd.avi", rows, INFO, tmp_path / "out.mp4")
    assert details(written)[2:] == (size[1] + size[1] % 2, size[0] + size[0] % 2)


def test_a_turned_video_is_upright(tmp_path):
    video = turned(source(tmp_path, height=160, width=240))
    upright = images(video)[0].shape
    assert upright == (240, 160, 3)
    rows = made_answers(INFO, frame_times(video), lambda _: {0: (20.0, 100.0, 90.0, 180.0)})
    out = write_annotated_video(video, rows, INFO, tmp_path / "out.mp4")
    assert details(out)[2:] == (160, 240)
    assert changed(images(out)[3], grey(240, 160))[140, 20:23].any(), "the left side of the box"


@pytest.mark.parametrize(("name", "codec", "kept"), [("a.mp4", "aac", "aac"), ("a.avi", "pcm_s16le", "aac")])
def test_sound_is_kept_in_time(tmp_path, name, codec, kept):
    video = with_beep(tmp_path / name, codec)
    out = write_annotated_video(video, made_answers(INFO, frame_times(video), one_face), INFO, tmp_path / "out.mp4")
    with av.open(str(out)) as container:
        assert container.streams.audio[0].codec_context.name == kept
    assert beginning(out) == pytest.approx(0.4, abs=0.03)
    assert len(images(out)) == RATE


@pytest.mark.parametrize("codec", ["aac", "ac3"])
def test_sound_is_moved_with_the_first_frame(tmp_path, codec):
    video = with_beep(tmp_path / "a.mkv", codec, first=5)
    assert frame_times(video)[0] == pytest.approx(0.2, abs=0.002)
    out = write_annotated_video(video, made_answers(INFO, frame_times(video), one_face), INFO, tmp_path / "out.mp4")
    assert frame_times(out)[0] == 0
    assert beginning(out) == pytest.approx(0.2, abs=0.03)


@pytest.mark.parametrize(("codec", "suffix"), [("libvpx-vp9", ".webm"), ("mpeg4", ".mp4")])
def test_other_encoders_do_where_there_is_no_h264(tmp_path, monkeypatch, codec, suffix):
    missing = encoding.Encoding("h264_of_nobody", "mp4", ".mp4", "aac")
    left = [one for one in encoding.ENCODINGS if one.codec == codec]
    monkeypatch.setattr(encoding, "ENCODINGS", (missing, *left))
    video = with_beep(tmp_path / "a.mp4", "aac")
    out = write_annotated_video(video, made_answers(INFO, frame_times(video), one_face), INFO, tmp_path / "out.mp4")
    assert out.suffix == suffix
    np.testing.assert_allclose(frame_times(out), frame_times(video), atol=1e-3)
    assert beginning(out) == pytest.approx(0.4, abs=0.03)


def test_no_encoder_at_all_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(encoding, "ENCODINGS", (encoding.Encoding("h264_of_nobody", "mp4", ".mp4", "aac"),))
    with pytest.raises(encoding.NoEncoder, match="h264_of_nobody"):
        write_annotated_video(tmp_path / "a.mp4", made_answers(INFO, [0.0], one_face), INFO, tmp_path / "out.mp4")


def test_what_cannot_be_finished_is_not_there(tmp_path):
    def stop(done: int, _: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    video = source(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        write_annotated_video(video, made_answers(INFO, frame_times(video), one_face), INFO, tmp_path / "out.mp4", stop)
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(UnreadableVideo):
        write_annotated_video(tmp_path / "text.mp4", made_answers(INFO, [0.0], one_face), INFO, tmp_path / "out.mp4")
    assert {file.name for file in tmp_path.iterdir()} == {"source.mp4", "text.mp4"}


def test_the_source_is_not_overwritten(tmp_path):
    video = source(tmp_path)
    before = video.read_bytes()
    with pytest.raises(ConfigurationError, match="found the source itself"):
        write_annotated_video(video, made_answers(INFO, frame_times(video), one_face), INFO, tmp_path / "source.avi")
    assert video.read_bytes() == before


def test_rows_come_frame_by_frame_whatever_their_order():
    table = made_answers(INFO, np.arange(700) / RATE, lambda frame: dict.fromkeys(range(frame % 3), BOX))
    shuffled = table.take(np.random.default_rng(0).permutation(table.num_rows))
    found = list(rows_of_frames(shuffled))
    assert [frame for frame, _ in found] == list(range(700))
    assert [len(rows) for _, rows in found] == [max(frame % 3, 1) for frame in range(700)]


@pytest.mark.parametrize("size", [(48, 48), (240, 320), (1920, 1080), (1080, 1920), (30, 400)])
@pytest.mark.parametrize("info", [INFO, ALL_KINDS], ids=["paper", "all kinds"])
def test_every_size_and_kind_can_be_drawn(size, info):
    image, history = grey(*size), History()
    height, width = size
    boxes = {0: (width * 0.2, height * 0.2, width * 0.6, height * 0.7), 1: (-50.0, -20.0, 9e6, height * 0.3)}
    boxes |= {7: (width + 50.0, height + 50.0, width + 90.0, height + 90.0), 8: (5.0, 5.0, 5.0, 5.0)}
    for frame in range(4):
        rows = rows_at(info, {} if frame == 2 else boxes, frame / RATE)
        history.add(rows)
        drawn = annotate(image, rows, info, history)
        assert drawn.shape == image.shape
        assert drawn.dtype == np.uint8
        assert changed(drawn, image).any()
    assert (image == 128).all(), "the given picture stays as it is"


def test_a_frame_without_a_face_says_so():
    drawn = annotate(grey(), rows_at(INFO, {}), INFO)
    assert changed(drawn, grey())[:30, :80].any()
    assert not changed(drawn, grey())[40:].any()


def test_an_answer_without_numbers_is_drawn_without_them():
    names = answers_schema(INFO).names
    row = dict.fromkeys(names) | {"face": 0, "left": 10.0, "top": 10.0, "right": 90.0, "bottom": 90.0, "time": 0.0}
    history = History()
    history.add([row])
    assert changed(annotate(grey(), [row], INFO, history), grey()).any()


def test_a_larger_probability_has_a_longer_bar():
    def bar(share: float) -> int:
        info = info_of([LabelSpace(name="mood", kind="multiclass", names=("aa", "bb"))])
        row = rows_at(info, {0: (100.0, 100.0, 220.0, 200.0)})[0]
        row |= {"mood": "aa", "mood_aa": share, "mood_bb": 1 - share}
        drawn = annotate(grey(), [row], info)[:98]
        badge_and_bar = (np.abs(drawn.astype(int) - person_rgb(0)).max(2) < 12).sum(1)
        return int(badge_and_bar.max() - np.median(badge_and_bar[badge_and_bar > 0]))

    assert bar(0.6) < bar(0.8) < bar(1.0)


fractions = st.floats(0, 1)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(fractions, fractions, fractions, fractions), min_size=1, max_size=5), st.booleans())
def test_labels_stay_inside_and_off_each_other(corners, portrait):
    sizes = Sizes.of(grey(640, 360) if portrait else grey(360, 640))
    boxes = []
    for x, y, w, h in corners:
        left, top = round(x * (sizes.width - 20)), round(y * (sizes.height - 20))
        boxes.append(Rect(left, top, left + 20 + round(w * (sizes.width - 20 - left)), top + 20 + round(h * 60)))
    boxes = [Rect(box.left, box.top, box.right, min(box.bottom, sizes.height)) for box in boxes]
    taken: list[Rect] = []
    for person, box in enumerate(boxes):
        row = rows_at(INFO, {person: (box.left, box.top, box.right, box.bottom)})[0]
        labels = labels_of(row, INFO, sizes)
        others = boxes[:person] + boxes[person + 1 :]
        (kind, _), place = placed(labels, box, others, taken, sizes, None)
        assert (place.width, place.height) == (labels[kind].width, labels[kind].height)
        assert place.left >= 0
        assert place.top >= 0
        assert place.right <= sizes.width
        assert place.bottom <= sizes.height
        assert not any(place.overlap(other) for other in taken)
        taken.append(place)


@pytest.mark.parametrize("corner", [(230, 5), (10, 5), (230, 140), (10, 140)])
def test_dials_do_not_cover_faces(corner):
    """A face in each corner but one, in a large picture: the dial is in that one."""
    info = info_of([space for space in SPACES if space.kind == "regression"])
    corners = [(230, 5), (10, 5), (230, 140), (10, 140)]
    boxes = {k: (x, y, x + 80, y + 90) for k, (x, y) in enumerate(corners) if (x, y) != corner}
    drawn = changed(annotate(grey(), rows_at(info, boxes), info), grey(), 10)
    x, y = corner
    assert drawn[y : y + 90, x : x + 80].mean() > 0.4
    assert not any(drawn[y + 30 : y + 80, x + 10 : x + 70].any() for k, (x, y) in enumerate(corners) if k in boxes)


def test_a_label_keeps_its_side_and_grows_where_it_can():
    sizes, large, small = Sizes.of(grey(360, 640)), Label("#0", (), 60, 60, 0), Label("#0", (), 60, 20, 0)
    box = Rect(200, 150, 300, 250)
    _, above = placed([large, small], box, [], [], sizes, None)
    assert above.bottom <= box.top
    around = [Rect(0, 0, 640, 120), Rect(0, 0, 199, 360), Rect(301, 0, 640, 360), Rect(0, 275, 640, 360)]
    (kind, side), _ = placed([large, small], box, [], [*around, Rect(0, 120, 640, 149)], sizes, None)
    assert kind == 1
    (kind, moved), place = placed([large, small], box, [], [], sizes, side)
    assert (kind, moved) == (0, side)
    assert place.top >= box.bottom, "there is room above again, but labels do not jump"


def test_letters_of_other_scripts_are_letters():
    assert text_width("ж", 20) > 0
    assert len({text_width(text, 40) for text in ("é", "ж", "Ω", "→")}) > 1
    long = "a name that is much too long"
    assert text_width(shortened_to(long, 90, 14), 14) <= 90
    assert line_height(14) >= 14


def test_history_forgets_and_begins_anew():
    history = History()
    for frame in range(600):
        history.add(rows_at(INFO, {0: BOX} if frame < 500 else {}, frame / RATE))
    assert history.times[-1] == 0
    assert -SPAN <= history.times[0] <= -SPAN + 0.1
    assert np.isnan(history.values(0, "valence")[-1])
    assert not history.seen_now(0)
    history.add(rows_at(INFO, {1: BOX}, 0.0))
    assert history.persons == [1]


def test_the_history_of_fast_videos_stays_small():
    history = History()
    for frame in range(3_000):
        history.add([{"face": None, "time": frame / 1_000}])
    assert len(history.times) <= 150


def test_a_picture_is_written(tmp_path):
    rows = [row | {"time": None} for row in rows_at(INFO, {0: BOX, 1: (200.0, 60.0, 260.0, 140.0)})]
    write_annotated_picture(grey(), rows, INFO, tmp_path / "out.jpg")
    found = cv2.cvtColor(cv2.imread(str(tmp_path / "out.jpg")), cv2.COLOR_BGR2RGB)
    assert found.shape == (240, 320, 3)
    assert changed(found, annotate(grey(), rows, INFO), 60).mean() < 0.02
    assert [file.name for file in tmp_path.iterdir()] == ["out.jpg"]


def test_nothing_heavy_is_needed():
    script = """
import sys
from abaw_ray.inference.media import annotated_video, picture, timeline, video_page
loaded = {"cv2", "matplotlib", "torch", "ray"} & set(sys.modules)
assert not loaded, loaded
from abaw_ray.inference.media.drawing import annotate
from abaw_ray.inference.model_info import ModelInfo
import numpy as np
info = ModelInfo(kind="cnn", role="student", spaces=(), image_size=112, crop="whole")
annotate(np.zeros((90, 90, 3), np.uint8), [{"face": None, "time": None}], info)
assert not {"torch", "ray"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)
