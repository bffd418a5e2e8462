"""Commands that write a folder: two at a time, and after one that died at any moment."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
import ray.train

from abaw_ray import writer_lock
from abaw_ray.blocks.features import FeatureManifest
from abaw_ray.config import Recipe
from abaw_ray.errors import ConfigurationError, StorageError, StoreError
from abaw_ray.inference.blockwise import claimed
from abaw_ray.preprocess.prepare import prepare
from abaw_ray.synthetic import generate
from abaw_ray.training import trainer
from abaw_ray.training.job import Job
from abaw_ray.training.resources import Resources
from abaw_ray.training.trainer import JOB_FILE, finished
from abaw_ray.writer_lock import writer_lock as held

DIES_WHILE_IT_MOVES = """
import os, sys
from pathlib import Path
from abaw_ray import disk
from abaw_ray.synthetic import generate
move, num_moved = disk.move, 0
def dies(source, target):
    global num_moved
    num_moved += 1
    if num_moved == 3:
        os._exit(9)
    move(source, target)
disk.move = dies
generate(Path(sys.argv[1]), 0, "tiny", 1)
"""


class Started(Exception):
    """The training begins."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_lock, "PATIENCE", 0.1)


@pytest.fixture
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: object) -> None:
        raise Started

    monkeypatch.setattr(trainer, "ray_session", nullcontext)
    monkeypatch.setattr(trainer, "check_room", lambda resources: None)
    monkeypatch.setattr(trainer, "_run", run)


def fit(run: Path, fresh: bool = False) -> None:
    trainer.fit(Job(Recipe(), "store", str(run)), Resources(1), fresh, one_of_many=True)


def features(out: Path) -> None:
    manifest = FeatureManifest.model_construct(blocks=[])
    with claimed(out, manifest):
        pytest.fail("two write")


@pytest.mark.parametrize(
    "write",
    [
        fit,
        lambda out: fit(out, fresh=True),
        lambda out: generate(out, 0, "tiny", 1),
        lambda out: prepare(Recipe(), out, {"affwild2": {"root": "not read"}}),
        features,
    ],
    ids=["train", "train --fresh", "generate", "prepare", "features"],
)
def test_a_second_command_for_a_folder_is_refused(tmp_path: Path, no_ray: None, write: Callable[[Path], None]) -> None:
    with held(tmp_path, "anything"), pytest.raises(ConfigurationError, match=r"process \d+ on .* writes to it"):
        write(tmp_path)


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("last", ["nothing", "job.json", "recipe.yaml"])
def test_a_run_that_died_as_it_began_goes_on(
    tmp_path: Path, no_ray: None, monkeypatch: pytest.MonkeyPatch, last: str, fresh: bool
) -> None:
    """`last`: what was still written."""
    run = tmp_path / "run"
    with pytest.raises(Started):
        fit(run)
    assert {file.name for file in run.iterdir()} == {"job.json", "recipe.yaml"}
    whole = {file.name: file.read_bytes() for file in run.iterdir()}
    written = {"nothing": (), "job.json": ("job.json",), "recipe.yaml": ("job.json", "recipe.yaml")}[last]
    for name in whole:
        if name not in written:
            (run / name).unlink()
            (run / f".unfinished-{name}").write_bytes(b"{")
    with pytest.raises(Started):
        fit(run, fresh)
    assert {file.name: file.read_bytes() for file in run.iterdir()} == whole


@pytest.mark.parametrize("content", ["", '{"recipe": {"se', "[]"])
def test_a_cut_file_of_a_run_is_named_and_fresh_replaces_it(tmp_path: Path, no_ray: None, content: str) -> None:
    (tmp_path / JOB_FILE).write_text(content)
    with pytest.raises(StoreError, match=r"job\.json: found .*--fresh replaces"):
        fit(tmp_path)
    with pytest.raises(Started):
        fit(tmp_path, fresh=True)
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(StoreError, match=r"run\.json: found"):
        finished(Job(Recipe(), "store", str(tmp_path)))


def test_rays_own_files_on_a_full_disk(tmp_path: Path, no_ray: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise ray.train.ControllerError(OSError(28, "Error writing bytes to file"))

    monkeypatch.setattr(trainer, "_run", full)
    with pytest.raises(StorageError, match=r"run: cannot be written .*No space left.* are free there"):
        fit(tmp_path / "run")


def test_generated_data_whose_program_was_killed_as_it_moved_them_are_made_again(tmp_path: Path) -> None:
    command = [sys.executable, "-c", DIES_WHILE_IT_MOVES, str(tmp_path / "data")]
    assert subprocess.run(command, timeout=600).returncode == 9
    counts = generate(tmp_path / "data", 0, "tiny", 1)
    assert generate(tmp_path / "data", 0, "tiny", 1) == counts
    assert not list(tmp_path.rglob(".*"))
