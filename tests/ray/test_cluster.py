"""Three nodes with token authentication: what is submitted runs on all of them, and ends as it ends."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_command import TIMEOUT

from abaw_ray.blocks.reader import Store
from abaw_ray.config import Recipe, dump_recipe
from abaw_ray.pipeline import DATABASES

ROOT = Path(__file__).parents[2]


def harness() -> Any:
    """The module cluster/local.py."""
    spec = importlib.util.spec_from_file_location("local_cluster_harness", ROOT / "cluster" / "local.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
