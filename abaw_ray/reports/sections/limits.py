"""What the numbers do not say, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from abaw_ray.preprocess.leaks import TWO_SPLITS
from abaw_ray.reports.markup import Markup, bullets, section
from abaw_ray.reports.run_data import RunData


def limits(runs: Sequence[RunData], synthetic: Sequence[str]) -> Markup:
    """The section."""
    return section("limits", "What these numbers do not say", bullets(dict.fromkeys(_limits(runs, synthetic))))


def _limits(runs: Sequence[RunData], synthetic: Sequence[str]) -> Iterator[str]:
    if synthetic:
        yield "The data are synthetic: nothing here says how well real faces are recognised."
    for run in runs:
        yield from _of_evaluation(run)
    yield from _of_data(runs)
    yield "Each run is one training. Another seed gives other scores; intervals do not contain that."
    if not synthetic and any(run.store is not None for run in runs):
        yield (
            "This page has pictures from the databases: their licences, and the people on them, decide whom it may be"
            " shown to."
        )
    yield (
        "Labels are what annotators saw in a face, which is not what somebody feels. A model that agrees with them does"
        " not know either."
    )


def _of_evaluation(run: RunData) -> Iterator[str]:
    values = run.evaluation.values
    if values["split"] == "validation":
        yield (
            "Scores are of the validation labels, by which the best epoch was chosen too: expect lower ones on data"
            " that nothing was chosen by."
        )
    if values.get("thresholds_fitted_on_these_frames"):
        yield "Thresholds of attributes were fitted on the frames that are scored with them."
    if values.get("smoothings_tried"):
        yield "Smoothing over time was chosen on the frames that are scored with it."
    unseen, total = values.get("num_frames_without_face", 0), values.get("num_frames", 0)
    if unseen:
        faceless = values.get("videos_without_face") or []
        none = f"; in {len(faceless):,} videos there is none, which are predicted as zeros" if faceless else ""
        yield (
            f"No face was found in {unseen:,} of {total:,} scored frames: they have the prediction of the last frame"
            f" with one{none}."
        )


def _of_data(runs: Sequence[RunData]) -> Iterator[str]:
    for run in runs:
        if run.manifest is None:
            continue
        leaks = sum(d.problems[TWO_SPLITS].count for d in run.manifest.databases if TWO_SPLITS in d.problems)
        if leaks and run.manifest.prepare.get("exclude_leaks", "none") == "none":
            yield f"{leaks:,} pictures are in two splits: what was learned by heart counts as recognised there."
        videos = sum(d.num_leaking_videos for d in run.manifest.databases)
        if videos and not run.manifest.prepare.get("exclude_leaking_videos", False):
            yield f"{videos:,} videos train one task and validate another, so their people are not new to the model."
        if run.store is not None and run.store.index.subjects.null_count == len(run.store.index):
            yield (
                "The store does not say who is on the pictures: the same people can be in training and validation, and"
                " whether the models do as well for everybody is not known."
            )
