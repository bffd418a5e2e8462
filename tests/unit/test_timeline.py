"""Curves of a table of answers, and the figure that is made of them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from answers import info_of, made_answers
from matplotlib.colors import to_rgb
from paper import DIMENSIONS, SPACES

from abaw_ray.inference.media.timeline import MOST_MOMENTS, timeline_figure, write_timeline
from abaw_ray.inference.media.tracks import clock, curve_columns, runs, tracks_of
from abaw_ray.palette import TITLE_SIZE, colour
from abaw_ray.spaces import LabelSpace

INFO = info_of(SPACES)
BOX = (0.0, 0.0, 9.0, 9.0)


def seen_as(**frames: range):
    """Persons by name (p0, p1, ...) and the frames in which they are seen."""
    return lambda frame: {int(name[1:]): BOX for name, those in frames.items() if frame in those}


def times(count: int, rate: float = 25) -> np.ndarray:
    return np.arange(count) / rate


def test_curves_are_the_columns_with_gaps():
    table = made_answers(INFO, times(100), seen_as(p0=range(0, 40), p1=range(20, 100)))
    tracks = tracks_of(table, INFO, 4, 1_000)
    np.testing.assert_allclose(tracks.times, times(100))
    assert [(track.person, track.num_frames) for track in tracks.tracks] == [(0, 40), (1, 80)]
    first = tracks.tracks[0]
    assert set(first.values) == set(curve_columns(INFO))
    of_person = [row[DIMENSIONS[0]] for row in table.to_pylist() if row["face"] == 0]
    np.testing.assert_allclose(first.values[DIMENSIONS[0]][:40], of_person, rtol=1e-6)
    assert np.isnan(first.values[DIMENSIONS[0]][40:]).all()
    assert runs(first.seen) == [(0, 40)]


def test_the_order_of_rows_does_not_matter():
    table = made_answers(INFO, times(60), seen_as(p0=range(0, 60, 2), p1=range(60)))
    shuffled = table.take(np.random.default_rng(0).permutation(table.num_rows))
    for one, other in zip(tracks_of(table, INFO, 2, 20).tracks, tracks_of(shuffled, INFO, 2, 20).tracks, strict=True):
        for name, values in one.values.items():
            np.testing.assert_allclose(values, other.values[name])


def test_points_of_long_videos_are_means():
    table = made_answers(INFO, times(1_000), seen_as(p3=range(0, 500)))
    whole, thinned = (tracks_of(table, INFO, 1, most) for most in (1_000, 100))
    assert thinned.is_thinned
    assert not whole.is_thinned
    assert len(thinned.times) == 100
    np.testing.assert_allclose(thinned.times, whole.times[::10])
    assert thinned.frames.tolist() == list(range(0, 1_000, 10))
    for column in curve_columns(INFO):
        expected = whole.tracks[0].values[column].reshape(100, 10).mean(1)
        np.testing.assert_allclose(thinned.tracks[0].values[column], expected, rtol=1e-6)


def test_the_most_frequent_persons_are_drawn_and_the_others_counted():
    table = made_answers(INFO, times(90), seen_as(p0=range(9), p1=range(90), p2=range(3), p5=range(50)))
    tracks = tracks_of(table, INFO, 2, 1_000)
    assert [track.person for track in tracks.tracks] == [1, 5]
    assert tracks.others == {0: 9, 2: 3}
    figure = timeline_figure(tracks, INFO, "a film")
    assert "2 persons more, seen in at most 9 frames, not drawn" in figure.get_supxlabel()


def test_titles_can_be_read_and_are_text():
    table = made_answers(INFO, times(50), seen_as(p0=range(40)))
    figure = timeline_figure(tracks_of(table, INFO, 4, 1_000), INFO, "costs $5 or $6_{x}")
    assert figure.get_suptitle() == "costs $5 or $6_{x}"
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert "Person 0: seen in 40 of 50 frames" in titles
    assert figure._suptitle.get_fontsize() >= TITLE_SIZE >= 13
    assert not figure._suptitle.get_parse_math()
    figure.canvas.draw()


def test_the_picture_shows_classes_and_grey_where_nobody_is(tmp_path):
    space = LabelSpace(name="mood", kind="multiclass", names=("good", "bad"))
    table = made_answers(info_of([space]), times(100), seen_as(p0=range(50)))
    certain = table.set_column(table.schema.get_field_index("mood_good"), "mood_good", [[1.0] * 50 + [None] * 50])
    certain = certain.set_column(table.schema.get_field_index("mood_bad"), "mood_bad", [[0.0] * 50 + [None] * 50])
    write_timeline(certain, info_of([space]), tmp_path / "out.png", "a film")
    picture = cv2.imread(str(tmp_path / "out.png"))[..., ::-1]
    middle = picture[round(picture.shape[0] * 0.4)]
    good = np.array(to_rgb(colour(0))) * 255
    is_good = np.abs(middle - good).max(1) < 3
    assert 0.3 < is_good.mean() < 0.5, "half of the axes"
    place = np.flatnonzero(is_good)
    after = middle[place[-1] + 30 : place[-1] + 30 + len(place) // 2]
    assert (after == after[0]).all(), "grey up to the end"
    assert after[0].min() > 200
    assert [file.name for file in tmp_path.iterdir()] == ["out.png"]


def test_the_picture_of_a_long_video_stays_small(tmp_path):
    table = made_answers(INFO, times(20_000, 10), seen_as(p0=range(15_000), p1=range(5_000, 20_000)))
    write_timeline(table, INFO, tmp_path / "out.png", "a film")
    assert (tmp_path / "out.png").stat().st_size < 2_500_000
    assert len(tracks_of(table, INFO, 4, MOST_MOMENTS).times) == MOST_MOMENTS


@pytest.mark.parametrize("count", [0, 1, 2])
@pytest.mark.parametrize("is_seen", [True, False])
def test_short_videos_and_those_without_faces(tmp_path, count, is_seen):
    table = made_answers(INFO, times(count), seen_as(p0=range(count if is_seen else 0)))
    write_timeline(table, INFO, tmp_path / "out.png", "a film")
    assert cv2.imread(str(tmp_path / "out.png")) is not None


def test_every_kind_of_space_can_be_drawn(tmp_path):
    spaces = [
        LabelSpace(name="mood", kind="multiclass", names=("größte Freude", "печаль", "_hidden", "$x$")),
        LabelSpace(name="pain", kind="regression", names=("intensity",), low=0, high=10),
        LabelSpace(name="affect", kind="regression", names=("pleasure", "arousal", "dominance")),
        LabelSpace(name="traits", kind="multilabel", names=tuple(f"a{k}" for k in range(30))),
    ]
    table = made_answers(info_of(spaces), times(30), seen_as(p0=range(20)))
    figure = timeline_figure(tracks_of(table, info_of(spaces), 4, 100), info_of(spaces), "a film")
    figure.savefig(tmp_path / "out.png")
    legends = [[text.get_text().strip() for text in axes.get_legend().get_texts()] for axes in figure.axes]
    assert legends[0] == list(spaces[0].names)


def test_times_are_written_as_clocks():
    assert [clock(seconds) for seconds in (0, 59.4, 59.6, 61, 3599, 3600, 36_061)] == [
        "0:00",
        "0:59",
        "1:00",
        "1:01",
        "59:59",
        "1:00:00",
        "10:01:01",
    ]
