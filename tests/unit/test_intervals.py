"""Sums give the scores, and intervals are as wide as groups of frames make them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from abaw_ray.config import LossConfig, ModelConfig
from abaw_ray.evaluation.fitting import fit_decisions
from abaw_ray.evaluation.groups import first_part, groups_of
from abaw_ray.evaluation.intervals import score_intervals
from abaw_ray.evaluation.predictions import prediction_table, scores_by_database
from abaw_ray.spaces import LabelSpace
from abaw_ray.tasks import build_tasks
from abaw_ray.tasks.base import Decision, Task
from abaw_ray.tasks.multiclass import Multiclass
from abaw_ray.tasks.sums import Summed, Weighed

COLOUR = LabelSpace(name="colour", kind="multiclass", names=("red", "green", "blue", "grey"))
SIGNS = LabelSpace(name="signs", kind="multilabel", names=("a", "b", "c"))
SIZES = LabelSpace(name="sizes", kind="regression", names=("width", "height"), low=0, high=10)
SPACES = (COLOUR, SIGNS, SIZES)
NO_NUMBERS = {"num_frames", "thresholds", "num_never_present"}
"""What `score` gives beside scores."""
TASKS = build_tasks(SPACES, LossConfig(), ModelConfig(), options={"sizes": {"form": "plain"}})


def drawn(space: LabelSpace, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Labels, some of whose numbers are not known, and predictions that have something to do with them."""
    if space.kind == "multiclass":
        classes = rng.integers(0, 3, n)
        labels = np.eye(4)[classes]
        labels[rng.random(n) < 0.5, 3] = np.nan
        return labels, (rng.dirichlet(np.ones(4), n) + 0.4 * np.eye(4)[classes]) / 1.4
    if space.kind == "multilabel":
        labels = (rng.random((n, 3)) < 0.3).astype(float)
        predictions = np.clip(0.3 * labels + rng.random((n, 3)) * 0.7, 0, 1)
    else:
        labels = rng.uniform(0, 10, (n, 2))
        predictions = np.clip(labels + rng.normal(1, 2, (n, 2)), 0, 10)
    labels[rng.random(labels.shape) < 0.2] = np.nan
    return labels, predictions


def made(n: int = 600, length: int = 10, seed: int = 0, databases: int = 2) -> pa.Table:
    """Videos of `length` frames; every third frame has no label of the first task."""
    rng, number = np.random.default_rng(seed), np.arange(n)
    found = {space.name: drawn(space, n, rng) for space in SPACES}
    found["colour"][0][number % 3 == 0] = np.nan
    return prediction_table(
        spaces=SPACES,
        database=[f"db{i * databases // n}" for i in range(n)],
        video=[f"v{i // length}" for i in range(n)],
        frame=number % length,
        seen=np.ones(n, bool),
        labels={name: labels for name, (labels, _) in found.items()},
        predictions={name: predictions.astype(np.float32) for name, (_, predictions) in found.items()},
    )


def intervals_of(table: pa.Table, tasks: dict[str, Task] | None = None) -> tuple[dict, dict]:
    tasks = tasks or TASKS
    decisions = fit_decisions(table, tasks)
    scores = scores_by_database(table, tasks, decisions)
    return score_intervals(table, tasks, decisions, scores), scores


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 200), st.integers(1, 12), st.integers(0, 10_000))
def test_sums_of_all_groups_give_the_scores(num_frames: int, num_groups: int, seed: int):
    rng = np.random.default_rng(seed)
    for space in SPACES:
        task = TASKS[space.name]
        labels, predictions = drawn(space, num_frames, rng)
        kept = np.isfinite(labels).any(1)
        labels, predictions = labels[kept].astype(np.float32), predictions[kept].astype(np.float32)
        if not len(labels):
            continue
        assert isinstance(task, Summed)
        decision = task.fit_decision(labels, predictions)
        sums = task.score_sums(labels, predictions, decision, rng.integers(0, num_groups, len(labels)), num_groups)
        found, expected = task.scores_of_sums(sums.sum(0)), task.score(labels, predictions, decision)
        expected = {key: value for key, value in expected.items() if key not in NO_NUMBERS}
        if isinstance(task, Weighed):
            of_weights = task.scores_of_weights(labels, predictions, decision, np.ones((len(labels), 2)))
            found |= {k: v[0] for k, v in of_weights.items() if k != "average_precision"}
            found["average_precision"] = {k: v[0] for k, v in of_weights["average_precision"].items()}
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            assert found[key] == pytest.approx(value, abs=1e-9)


def test_intervals_are_nested_as_scores_and_hold_them():
    found, scores = intervals_of(made())
    assert list(found) == ["db0", "db1", "all"]
    for database, of_database in found.items():
        for name in TASKS:
            expected = scores[database][name].keys() - NO_NUMBERS
            assert of_database[name].keys() == expected
        low, high = of_database["criterion"]
        assert low < scores[database]["criterion"] < high
        low, high = of_database["sizes"]["ccc_width"]
        assert low < scores[database]["sizes"]["ccc_width"] < high
        assert of_database["colour"]["f1"].keys() == scores[database]["colour"]["f1"].keys()


def test_intervals_are_the_same_every_time():
    assert intervals_of(made())[0] == intervals_of(made())[0]


def shares(right: np.ndarray, video: list[str]) -> pa.Table:
    """Of two classes, frames that are right or not."""
    n = len(right)
    labels = np.tile([1.0, 0.0, 0.0, 0.0], (n, 1))
    predictions = np.where(right[:, None], labels, np.roll(labels, 1, axis=1))
    return prediction_table(
        spaces=[COLOUR],
        database=["a"] * n,
        video=video,
        frame=np.arange(n),
        seen=np.ones(n, bool),
        labels={"colour": labels},
        predictions={"colour": predictions},
    )


def accuracy_interval(right: np.ndarray, video: list[str]) -> list[float]:
    return intervals_of(shares(right, video), {"colour": TASKS["colour"]})[0]["all"]["colour"]["accuracy"]


@pytest.mark.parametrize("n", [400, 9_000])
def test_the_interval_of_a_share_is_that_of_the_binomial(n: int):
    """Of more groups than are drawn one by one, too."""
    right = np.arange(n) < 0.7 * n
    found = accuracy_interval(right, [f"v{i}" for i in range(n)])
    np.testing.assert_allclose(found, binom.ppf([0.025, 0.975], n, 0.7) / n, atol=0.15 * np.sqrt(0.21 / n))


def test_frames_of_one_video_count_once():
    """Every frame 20 times over is no more than once, if they are of one video; as videos of their own they are."""
    right = np.random.default_rng(0).random(150) < 0.6
    names = [f"v{i}" for i in range(150)]
    once = accuracy_interval(right, names)
    repeated = accuracy_interval(np.repeat(right, 20), np.repeat(names, 20).tolist())
    assert repeated == pytest.approx(once)
    apart = accuracy_interval(np.repeat(right, 20), [f"v{i}" for i in range(3_000)])
    assert apart[1] - apart[0] < 0.35 * (once[1] - once[0])


def test_intervals_cover_the_truth():
    """Of 100 samples of 60 videos each, whose frames are alike, about 95 have the true share in their interval."""
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(100):
        of_video = rng.beta(2, 1, 60)
        right = rng.random((60, 20)) < of_video[:, None]
        low, high = accuracy_interval(right.ravel(), np.repeat([f"v{i}" for i in range(60)], 20).tolist())
        covered += low <= 2 / 3 <= high
    assert covered >= 85


def test_one_video_has_no_interval():
    found, scores = intervals_of(made(n=40, length=40, databases=1))
    assert "all" in scores
    assert found == {}


def test_people_are_groups_where_they_are_known():
    """Two videos of one person are one group; a name means another person in another database."""
    table = shares(np.ones(6, bool), ["v0", "v1", "v2", "v3", "v4", "v4"])
    known = pa.array(["ann", "ann", "bob", None, None, None])
    table = table.set_column(table.schema.get_field_index("subject"), "subject", known)
    group, names = groups_of(table)
    assert [names[g] for g in group] == ["a/person/ann"] * 2 + ["a/person/bob", "a/video/v3"] + ["a/video/v4"] * 2
    other = table.set_column(0, "database", pa.array(["b"] * 6))
    assert not set(groups_of(other)[1]) & set(names)


@given(st.sets(st.text(min_size=1), min_size=2, max_size=40), st.randoms(use_true_random=False))
def test_parts_depend_on_names_alone_and_are_halves(names: set[str], random: Any):
    one, other = sorted(names), list(names)
    random.shuffle(other)
    parts = dict(zip(one, first_part(one), strict=True))
    assert parts == dict(zip(other, first_part(other), strict=True))
    assert sum(parts.values()) == (len(names) + 1) // 2


class Hardest(Multiclass):
    """A task whose score is no sum, though it inherits sums: the least F1 of a class."""

    def score(self, target: np.ndarray, prediction: np.ndarray, decision: Decision) -> dict[str, Any]:
        scores = super().score(target, prediction, decision)
        return scores | {"criterion": min(scores["f1"].values())}


@dataclass
class Foreign:
    """A task that has nothing but what predictions are scored with."""

    of: Task

    def __getattr__(self, name: str) -> Any:
        if name in ("score_sums", "scores_of_sums"):
            raise AttributeError(name)
        return getattr(self.of, name)


@pytest.mark.parametrize("form", ["overridden", "foreign"])
def test_a_task_without_sums_has_no_interval_and_that_is_said(form: str, caplog: pytest.LogCaptureFixture):
    """Nor has the criterion, of which it is a part; the other tasks keep theirs."""
    overridden = Hardest(COLOUR, LossConfig(), ModelConfig(), Multiclass.Options())
    task = overridden if form == "overridden" else Foreign(TASKS["colour"])
    with caplog.at_level(logging.WARNING):
        found, _ = intervals_of(made(), TASKS | {"colour": task})  # type: ignore[dict-item]
    assert found["all"].keys() == {"signs", "sizes"}
    (record,) = caplog.records
    assert record.getMessage().startswith("colour: ")


BY_RANK = {"signs": {"criterion": "mean_average_precision"}}


def test_a_criterion_of_ranks_has_an_interval():
    by_rank = build_tasks(SPACES, LossConfig(), ModelConfig(), options=BY_RANK)
    found, scores = intervals_of(made(), by_rank)
    of_signs, intervals = scores["all"]["signs"], found["all"]["signs"]
    assert of_signs["criterion"] == of_signs["mean_average_precision"]
    assert intervals["criterion"] == intervals["mean_average_precision"]
    low, high = intervals["criterion"]
    assert low < of_signs["criterion"] < high
    assert intervals["average_precision"].keys() == of_signs["average_precision"].keys()
    low, high = found["all"]["criterion"]
    assert low < scores["all"]["criterion"] < high


def test_draws_are_scored_alike_in_parts_and_at_once(monkeypatch: pytest.MonkeyPatch):
    at_once = intervals_of(made())[0]
    monkeypatch.setattr("abaw_ray.evaluation.intervals.MAX_WEIGHTS", 50_000)
    assert intervals_of(made())[0]["all"]["signs"] == at_once["all"]["signs"]


class Unweighed(Foreign):
    """A task that has sums, but nothing of frames that were drawn several times."""

    def score_sums(self, *arguments: Any) -> np.ndarray:
        return self.of.score_sums(*arguments)  # type: ignore[attr-defined]

    def scores_of_sums(self, sums: np.ndarray) -> dict[str, Any]:
        return self.of.scores_of_sums(sums)  # type: ignore[attr-defined]

    def __getattr__(self, name: str) -> Any:
        if name == "scores_of_weights":
            raise AttributeError(name)
        return getattr(self.of, name)


def test_a_criterion_that_is_no_sum_has_no_interval_and_other_scores_keep_theirs(caplog: pytest.LogCaptureFixture):
    by_rank = build_tasks(SPACES, LossConfig(), ModelConfig(), options=BY_RANK)
    tasks = by_rank | {"signs": Unweighed(by_rank["signs"])}
    with caplog.at_level(logging.WARNING):
        found, _ = intervals_of(made(), tasks)  # type: ignore[arg-type]
    assert found["all"].keys() == {"colour", "signs", "sizes"}
    assert found["all"]["signs"].keys() == {"macro_f1", "accuracy", "f1", "macro_f1_at_half", "jaccard"}
    (record,) = caplog.records
    assert record.getMessage().startswith("signs: ")


def test_a_nuisance_task_is_no_part_of_the_criterion():
    nuisance = build_tasks(SPACES, LossConfig(), ModelConfig(), options={"colour": {"role": "nuisance"}})
    found, scores = intervals_of(made(), nuisance)
    low, high = found["all"]["criterion"]
    assert low < scores["all"]["criterion"] < high < intervals_of(made())[0]["all"]["criterion"][0]
