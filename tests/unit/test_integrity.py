"""Damaged files: named, never taken for whole ones, never a traceback."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from checkpoints import make_checkpoint, small_recipe
from hypothesis import given
from hypothesis import strategies as st
from ray.train.v2._internal.execution.checkpoint.checkpoint_manager import _CheckpointManagerState
from stores import make_store

from abaw_ray.blocks.files import write_json, write_text
from abaw_ray.blocks.integrity import Expected, find_damage, require_whole
from abaw_ray.check import check_place
from abaw_ray.config import dump_recipe
from abaw_ray.errors import MissingInputError, StoreError
from abaw_ray.models import checkpoint
from abaw_ray.training.resume import restore
from abaw_ray.training.snapshot import CHECKPOINTS, SNAPSHOT, check_checkpoints

FILES = [checkpoint.DESCRIPTION, checkpoint.RECIPE, checkpoint.WEIGHTS, checkpoint.OPTIMIZER]
HELLO = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"  # sha256 of "hello", by sha256sum


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("whole") / "checkpoint")


@pytest.fixture(scope="module")
def spoilt(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place for copies of `whole`."""
    return tmp_path_factory.mktemp("spoilt") / "checkpoint"


def use(folder: Path) -> None:
    """All that is done with a checkpoint."""
    network = checkpoint.load(folder).network(torch.device("cpu"))
    restore(folder, network, torch.optim.Adam(network.parameters()))


def test_a_whole_checkpoint_is_used(whole: Path) -> None:
    use(whole)
    report = check_place(whole)
    assert (report.ok, report.kind, report.num_files) == (True, "checkpoint", 4)


@pytest.mark.parametrize("name", FILES)
@given(data=st.data())
def test_a_changed_or_lost_byte_anywhere_is_found(name: str, data: st.DataObject, whole: Path, spoilt: Path) -> None:
    shutil.rmtree(spoilt, ignore_errors=True)
    shutil.copytree(whole, spoilt)
    content = bytearray((whole / name).read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[place] ^= data.draw(st.integers(1, 255))
    else:
        del content[place:]
    if name == checkpoint.DESCRIPTION and same_values(bytes(content), (whole / name).read_bytes()):
        return
    (spoilt / name).write_bytes(content)
    with pytest.raises(StoreError, match=name):
        use(spoilt)
    report = check_place(spoilt)
    assert [finding.path for finding in report.findings] == [str(spoilt / name)]


def same_values(text: bytes, other: bytes) -> bool:
    """Whether JSON differs in nothing but blanks, or in digits that make no other number."""
    try:
        return bool(json.loads(text) == json.loads(other))
    except ValueError:
        return False


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda values: values | {"colour": "red"}, "colour: Extra inputs"),
        (lambda values: values | {"epoch": "first"}, "epoch: Input should be a valid integer"),
        (lambda values: values | {"tasks": 3}, "tasks"),
        (lambda values: values | {"version": 1}, "version: Input should be 4"),
        (lambda values: values | {"epoch": values["epoch"] + 1}, "content hash"),
        (lambda values: {}, "role: Field required"),
        (lambda values: [values], "a JSON list"),
    ],
)
def test_a_changed_description_is_refused(whole: Path, tmp_path: Path, change: Callable, found: str) -> None:
    shutil.copytree(whole, tmp_path / "c")
    file = tmp_path / "c" / checkpoint.DESCRIPTION
    file.write_text(json.dumps(change(json.loads(file.read_text()))))
    with pytest.raises(StoreError, match=rf"checkpoint\.json: .*{found}"):
        checkpoint.load(tmp_path / "c")


def test_damage_is_found_in_the_order_of_the_files(tmp_path: Path) -> None:
    files = []
    for name, content in {"a": "hello", "b": "hallo", "c": "hello"}.items():
        (tmp_path / name).write_text(content)
        files.append(Expected(tmp_path / name, HELLO))
    (tmp_path / "c").unlink()
    (tmp_path / "d").mkdir()
    seen: list[tuple[int, int]] = []
    damages = find_damage([*files, Expected(tmp_path / "d", HELLO)], lambda *p: seen.append(p))
    assert [d.path.name for d in damages] == ["b", "c", "d"]
    assert damages[0].found.startswith("found the hash d3751d33f9cd, expected 2cf24dba5fb0")
    assert damages[1].found == "it is not there"
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    with pytest.raises(StoreError, match=r"b: damaged \(2 files are\), found the hash .*; mend it"):
        require_whole(files, "mend it")


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("hello")
    require_whole([Expected(file, HELLO)], "")
    file.write_text("hallo")
    with pytest.raises(StoreError, match="damaged"):
        require_whole([Expected(file, HELLO)], "")


def test_every_damaged_file_of_a_store_is_listed(tmp_path: Path) -> None:
    made = make_store(tmp_path / "store")
    report = check_place(made.path)
    assert (report.ok, report.kind) == (True, "store")
    labels = [made.path / "labels" / name for name in ("expression.arrow", "unseen/expression.arrow")]
    spoilt = [made.path / "index.arrow", *labels, *sorted((made.path / "blocks").rglob("*.arrow"))[:2]]
    for file in spoilt:
        file.write_bytes(file.read_bytes()[:-1])
    report = check_place(made.path)
    assert [f.path for f in report.findings] == [str(file) for file in spoilt]
    assert all("--verify" in f.remedy for f in report.findings)
    assert not report.to_dict()["ok"]


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match=r"found none of sweep\.json.*expected a store, features"):
        check_place(tmp_path)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """An unfinished run: its best checkpoint, of the first epoch, and its latest, of the third."""
    folder = tmp_path / "run"
    for epoch in (0, 2):
        made = make_checkpoint(folder / f"epoch-{epoch:04d}", seed=epoch)
        described = checkpoint.read_description(made)
        stopping = {"patience": 5, "best": 0.5, "best_epoch": 0, "num_bad": epoch}
        described.model_copy(update={"epoch": epoch, "stopping": stopping}).save(made, described.files)
    recipe = small_recipe()
    write_json(folder / "job.json", {"recipe": recipe.model_dump(mode="json")})
    write_text(folder / "recipe.yaml", dump_recipe(recipe))
    lines = [json.dumps({"epoch": epoch, "criterion": 0.5}) + "\n" for epoch in range(3)]
    write_text(folder / "metrics.jsonl", "".join(lines))
    names = sorted(path.name for path in folder.glob(CHECKPOINTS))
    write_json(folder / SNAPSHOT, {"checkpoint_results": [{"checkpoint_dir_name": name} for name in names]})
    return folder


def spoil(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-10])


def test_a_whole_run_is_left_as_it_is(run: Path) -> None:
    before = (run / SNAPSHOT).read_bytes()
    check_checkpoints(run)
    assert (run / SNAPSHOT).read_bytes() == before
    assert check_place(run).ok


@pytest.mark.parametrize("name", FILES)
def test_a_run_goes_on_from_the_checkpoint_before_a_damaged_one(run: Path, name: str) -> None:
    latest = run / "epoch-0002"
    spoil(latest / name)
    message = rf"{name}.*; remove {latest} to go on from the checkpoint before, epoch-0000; --fresh replaces the run$"
    with pytest.raises(StoreError, match=message):
        check_checkpoints(run)
    assert [f.path for f in check_place(run).findings] == [str(latest / name)]
    shutil.rmtree(latest)
    check_checkpoints(run)
    assert resumed_from(run) == ("epoch-0000", ["epoch-0000"])
    assert check_place(run).ok


def test_a_run_whose_best_checkpoint_is_damaged_begins_again(run: Path) -> None:
    spoil(run / "epoch-0000" / checkpoint.WEIGHTS)
    with pytest.raises(StoreError, match=r"model\.safetensors: damaged, .*\d; --fresh replaces the run$"):
        check_checkpoints(run)
    shutil.rmtree(run / "epoch-0000")
    with pytest.raises(StoreError, match="best checkpoint so far, of epoch 1, is not there; --fresh"):
        check_checkpoints(run)


@pytest.mark.parametrize("content", ["", '{"checkpoint_results": [{"che', "[]", '{"checkpoint_results": [3]}'])
def test_a_damaged_list_of_checkpoints_is_made_anew(run: Path, content: str) -> None:
    (run / SNAPSHOT).write_text(content)
    check_checkpoints(run)
    assert resumed_from(run) == ("epoch-0002", ["epoch-0002", "epoch-0000"])


def resumed_from(run: Path) -> tuple[str, list[str]]:
    """What Ray Train reads: the latest checkpoint, and all from the worst to the best."""
    state = _CheckpointManagerState.parse_obj(json.loads((run / SNAPSHOT).read_text()))
    assert len(state.checkpoint_results) == len(state.checkpoint_report_indices)
    assert state.latest_checkpoint_result is not None
    names = [result.checkpoint_dir_name for result in state.checkpoint_results]
    return state.latest_checkpoint_result.checkpoint_dir_name, names
