"""What generated (synthetic) data note of themselves: a drawing that was cut off is none, and damage is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from abaw_ray.config import load_recipe
from abaw_ray.databases.reading.generated import GENERATED
from abaw_ray.errors import ConfigurationError, StoreError
from abaw_ray.experiments import context
from abaw_ray.experiments.base import Plan
from abaw_ray.synthetic import generate
from abaw_ray.synthetic.ambiguous import generate_ambiguous
from abaw_ray.synthetic.layouts.emotic import NAME, generate_people
from abaw_ray.synthetic.speakers import generate_speakers
from abaw_ray.synthetic.subjects import generate_subjects
from abaw_ray.training.resources import Resources

SMALL = {"train": 3, "val": 2, "test": 1}
GENERATORS: dict[str, Callable[[Path], Any]] = {
    "faces": lambda out: generate(out, 0, "tiny", 1),
    "ambiguous": lambda out: generate_ambiguous(out, 0, "tiny"),
    "speakers": lambda out: generate_speakers(out, 0, "tiny"),
    "subjects": lambda out: generate_subjects(out, 0, "tiny"),
    "people": lambda out: generate_people(out, 0, SMALL),
}


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("content", [b"", b'{"synthetic": true, "se', b"[1, 2]", b"\xff\xfe"])
def test_a_damaged_note_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / GENERATED).write_bytes(content)
    with pytest.raises(StoreError, match=r"generated\.json: .* remove "):
        GENERATORS[name](tmp_path)
    assert (tmp_path / GENERATED).read_bytes() == content


@pytest.mark.parametrize("name", ["speakers", "subjects", "ambiguous", "faces"])
def test_data_of_another_kind_are_refused(tmp_path: Path, name: str) -> None:
    generate_people(tmp_path, 0, SMALL)
    with pytest.raises(ConfigurationError, match=r"holds other generated data .*choose another folder"):
        GENERATORS[name](tmp_path)


def test_people_that_were_cut_off_are_drawn_as_they_would_have_been(tmp_path: Path) -> None:
    def cut_off(done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    out, whole = tmp_path / "out", tmp_path / "whole"
    with pytest.raises(KeyboardInterrupt):
        generate_people(out, 2, SMALL, faces=True, progress=cut_off)
    assert not out.exists()
    generate_people(out, 2, SMALL, faces=True)
    generate_people(whole, 2, SMALL, faces=True)
    files = {path.relative_to(out) for path in out.rglob("*") if path.is_file()}
    assert files == {path.relative_to(whole) for path in whole.rglob("*") if path.is_file()}
    assert all((out / path).read_bytes() == (whole / path).read_bytes() for path in files if path.suffix != ".mat")


def test_people_without_their_note_are_not_taken_for_whole(tmp_path: Path) -> None:
    root = generate_people(tmp_path / "out", 2, SMALL)
    (tmp_path / "out" / GENERATED).unlink()
    next(iter(root.rglob("*.jpg"))).unlink()
    with pytest.raises(ConfigurationError, match="is not empty and not generated people in scenes"):
        generate_people(tmp_path / "out", 2, SMALL)


def test_an_experiment_refuses_people_of_another_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And takes those of its own as they are."""
    monkeypatch.setattr(context, "SIZES", {"tiny": SMALL, "small": {**SMALL, "train": 4}})
    prepared: list[Path] = []
    monkeypatch.setattr(Plan, "prepare", lambda self, database, root, settings: prepared.append(root))
    monkeypatch.setattr(context, "side_by_side", lambda *_: [])
    monkeypatch.setattr(context, "room", lambda _: 1)

    def run(size: str) -> None:
        context.run(Plan("context", tmp_path, load_recipe("context"), Resources(1), size=size))

    run("tiny")
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    run("tiny")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == files
    with pytest.raises(ConfigurationError, match=r"holds other generated data .*'train': 3"):
        run("small")
    with pytest.raises(ConfigurationError, match="unknown size 'large' of generated people in scenes"):
        run("large")
    assert prepared == [tmp_path / "data" / NAME] * 2
