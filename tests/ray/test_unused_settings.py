"""Which settings a training reads: those that the command line calls unused are not among them, all others are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from test_loop import run, with_changes

from abaw_ray.cli.unused import unused_in
from abaw_ray.config import Recipe, Section
from abaw_ray.training.job import Job

SECTIONS = {type(value): name for name, value in Recipe() if isinstance(value, Section)}

READ_BY_RAY_TRAIN = {"checkpoint.best", "checkpoint.hang_minutes"}
"""Not by the training itself."""
READ_WITHOUT_EFFECT = {
    "augment.cutmix",
    "augment.gain",
    "augment.mixup",
    "augment.noise",
    "augment.spec_masks",
    "augment.views",
    "optim.decay",
    "optim.decay_epochs",
    "optim.decay_rate",
    "optim.min_rate",
    "optim.warmup_start",
    "temporal.joined",
    "train.layer_decay",
}
"""What views, the optimiser, the schedule and the run's description are built from, whether it changes them or not."""


def every_key() -> Iterator[str]:
    yield "seed"
    for section, name in SECTIONS.items():
        yield from (f"{name}.{key}" for key in section.model_fields)


def settings_read(monkeypatch: pytest.MonkeyPatch, job: Job, keep: Any) -> set[str]:
    """Dotted keys of the settings that a training reads."""
    found: set[str] = set()
    plain = Section.__getattribute__

    def read(self: Section, name: str) -> Any:
        if name in type(self).model_fields:
            found.add(f"{SECTIONS[type(self)]}.{name}" if type(self) in SECTIONS else name)
        return plain(self, name)

    with monkeypatch.context() as patch:
        patch.setattr(Section, "__getattribute__", read)
        run(job, keep)
    return found - set(Recipe.model_fields) | (found & {"seed"})


def test_settings_that_a_training_does_not_use_are_those_that_it_does_not_read(store, recipe, tmp_path, monkeypatch):
    short = with_changes(recipe, train={"epochs": 1})
    some_views = with_changes(short, augment={"views": 2})
    streams = with_changes(short, model={"encoders": {"face": "image_cnn"}})
    cnn, gru = (str(tmp_path / f"kept-{name}" / "0") for name in ("cnn", "gru"))
    common = (str(store), str(tmp_path / "run"))
    jobs = {
        "cnn": Job(short, *common),
        "cnn of some views": Job(some_views, *common),
        "streams": Job(streams, *common),
        "student": Job(short, *common, teachers=(cnn,)),
        "gru": Job(short, *common, cnn=cnn),
        "gru student": Job(short, *common, cnn=cnn, teachers=(gru,)),
    }
    for name, job in jobs.items():
        read = settings_read(monkeypatch, job, tmp_path / f"kept-{name}")
        unread, unused = set(every_key()) - read, set(unused_in(job, every_key()))
        assert unread - READ_BY_RAY_TRAIN <= unused, name
        assert unused - unread <= READ_WITHOUT_EFFECT, name
