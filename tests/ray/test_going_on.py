"""Runs that end in the middle of an epoch, or are given more epochs, go on as if nothing had been."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
import torch
from test_command import results
from test_interruption import running
from test_loop import weights

from abaw_ray.config import Recipe, dump_recipe


@pytest.fixture
def training(store: Path, recipe: Recipe, tmp_path: Path) -> list[str | Path]:
    (tmp_path / "small.yaml").write_text(dump_recipe(recipe))
    steps = ["--set", "sampling.steps_per_epoch=30", "--set", "model.head_dropout=0.5"]
    return ["train", "--store", store, "--recipe", tmp_path / "small.yaml", *steps]


@pytest.mark.slow
def test_a_training_that_is_killed_within_an_epoch_ends_as_one_that_was_not(training, tmp_path):
    often = [*training, "--set", "checkpoint.every=3 steps"]
    whole = results(*often, "--out", tmp_path / "whole")
    steps = tmp_path / "cut" / "steps"

    def is_within_the_second_epoch() -> bool:
        return any(folder.name > "0001-00000005" for folder in steps.glob("*")) if steps.is_dir() else False

    with running(*often, "--out", tmp_path / "cut") as command:
        command.wait_until(is_within_the_second_epoch)
        os.kill(command.pid, signal.SIGKILL)
    cut = results(*often, "--out", tmp_path / "cut")
    assert (cut["best"], cut["best_criterion"]) == (whole["best"], whole["best_criterion"])
    found = [weights(tmp_path / name / "epoch-0001") for name in ("whole", "cut")]
    assert all(torch.equal(found[0][key], found[1][key]) for key in found[0])
    losses = [
        [json.loads(line)["losses"] for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("whole", "cut")
    ]
    assert losses[0] == losses[1]
    assert not steps.exists()


@pytest.mark.slow
def test_a_run_that_is_extended_ends_as_one_that_was_longer_from_the_beginning(training, tmp_path):
    longer = ["--set", "train.epochs=3"]
    results(*training, "--out", tmp_path / "run")
    extended = results(*training, *longer, "--out", tmp_path / "run", "--extend")
    whole = results(*training, *longer, "--out", tmp_path / "whole")
    assert (extended["num_epochs"], extended["scores"]) == (3, whole["scores"])
    found = [weights(tmp_path / name / "epoch-0002") for name in ("whole", "run")]
    assert all(torch.equal(found[0][key], found[1][key]) for key in found[0])
