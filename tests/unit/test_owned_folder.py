"""One writer a folder: who is refused and told what, and who goes on after a writer that died."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from object_store import ObjectStore

from abaw_ray import writer_lock
from abaw_ray.disk import TEMPORARY
from abaw_ray.errors import ConfigurationError
from abaw_ray.owned_folder import OwnedFolder
from abaw_ray.storage import AnyPath, as_path, files_below, remove_tree

HOLD = """
import sys, time
from abaw_ray import writer_lock
from abaw_ray.owned_folder import OwnedFolder
from abaw_ray.storage import as_path
writer_lock.BEAT, writer_lock.SILENCE, writer_lock.SETTLE = 0.1, 2, 0.1
folder = as_path(sys.argv[1])
with OwnedFolder(folder, "a run", ("job.json",)).held():
    (folder / "job.json").write_text("{}")
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in {"SILENCE": 2.0, "PATIENCE": 0.2, "SETTLE": 0.1}.items():
        monkeypatch.setattr(writer_lock, name, seconds)


@pytest.fixture(params=["here", "remote"])
def folder(request: pytest.FixtureRequest, object_store: ObjectStore, tmp_path: Path) -> AnyPath:
    return tmp_path / "run" if request.param == "here" else as_path(object_store.uri(f"{tmp_path.name}/run"))


def run_of(folder: AnyPath) -> OwnedFolder:
    return OwnedFolder(folder, "a run", ("job.json",))


@contextmanager
def other_process(folder: AnyPath) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the folder."""
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_a_second_writer_is_told_of_the_first(folder: AnyPath) -> None:
    with other_process(folder) as process:
        with pytest.raises(ConfigurationError) as raised, run_of(folder).held(fresh=True):
            pytest.fail("two write")
        assert f"process {process.pid} on {socket.gethostname()} (since 20" in str(raised.value)
        found = {name for name in files_below(folder) if not name.startswith(TEMPORARY)}  # it changes its file
        assert found == {"job.json", ".writer.json"}, "nothing is removed under a writer"
        process.communicate(timeout=300)
    assert files_below(folder) == {"job.json"}
    with run_of(folder).held():
        pass


def test_a_writer_that_was_killed_is_in_nobodys_way(folder: AnyPath) -> None:
    with other_process(folder) as process:
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=300)
        assert {"job.json", ".writer.json"} <= files_below(folder)
        with run_of(folder).held():
            assert read_pid(folder) == os.getpid()
    assert files_below(folder) == {"job.json"}


def test_a_writer_on_another_machine_is_seen_by_its_changes(folder: AnyPath, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system's locks do not reach from machine to machine."""
    monkeypatch.setattr(writer_lock.fcntl, "flock", no_locks)
    monkeypatch.setattr(writer_lock, "BEAT", 0.1)
    with run_of(folder).held():
        monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere")
        with pytest.raises(ConfigurationError, match=f"process {os.getpid()} on "), run_of(folder).held():
            pytest.fail("two write")
        monkeypatch.setattr(writer_lock, "BEAT", 1e6)  # from its next change on the writer is as if dead
        with run_of(folder).held():
            pass


def test_one_of_two_that_begin_in_a_bucket_together_is_refused(
    object_store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_lock, "SETTLE", 2.0)
    folder = as_path(object_store.uri(f"{tmp_path.name}/run"))
    both_looked, outcomes = threading.Barrier(2), []
    look = writer_lock._refuse_if_written

    def looked(file: AnyPath, is_locked: bool) -> None:
        look(file, is_locked)
        both_looked.wait(timeout=300)

    monkeypatch.setattr(writer_lock, "_refuse_if_written", looked)

    def hold() -> None:
        try:
            with run_of(folder).held():
                outcomes.append("held")
                time.sleep(3)
        except ConfigurationError:
            outcomes.append("refused")

    threads = [threading.Thread(target=hold) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=300)
    assert sorted(outcomes) == ["held", "refused"]


def test_what_is_not_ours_is_left_alone(folder: AnyPath) -> None:
    folder.mkdir()
    (folder / "photo.jpg").write_bytes(b"1")
    with pytest.raises(ConfigurationError, match="not empty and not a run"), run_of(folder).held(fresh=True):
        pytest.fail("not ours")
    assert files_below(folder) == {"photo.jpg"}
    with pytest.raises(ConfigurationError, match="not a folder"), run_of(folder / "photo.jpg").held():
        pytest.fail("not a folder")


def test_what_writers_that_died_left_does_not_count_and_is_removed(folder: AnyPath) -> None:
    for name in (".unfinished-1", "epoch-0001/.unfinished-2"):
        folder.mkdir(exist_ok=True)
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("half")
    (folder / "job.json").write_text("{}")
    with run_of(folder).held():
        assert files_below(folder) == {"job.json", ".writer.json"}


def test_fresh_removes_what_was_there(folder: AnyPath) -> None:
    with run_of(folder).held():
        (folder / "job.json").write_text("{}")
        (folder / "tensorboard").mkdir()
        (folder / "tensorboard" / "events").write_text("x")
    with run_of(folder).held(fresh=True):
        assert run_of(folder).is_empty
        assert files_below(folder) == {".writer.json"}


def test_a_removal_that_is_cut_off_can_be_repeated(folder: AnyPath, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    for name in ("a", "job.json", "z"):
        (folder / name).write_text(name)
    with monkeypatch.context() as patched:
        patched.setattr("abaw_ray.owned_folder.remove_tree", removing_all_but("job.json"))
        with pytest.raises(KeyboardInterrupt), run_of(folder).held(fresh=True):
            pytest.fail("cut off")
    assert files_below(folder) == {"job.json"}, "it is a run for as long as anything is in it"
    with run_of(folder).held(fresh=True):
        assert run_of(folder).is_empty


def test_what_is_to_be_whole_is_removed_when_it_fails(folder: AnyPath) -> None:
    entry = OwnedFolder(folder, "an entry")

    def write_and_be_stopped() -> None:
        with entry.held(whole=True):
            (folder / "a.txt").write_text("a")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_and_be_stopped()
    assert files_below(folder) == set()
    with entry.held(whole=True):
        (folder / "a.txt").write_text("a")
    assert files_below(folder) == {"a.txt"}


def test_a_folder_that_nothing_was_written_to_is_not_left(tmp_path: Path) -> None:
    with pytest.raises(KeyError), run_of(tmp_path / "run").held():
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def read_pid(folder: AnyPath) -> int:
    writer = writer_lock.read_writer(folder)
    assert writer is not None
    return writer.pid


def no_locks(descriptor: int, operation: int) -> None:
    raise OSError(38, "Function not implemented")


def removing_all_but(name: str) -> Callable[[AnyPath], None]:
    """A `remove_tree` during which Ctrl-C comes."""

    def remove(path: AnyPath) -> None:
        if path.name == name:
            raise KeyboardInterrupt
        remove_tree(path)

    return remove
