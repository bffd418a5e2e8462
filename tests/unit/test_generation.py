from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from paper import ACTION_UNITS, EXPRESSIONS

from abaw_ray.competition.track_files import TRACK_FORMATS
from abaw_ray.databases import affectnet, expw
from abaw_ray.databases.reading.spaces import EXPRESSION
from abaw_ray.errors import ConfigurationError, UserError
from abaw_ray.synthetic import generate
from abaw_ray.synthetic.action_units import THRESHOLDS, action_units
from abaw_ray.synthetic.faces import Actions
from abaw_ray.synthetic.layouts import affwild2

AFFECTNET_LISTS = "Manually_Annotated_file_lists"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("generated") / "tiny"
    generate(out, seed=3, size="tiny", num_workers=1)
    return out


@pytest.fixture(scope="module")
def truth(tiny: Path) -> pd.DataFrame:
    return pd.read_parquet(tiny / "truth.parquet")


def tree_hash(root: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(p for p in root.rglob("*") if p.is_file()):
        digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def read_tracks(root: Path, set_name: str) -> dict[str, tuple[str, np.ndarray]]:
    """Track -> (split, rows without the header)."""
    tracks = {}
    for file in sorted((root / "affwild2" / "annotations" / set_name).glob("*/*.txt")):
        assert file.stem not in tracks
        tracks[file.stem] = (file.parent.name, np.loadtxt(file, delimiter=",", skiprows=1))
    return tracks


def read_tests(root: Path) -> dict[str, list[str]]:
    """Task -> test tracks."""
    folder = root / "affwild2" / "annotations"
    return {task: (folder / form.test_list).read_text().splitlines() for task, form in TRACK_FORMATS.items()}


def without_gap(usable: np.ndarray, length: int) -> bool:
    """Whether `length` frames in a row of (frames,) bool are usable."""
    return any(usable[k : k + length].all() for k in range(len(usable) - length + 1))


def read_expw(root: Path) -> list[list[str]]:
    return [line.split(" ") for line in (root / "expw" / "label.lst").read_text().splitlines()]


def read_affectnet(root: Path, name: str) -> list[list[str]]:
    with (root / "affectnet" / AFFECTNET_LISTS / f"{name}.csv").open(newline="") as file:
        return list(csv.reader(file))


def clips(root: Path) -> list[tuple[Path, dict[str, dict]]]:
    files = sorted((root / "afew_va").glob("*/*/*.json"))
    return [(f.parent, json.loads(f.read_text())["frames"]) for f in files]


class TestGenerate:
    def test_same_files_whatever_the_number_of_workers(self, tiny: Path, tmp_path: Path) -> None:
        generate(tmp_path / "again", seed=3, size="tiny", num_workers=3)
        assert tree_hash(tmp_path / "again") == tree_hash(tiny)

    def test_seed_changes_every_picture(self, tiny: Path, tmp_path: Path) -> None:
        generate(tmp_path / "other", seed=4, size="tiny", num_workers=1)
        ours = {hashlib.sha256(f.read_bytes()).digest() for f in tiny.rglob("*.[jp][pn]g")}
        others = {hashlib.sha256(f.read_bytes()).digest() for f in (tmp_path / "other").rglob("*.[jp][pn]g")}
        assert len(ours) > 500
        assert not ours & others

    def test_counts_are_returned_stored_and_true(self, tiny: Path, truth: pd.DataFrame) -> None:
        stored = json.loads((tiny / "generated.json").read_text())
        assert (stored["seed"], stored["size"], stored["synthetic"]) == (3, "tiny", True)
        assert generate(tiny, seed=3, size="tiny") == stored["counts"]
        for name, counts in stored["counts"].items():
            faces = truth[truth.database == name]
            pictures = [p for p in (tiny / name).rglob("*") if p.suffix in (".jpg", ".png")]
            assert counts["num_images"] == len(pictures)
            assert counts["num_faces"] == len(faces)
            assert counts["num_missing_images"] == faces[faces.image_missing].image.nunique()
            assert counts["num_expression_invalid"] == faces.expression_invalid.sum()
            assert counts["num_va_invalid"] == faces.va_invalid.sum()
            for kind in ("invalid", "noisy"):
                assert counts[f"num_au_{kind}"] == faces[f"au_{kind}"].sum()
            assert counts["num_au_labels"] == faces.has_au_label.sum()
            assert (counts["num_au_labels"] > 0) == (name == "affwild2")

    def test_says_that_it_is_synthetic(self, tiny: Path) -> None:
        assert "SYNTHETIC" in (tiny / "README.txt").read_text()

    def test_progress_counts_to_the_total(self, tmp_path: Path) -> None:
        calls: list[tuple[int, int]] = []
        generate(tmp_path, seed=0, size="tiny", num_workers=1, progress=lambda d, t: calls.append((d, t)))
        done, totals = zip(*calls, strict=True)
        assert list(done) == sorted(done)
        assert set(totals) == {done[-1]}

    def test_complete_output_is_left_alone(self, tiny: Path) -> None:
        before = {f: f.stat().st_mtime_ns for f in tiny.rglob("*")}
        generate(tiny, seed=3, size="tiny")
        assert {f: f.stat().st_mtime_ns for f in tiny.rglob("*")} == before

    def test_an_interrupted_run_can_be_repeated(self, tiny: Path, tmp_path: Path) -> None:
        def interrupt(done: int, total: int) -> None:
            raise KeyboardInterrupt

        out = tmp_path / "out"
        with pytest.raises(KeyboardInterrupt):
            generate(out, seed=3, size="tiny", num_workers=1, progress=interrupt)
        assert not out.exists()
        generate(out, seed=3, size="tiny", num_workers=1)
        assert {p.relative_to(out) for p in out.rglob("*")} == {p.relative_to(tiny) for p in tiny.rglob("*")}
        assert [p.name for p in tmp_path.iterdir()] == ["out"]

    def test_unknown_size_names_the_sizes(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match=r"'huge'.*tiny, small, medium"):
            generate(tmp_path, seed=0, size="huge")

    @pytest.mark.parametrize(("seed", "size"), [(4, "tiny"), (3, "small")])
    def test_another_run_is_not_overwritten(self, tiny: Path, seed: int, size: str) -> None:
        with pytest.raises(ConfigurationError, match="seed 3, size tiny"):
            generate(tiny, seed=seed, size=size)

    @pytest.mark.parametrize("name", ["thesis.txt", "generated.json"])
    def test_somebody_elses_folder_is_refused(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).write_text("mine")
        with pytest.raises(UserError, match="choose another folder"):
            generate(tmp_path, seed=0, size="tiny")
        assert [p.name for p in tmp_path.iterdir()] == [name]


class TestTruth:
    def test_every_picture_has_a_row_and_every_row_a_picture(self, tiny: Path, truth: pd.DataFrame) -> None:
        there = {p.relative_to(tiny).as_posix() for p in tiny.rglob("*.[jp][pn]g")}
        told = truth.database + "/" + truth.image
        assert set(told[~truth.image_missing]) == there
        assert not set(told[truth.image_missing]) & there

    def test_keys_are_unique(self, truth: pd.DataFrame) -> None:
        assert not truth.duplicated(["database", "video", "frame"]).any()

    def test_values_are_in_range(self, truth: pd.DataFrame) -> None:
        inside = truth[truth.expression >= 0]
        assert inside.expression.between(0, 6).all()
        assert inside[["valence", "arousal"]].abs().max().max() <= 1
        assert inside.intensity.between(0, 1).all()
        assert truth[truth.expression < 0].database.unique().tolist() == ["affectnet"]

    def test_action_units_are_zeros_and_ones_and_go_with_expressions(self, truth: pd.DataFrame) -> None:
        units = np.stack(truth.action_units)
        assert units.shape[1] == len(ACTION_UNITS)
        inside = truth.expression.to_numpy() >= 0
        assert set(np.unique(units[inside])) == {0, 1}
        assert (units[~inside] == -1).all()
        share = pd.DataFrame(units[inside], columns=ACTION_UNITS).groupby(truth.expression[inside].to_numpy()).mean()
        for unit, name in (("AU12", "Happiness"), ("AU15", "Sadness"), ("AU26", "Surprise"), ("AU4", "Anger")):
            assert share[unit][EXPRESSIONS.index(name)] > 3 * share[unit][EXPRESSIONS.index("Neutral")]

    def test_expression_and_dimensions_go_together(self, truth: pd.DataFrame) -> None:
        mean = truth[truth.expression >= 0].groupby("expression")[["valence", "arousal"]].mean()
        of = {name: mean.loc[k] for k, name in enumerate(EXPRESSIONS)}
        assert of["Happiness"].valence > 0.25 > -0.1 > of["Sadness"].valence
        assert of["Fear"].arousal > 0.25 > of["Neutral"].arousal > of["Sadness"].arousal


class TestActionUnits:
    def test_nothing_is_shown_at_rest(self) -> None:
        assert not action_units(np.zeros((1, len(Actions._fields)))).any()

    @pytest.mark.parametrize("name", ACTION_UNITS)
    def test_every_movement_of_a_unit_shows_it(self, name: str) -> None:
        for movement, threshold in THRESHOLDS[name].items():
            actions = np.zeros((2, len(Actions._fields)))
            actions[:, Actions._fields.index(movement)] = 0.99 * threshold, 1.01 * threshold
            assert action_units(actions)[:, ACTION_UNITS.index(name)].tolist() == [0, 1]


class TestAffWild2:
    def test_files_have_the_headers_and_values_of_the_database(self, tiny: Path) -> None:
        folder = tiny / "affwild2" / "annotations"
        headers = {
            "EXPR_Set": "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise",
            "VA_Set": "valence,arousal",
            "AU_Set": "AU1,AU2,AU4,AU6,AU7,AU10,AU12,AU15,AU23,AU24,AU25,AU26",
        }
        for set_name, header in headers.items():
            assert sorted(p.name for p in (folder / set_name).iterdir()) == ["Train_Set", "Validation_Set"]
            assert {f.read_text().splitlines()[0] for f in folder.glob(f"{set_name}/*/*.txt")} == {header}
        for _, rows in read_tracks(tiny, "EXPR_Set").values():
            assert set(rows) <= set(range(-1, 7))
        for _, rows in read_tracks(tiny, "VA_Set").values():
            assert ((np.abs(rows) <= 1) | (rows == -5)).all()
        for _, rows in read_tracks(tiny, "AU_Set").values():
            assert rows.shape[1] == 12
            assert set(np.unique(rows)) <= {-1, 0, 1}

    def test_labels_say_what_was_drawn(self, tiny: Path, truth: pd.DataFrame) -> None:
        tracks = truth[truth.database == "affwild2"].sort_values("frame").groupby("video")
        expression, va, units = (read_tracks(tiny, s) for s in ("EXPR_Set", "VA_Set", "AU_Set"))
        for name, drawn in tracks:
            assert drawn.has_expression_label.all() == (name in expression)
            assert drawn.has_va_label.all() == (name in va)
            assert drawn.has_au_label.all() == (name in units)
            if name in expression:
                split, rows = expression[name]
                assert len(rows) == len(drawn)
                assert ((rows == -1) == drawn.expression_invalid).all()
                wrong = (rows != drawn.expression) & (rows != -1)
                assert (wrong == drawn.expression_noisy).all()
                assert split == "Train_Set" or not wrong.any()
            if name in va:
                split, rows = va[name]
                assert ((rows == -5).any(axis=1) == drawn.va_invalid).all()
                error = np.abs(rows - drawn[["valence", "arousal"]].to_numpy())[~drawn.va_invalid]
                assert error.max() < (0.45 if split == "Train_Set" else 0.00051)
            if name in units:
                split, rows = units[name]
                assert len(rows) == len(drawn)
                assert ((rows == -1).any(axis=1) == drawn.au_invalid).all()
                wrong = (rows != np.stack(drawn.action_units)) & ~drawn.au_invalid.to_numpy()[:, None]
                assert (wrong.any(axis=1) == drawn.au_noisy).all()
                assert wrong.mean() < (0.15 if split == "Train_Set" else 1e-9)

    def test_dimensions_change_slowly(self, truth: pd.DataFrame) -> None:
        for _, track in truth[truth.database == "affwild2"].groupby("video"):
            steps = track.sort_values("frame")[["valence", "arousal"]].diff().abs()
            assert steps.mean().max() < 0.12

    def test_every_class_is_in_both_splits(self, tiny: Path) -> None:
        tracks = read_tracks(tiny, "EXPR_Set").values()
        for split in ("Train_Set", "Validation_Set"):
            assert {int(k) for s, rows in tracks if s == split for k in rows} >= set(range(7))

    def test_every_action_unit_is_seen_in_both_splits(self, tiny: Path, truth: pd.DataFrame) -> None:
        there = truth[(truth.database == "affwild2") & ~truth.image_missing & ~truth.au_invalid]
        for split in ("Train_Set", "Validation_Set"):
            shown = np.zeros(len(ACTION_UNITS), int)
            for name, (of_track, rows) in read_tracks(tiny, "AU_Set").items():
                if of_track == split:
                    shown += (rows[there[there.video == name].frame] == 1).sum(axis=0)
            assert shown.min() > 0

    @pytest.mark.parametrize("seed", range(5))
    def test_every_seed_draws_every_action_unit(self, seed: int) -> None:
        tracks = [p for p in affwild2.plan(seed, "tiny") if isinstance(p, affwild2.Track)]
        for split in (affwild2.TRAIN, affwild2.VALIDATION):
            of_split = [t for t in tracks if t.splits.get("action_units") == split]
            units = [affwild2.behaviour_of(t).action_units for t in of_split]
            assert np.concatenate(units).any(axis=0).all()

    def test_every_task_has_windows_without_gaps(self, tiny: Path, truth: pd.DataFrame) -> None:
        missing = {name: t.sort_values("frame").image_missing.to_numpy() for name, t in truth.groupby("video")}
        for form in TRACK_FORMATS.values():
            found = {"Train_Set": 0, "Validation_Set": 0}
            for name, (split, rows) in read_tracks(tiny, form.folder).items():
                invalid = (rows.reshape(len(rows), -1) == form.unlabelled).any(axis=1)
                found[split] += without_gap(~invalid & ~missing[name], 32)
            assert found["Train_Set"] >= 2
            assert found["Validation_Set"] >= 1

    def test_tracks_of_a_video_are_as_long_as_it(self, truth: pd.DataFrame) -> None:
        tracks = truth[truth.database == "affwild2"]
        lengths = tracks.groupby("video").frame.max().reset_index()
        assert (tracks.groupby("video").size() == tracks.groupby("video").frame.max() + 1).all()
        videos = lengths.video.str.replace("_(left|right)$", "", regex=True)
        assert videos.duplicated().any()
        assert (lengths.groupby(videos).frame.nunique() == 1).all()

    def test_test_tracks_have_pictures_and_no_labels(self, tiny: Path, truth: pd.DataFrame) -> None:
        tests = read_tests(tiny)
        assert all(tests.values())
        assert len({tuple(names) for names in tests.values()}) > 1, "the lists are all the same"
        names = set().union(*tests.values())
        assert any(n.endswith("_left") and n.replace("_left", "_right") in names for n in names)
        drawn = truth[(truth.database == "affwild2") & truth.video.isin(names)]
        assert set(drawn.video) == names
        labels = ["has_expression_label", "has_va_label", "has_au_label"]
        assert not drawn[labels].any(axis=None)
        others = truth[(truth.database == "affwild2") & ~truth.video.isin(names)]
        assert others[labels].any(axis=1).all()
        for form in TRACK_FORMATS.values():
            assert not names & read_tracks(tiny, form.folder).keys()
        missing = drawn[drawn.image_missing]
        last = drawn.groupby("video").frame.max()
        assert (set(missing.video[missing.frame == 0])) & set(missing.video[missing.frame == missing.video.map(last)])
        assert not drawn.groupby("video").image_missing.all().any()

    def test_videos_are_those_of_the_test_tracks_and_as_long(self, tiny: Path, truth: pd.DataFrame) -> None:
        names = set().union(*read_tests(tiny).values())
        lengths = truth[truth.video.isin(names)].groupby("video").size()
        lengths.index = lengths.index.str.replace("_(left|right)$", "", regex=True)
        files = sorted((tiny / "affwild2" / "videos").iterdir())
        assert {f.name for f in files} == {f"{stem}.avi" for stem in lengths.index}
        for file in files:
            video, frames = cv2.VideoCapture(str(file)), []
            while (result := video.read())[0]:
                frames.append(result[1])
            assert len(frames) == int(video.get(cv2.CAP_PROP_FRAME_COUNT))
            assert {len(frames)} == set(lengths[[file.stem]])
            assert {f.shape for f in frames} == {(120, 160, 3)}
            assert np.abs(frames[0].astype(int) - frames[-1]).mean() > 1, "nothing moves"

    def test_warts(self, tiny: Path, truth: pd.DataFrame) -> None:
        expression, va, units = (read_tracks(tiny, s) for s in ("EXPR_Set", "VA_Set", "AU_Set"))
        names = expression.keys() | va.keys()
        stems = [n.removesuffix("_left") for n in names if n.endswith("_left")]
        assert any(f"{s}_right" in names for s in stems)
        assert any(n.endswith("_right") and n.removesuffix("_right") in names for n in names)
        assert expression.keys() - va.keys()
        assert va.keys() - expression.keys()
        assert expression.keys() & va.keys()
        assert units.keys() - expression.keys() - va.keys()
        assert (expression.keys() & va.keys()) - units.keys()
        assert expression.keys() & va.keys() & units.keys()
        assert any(s == "Train_Set" and va.get(n, [""])[0] == "Validation_Set" for n, (s, _) in units.items())
        assert any(s == "Train_Set" and va.get(n, [""])[0] == "Validation_Set" for n, (s, _) in expression.items())
        assert min(len(rows) for _, rows in expression.values()) < 32
        invalid = np.concatenate([rows == -5 for _, rows in va.values()])
        assert {(True, False), (False, True), (True, True)} <= set(map(tuple, invalid.tolist()))
        assert any((rows == -1).any() for _, rows in expression.values())
        left_out = np.concatenate([(rows == -1).sum(axis=1) for _, rows in units.values()])
        assert 12 in left_out, "no frame without all units"
        assert ((left_out > 0) & (left_out < 12)).any(), "no frame without some units"
        missing = truth[(truth.database == "affwild2") & truth.image_missing]
        last = truth[truth.database == "affwild2"].groupby("video").frame.max()
        at_the_end = missing.frame == missing.video.map(last)
        assert at_the_end.any(), "no label file has more rows than there are images"
        assert missing[missing.frame < missing.video.map(last) - 8].video.nunique() > 2, "no gaps inside"

    def test_crops_are_112_pixels(self, tiny: Path) -> None:
        files = list((tiny / "affwild2" / "cropped_aligned").glob("*/*.jpg"))
        assert {cv2.imread(str(f)).shape for f in files[::37]} == {(112, 112, 3)}


class TestExpW:
    def test_lines_have_boxes_on_the_photo(self, tiny: Path) -> None:
        across, sizes = 0, set()
        for name, _, *box, _, _ in read_expw(tiny):
            top, left, right, bottom = map(int, box)
            assert left < right
            assert top < bottom
            if not (file := tiny / "expw" / "image" / name).is_file():
                continue
            height, width, _ = cv2.imread(str(file)).shape
            assert left < width
            assert top < height
            assert right > 0
            assert bottom > 0
            across += left < 0 or top < 0 or right > width or bottom > height
            sizes.add((width, height))
        assert across
        assert len(sizes) > 10

    def test_labels_are_those_of_the_boxed_face(self, tiny: Path, truth: pd.DataFrame) -> None:
        drawn = truth[truth.database == "expw"].set_index(["video", "frame"])
        ours = expw.CLASSES
        lines = read_expw(tiny)
        assert len(lines) == len(drawn)
        wrong = 0
        for name, face_id, *_, expression in lines:
            face = drawn.loc[(name, int(face_id))]
            assert (ours[int(expression)] != face.expression) == face.expression_noisy
            wrong += face.expression_noisy
        assert 0 < wrong < 0.25 * len(lines)

    def test_boxes_of_a_photo_are_in_the_order_of_its_faces(self, tiny: Path) -> None:
        lefts: dict[str, list[int]] = {}
        for name, _, _, left, *_ in read_expw(tiny):
            lefts.setdefault(name, []).append(int(left))
        assert {len(v) for v in lefts.values()} == {1, 2, 3, 4}
        assert all(v == sorted(v) for v in lefts.values())

    def test_a_photo_is_missing(self, tiny: Path) -> None:
        named = {line[0] for line in read_expw(tiny)}
        assert len(named - {p.name for p in (tiny / "expw" / "image").iterdir()}) == 1


class TestAfewVa:
    def test_layout(self, tiny: Path) -> None:
        assert [p.name for p in sorted((tiny / "afew_va").iterdir())] == [f"{k:02d}" for k in range(1, 13)]
        for folder, frames in clips(tiny):
            assert sorted(frames) == sorted(p.stem for p in folder.glob("*.png"))
            assert (folder / f"{folder.name}.json").is_file()

    def test_labels_are_whole_steps_near_the_truth(self, tiny: Path, truth: pd.DataFrame) -> None:
        drawn = truth[truth.database == "afew_va"].set_index("image")
        for folder, frames in clips(tiny):
            for name, frame in frames.items():
                face = drawn.loc[f"{folder.parent.name}/{folder.name}/{name}.png"]
                for dimension in ("valence", "arousal"):
                    assert isinstance(frame[dimension], int)
                    assert abs(frame[dimension]) <= 10
                    assert abs(frame[dimension] / 10 - face[dimension]) < 0.5

    def test_landmarks_are_a_face(self, tiny: Path) -> None:
        for folder, frames in clips(tiny):
            for name, frame in frames.items():
                points = np.array(frame["landmarks"])
                assert points.shape == (68, 2)
                left, right = points[36:42].mean(axis=0), points[42:48].mean(axis=0)
                across = right - left
                down = np.array([-across[1], across[0]]) / np.hypot(*across)
                depth = (points - (left + right) / 2) @ down / np.hypot(*across)
                assert left[0] < right[0]
                assert depth[48:68].min() > depth[30] > depth[27], "mouth below the nose below the eyes"
                assert depth[17:27].mean() < 0 < depth[8], "brows above, chin below"
                assert depth[57] > depth[51], "lower lip below the upper"
                assert depth[8] > depth[48:68].max()
                along = points @ across
                for part in ([0, 8, 16], range(17, 27), [31, 33, 35], [36, 39, 42, 45], [48, 51, 54]):
                    assert (np.diff(along[list(part)]) > 0).all(), "from left to right"
                height, width, _ = cv2.imread(str(folder / f"{name}.png")).shape
                middle = points[17:68].mean(axis=0)
                assert 0 < middle[0] < width
                assert 0 < middle[1] < height

    def test_eyes_are_drawn_where_the_landmarks_are(self, tiny: Path) -> None:
        darker = []
        for folder, frames in clips(tiny):
            name = min(frames)
            grey = cv2.imread(str(folder / f"{name}.png"), cv2.IMREAD_GRAYSCALE).astype(float)
            points = np.array(frames[name]["landmarks"])
            eyes = [points[36:42].mean(axis=0), points[42:48].mean(axis=0)]
            skin = [(eye * 0.55 + points[mouth] * 0.45) for eye, mouth in zip(eyes, (48, 54), strict=True)]
            at = [np.mean([_mean_around(grey, p) for p in places]) for places in (eyes, skin)]
            darker.append(at[0] < at[1])
        assert np.mean(darker) > 0.75

    def test_heads_lean(self, tiny: Path) -> None:
        leans = []
        for _, frames in clips(tiny):
            across = np.diff(
                [np.mean(f["landmarks"][a : a + 6], axis=0) for f in frames.values() for a in (36, 42)], axis=0
            )
            leans.append(np.degrees(np.arctan2(across[0, 1], across[0, 0])))
        assert np.std(leans) > 3


def _mean_around(grey: np.ndarray, place: np.ndarray) -> float:
    x, y = np.rint(place).astype(int)
    return float(grey[y - 2 : y + 3, x - 2 : x + 3].mean())


class TestAffectNet:
    def test_lists(self, tiny: Path) -> None:
        training, validation = read_affectnet(tiny, "training"), read_affectnet(tiny, "validation")
        assert training[0][0] == "subDirectory_filePath"
        assert validation[0][0] != "subDirectory_filePath"
        for row in [*training[1:], *validation]:
            assert len(row) == 9
            assert len(row[5].split(";")) == 136

    def test_classes_outside_the_seven_have_no_dimensions(self, tiny: Path, truth: pd.DataFrame) -> None:
        drawn = truth[truth.database == "affectnet"].set_index("video")
        ours = EXPRESSION.places(affectnet.NATIVE)
        rows = [*read_affectnet(tiny, "training")[1:], *read_affectnet(tiny, "validation")]
        assert len(rows) == len(drawn)
        assert {int(r[6]) for r in rows} == set(range(11))
        for path, *_, label, valence, arousal in rows:
            face, expression = drawn.loc[path], ours[int(label)]
            assert (expression == -1) == face.expression_invalid == face.va_invalid
            if expression == -1:
                assert (valence, arousal) == ("-2", "-2")
                assert face.expression == -1
            else:
                assert (expression != face.expression) == face.expression_noisy
                assert abs(float(valence) - face.valence) < 0.4

    def test_landmarks_are_on_the_picture(self, tiny: Path) -> None:
        folder = tiny / "affectnet" / "Manually_Annotated_compressed" / "Manually_Annotated_Images"
        for path, x, y, w, h, landmarks, *_ in read_affectnet(tiny, "validation"):
            height, width, _ = cv2.imread(str(folder / path)).shape
            points = np.array(landmarks.split(";"), float).reshape(-1, 2)
            middle = points.mean(axis=0)
            assert 0.2 * width < middle[0] < 0.8 * width
            assert 0.2 * height < middle[1] < 0.8 * height
            assert points.min(axis=0).astype(int).tolist() == [int(x), int(y)]
            assert int(w) > 40
            assert int(h) > 40
