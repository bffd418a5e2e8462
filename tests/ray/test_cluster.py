"""Three nodes with token authentication: what is submitted runs on all of them, and ends as it ends."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_command import TIMEOUT

from abaw_ray.blocks.reader import Store
from abaw_ray.config import Recipe, dump_recipe
from abaw_ray.paper.steps import DATABASES

ROOT = Path(__file__).parents[2]
WAIT_SECONDS = 600

INTERRUPTIBLE = """
import signal
from abaw_ray.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)
main()
"""
"""The command; a shell that runs the tests in the background has its children ignore Ctrl-C."""


def harness() -> Any:
    """The module cluster/local.py."""
    spec = importlib.util.spec_from_file_location("local_cluster_harness", ROOT / "cluster" / "local.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Tunnel:
    """A port that leads to another one, as `kubectl port-forward` makes it, and can be cut and opened again."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._sockets: list[socket.socket] = []
        self.port = 0
        self.open()

    def open(self) -> None:
        listener = socket.create_server(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        self._sockets = [listener]
        threading.Thread(target=self._accept, args=[listener], daemon=True).start()

    def cut(self) -> None:
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                pair = (listener.accept()[0], socket.create_connection(("127.0.0.1", self._target)))
                self._sockets += pair
                for source, sink in (pair, pair[::-1]):
                    threading.Thread(target=_copy, args=[source, sink], daemon=True).start()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(2**16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


class Submitted:
    """`abaw-ray submit` in the background."""

    def __init__(self, address: str, folder: Path, environment: dict[str, str], *arguments: str) -> None:
        line = [sys.executable, "-c", INTERRUPTIBLE, "submit", "--address", address, "--", *arguments]
        self._out, self._err = folder / "out", folder / "err"
        with self._out.open("w") as out, self._err.open("w") as err:
            self.process = subprocess.Popen(line, cwd=folder, env=environment, stdout=out, stderr=err)

    @property
    def out(self) -> str:
        return self._out.read_text()

    @property
    def err(self) -> str:
        return self._err.read_text()

    def wait_for(self, pattern: str) -> str:
        """Waits for a line on either stream."""
        deadline = time.monotonic() + WAIT_SECONDS
        while not (found := re.search(pattern, self.out + self.err)):
            assert self.process.poll() is None, self.err
            assert time.monotonic() < deadline, self.err
            time.sleep(0.1)
        return found[0]

    def end(self) -> int:
        return self.process.wait(WAIT_SECONDS)


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    """A head without CPUs and two workers with one each."""
    with harness().local_cluster(num_nodes=3, cpus=1) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, recipe: Recipe) -> Path:
    """A working directory with a recipe."""
    made = tmp_path_factory.mktemp("working")
    (made / "small.yaml").write_text(dump_recipe(recipe))
    return made


def run(line: list[str], folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        line, cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT, check=False
    )


def submit(nodes: Any, folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return run([sys.executable, "-m", "abaw_ray", "submit", *map(str, arguments)], folder, nodes.environment)


@pytest.fixture(scope="module")
def environment(nodes: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A user with the token in ~/.ray/auth_token, and the address of another cluster in the environment."""
    home = tmp_path_factory.mktemp("home")
    (home / ".ray").mkdir()
    (home / ".ray" / "auth_token").write_text(Path(nodes.environment["RAY_AUTH_TOKEN_PATH"]).read_text())
    others = {name: value for name, value in nodes.environment.items() if not name.startswith(("RAY_AUTH", "RAY_ADDR"))}
    return {**others, "HOME": str(home), "RAY_API_SERVER_ADDRESS": "http://127.0.0.1:9"}


@pytest.fixture
def submitted(tmp_path: Path) -> Iterator[Any]:
    """Starts one; it does not outlive the test."""
    folder = tmp_path / "working"
    folder.mkdir()
    started: list[Submitted] = []

    def start(address: str, environment: dict[str, str], *arguments: str) -> Submitted:
        started.append(Submitted(address, folder, environment, *arguments))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.process.kill()


def logs(nodes: Any, submission_id: str) -> str:
    """A job's whole output, as its cluster has it."""
    token = Path(nodes.environment["RAY_AUTH_TOKEN_PATH"]).read_text()
    request = urllib.request.Request(
        f"{nodes.dashboard}/api/jobs/{submission_id}/logs", headers={"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        return str(json.load(answer)["logs"])


def test_prepare_uses_both_workers_and_writes_the_same_bytes(nodes, folder, databases, store, tmp_path):
    roots = [f"--database={name}={databases / name}" for name in DATABASES]
    done = submit(nodes, folder, "--", "prepare", tmp_path / "store", "--recipe", "small.yaml", *roots)
    assert done.returncode == 0, done.stderr + done.stdout
    assert re.search(r"sending .*: 1 files", done.stderr)
    assert "images" in done.stdout, "the job's output"
    assert Store(tmp_path / "store").manifest.content_hash == Store(store).manifest.content_hash
    line = ["ray", "list", "tasks", "--detail", "--format", "json", "--limit", "10000"]
    tasks = json.loads(run([str(Path(sys.executable).parent / line[0]), *line[1:]], folder, nodes.environment).stdout)
    assert len({task["node_id"] for task in tasks if task["type"] == "NORMAL_TASK" and task["node_id"]}) == 2


@pytest.mark.slow
def test_two_workers_train_on_two_nodes(nodes, folder, store, tmp_path):
    options = ["--store", store, "--recipe", "small.yaml", "--set", "train.epochs=1", "--workers", "2"]
    done = submit(nodes, folder, "--", "train", *options, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr + done.stdout
    placed = re.findall(r"worker (\d) of 2: node (\w+)", done.stdout)
    assert sorted(rank for rank, _ in placed) == ["1", "2"]
    assert len({node for _, node in placed}) == 2
    assert json.loads((tmp_path / "run" / "run.json").read_text())["num_epochs"] == 1


def test_the_printed_command_ends_as_the_job_does(nodes, folder, databases):
    printed = submit(nodes, folder, "--print", "--", "inspect", "expw", databases / "expw")
    assert printed.returncode == 0, printed.stderr
    assert shlex.split(printed.stdout)[-3:] == ["inspect", "expw", str(databases / "expw")]
    done = run(["bash", "-c", printed.stdout], folder, nodes.environment)
    assert done.returncode == 0, done.stderr
    assert "ExpW" in done.stdout


def test_the_status_of_the_job_is_passed_on(nodes, folder):
    done = submit(nodes, folder, "--", "inspect", "expw", "/no/such/folder")
    assert done.returncode == 2
    assert "no folder /no/such/folder" in done.stdout
    assert "FAILED" in done.stderr


def test_without_the_token_nothing_is_sent(nodes, folder, tmp_path):
    environment = {k: v for k, v in nodes.environment.items() if not k.startswith("RAY_AUTH")}
    line = [sys.executable, "-m", "abaw_ray", "submit", "--", "inspect", "expw", "/no/such/folder"]
    done = run(line, folder, {**environment, "HOME": str(tmp_path)})
    assert done.returncode == 2
    assert f"{nodes.dashboard} wants a token" in done.stderr
    assert "Traceback" not in done.stderr


def test_output_is_whole_over_a_connection_that_was_cut(nodes, environment, submitted, tmp_path):
    tunnel = Tunnel(int(nodes.dashboard.rpartition(":")[2]))
    job = submitted(
        f"http://127.0.0.1:{tunnel.port}", environment, "generate", str(tmp_path / "data"), "--size", "tiny"
    )
    submission_id = job.wait_for(r"generate-data-[0-9-]+\d")
    job.wait_for("Running entrypoint")
    tunnel.cut()
    job.wait_for("output is cut off")
    tunnel.open()
    assert job.end() == 0, job.err
    assert f"job {submission_id}: SUCCEEDED" in job.err
    assert job.out == logs(nodes, submission_id)
    assert "affectnet" in job.out, "its last lines"
    tunnel.cut()


def test_ctrl_c_leaves_the_job_running(nodes, environment, submitted, tmp_path):
    job = submitted(nodes.dashboard, environment, "generate", str(tmp_path / "data"), "--size", "medium")
    job.wait_for("Running entrypoint")
    job.process.send_signal(signal.SIGINT)
    assert job.end() == 130
    assert "the job goes on" in job.err
    assert "Traceback" not in job.err
    (stop,) = re.findall(r"(?m)^  to stop it: (.*)$", job.err)
    stopped = run(["bash", "-c", stop], tmp_path, environment)
    assert stopped.returncode == 0, stopped.stderr
    assert "was stopped" in stopped.stdout + stopped.stderr, "it ran until now"


def test_what_the_job_server_does_not_take_is_said(nodes, tmp_path):
    with (tmp_path / "large.bin").open("wb") as file:
        file.truncate(101 * 2**20)
    # our own check would refuse it first, by the limit that the server has
    code = (
        "from ray._private import ray_constants; ray_constants.DASHBOARD_CLIENT_MAX_SIZE = 2**30;"
        " from abaw_ray.cli import main; main()"
    )
    done = run([sys.executable, "-c", code, "submit", "--", "inspect", "expw", "/no"], tmp_path, nodes.environment)
    assert done.returncode == 2
    assert f"{nodes.dashboard} does not take the job: Request failed with status code 413" in done.stderr
    assert "Traceback" not in done.stderr
