"""Submitting: what is checked before anything is sent."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from ray._private import ray_constants
from ray._private.runtime_env import packaging
from ray.job_submission import JobStatus

from abaw_ray.cli import app
from abaw_ray.errors import ConfigurationError, MissingInputError, UserError
from abaw_ray.jobs import following
from abaw_ray.jobs.arguments import PathArgument, parse
from abaw_ray.jobs.following import Following, LostJob
from abaw_ray.jobs.package import measure
from abaw_ray.jobs.paths import check_paths
from abaw_ray.jobs.submit import entrypoint, find_address, make_id, plain_command, ray_job

DISTILL = ["distill", "--store", "/mnt/abaw/store", "--teacher", "/mnt/abaw/teacher", "--out", "/mnt/abaw/runs/s 1"]
NOBODY = "http://127.0.0.1:1"


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch):
    """What the user of this machine has set does not matter."""
    for name in ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS", "RAY_AUTH_MODE", "ABAW_RAY_SHARED"):
        monkeypatch.delenv(name, raising=False)


def given(*arguments: str) -> dict[str, tuple[str, bool]]:
    """Option -> path and whether it travels."""
    return {p.option: (str(p.path), p.travels) for p in parse(app, list(arguments)).paths}


def test_every_path_of_a_command_is_found(tmp_path):
    recipe = tmp_path / "own.yaml"
    recipe.write_text("model: {weights: w.safetensors}\nprepare: {databases: {ferplus: {root: fer}}}\n")
    assert given(*DISTILL, "--recipe", str(recipe)) == {
        "--store": ("/mnt/abaw/store", False),
        "--teacher": ("/mnt/abaw/teacher", False),
        "--out": ("/mnt/abaw/runs/s 1", False),
        "--recipe": (str(recipe), True),
        "model.weights": ("w.safetensors", False),
        "prepare.databases.ferplus.root": ("fer", False),
    }
    both = [p.path for p in parse(app, [*DISTILL, "--teacher", "/mnt/abaw/other"]).paths if p.option == "--teacher"]
    assert both == [Path("/mnt/abaw/teacher"), Path("/mnt/abaw/other")]
    prepare = given("prepare", "/s", "--database", "expw=/data/ExpW", "--recipe", "demo")
    assert prepare == {"STORE": ("/s", False), "--database": ("/data/ExpW", False)}
    tune = ["tune", "--store", "/s", "--out", "/o", "--space"]
    assert given(*tune, "my/space.py")["--space"] == ("my/space.py", True)
    assert "--space" not in given(*tune, "distillation")
    assert given("train", "--store", "/s", "--out", "/o", "--set", "model.weights=/w")["model.weights"] == ("/w", False)
    several = parse(app, ["generations", "--store", "/s", "--out", "/o", "--recipe", "demo", "--recipe", str(recipe)])
    assert {"--recipe", "model.weights"} <= {p.option for p in several.paths}
    assert [p.path for p in several.paths if p.option == "--recipe"] == [recipe]


def test_what_the_job_writes_is_known():
    written = {
        (verb[0], p.option)
        for verb in (DISTILL, ["prepare", "/s"], ["demo", "/d"], ["evaluate", "/r", "--store", "/s", "--out", "/o"])
        for p in parse(app, verb).paths
        if p.is_written
    }
    assert written == {("distill", "--out"), ("prepare", "STORE"), ("demo", "OUT"), ("evaluate", "--out")}


def test_home_is_this_machines(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    verb = parse(app, ["prepare", "~/store", "--database=expw=~/ExpW", "--database", "ferplus=/a~/b"])
    assert verb.arguments == (
        "prepare",
        "/home/me/store",
        "--database=expw=/home/me/ExpW",
        "--database",
        "ferplus=/a~/b",
    )
    assert [str(p.path) for p in verb.paths] == ["/home/me/store", "/home/me/ExpW", "/a~/b"]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nothing"],
        ["submit", "train"],
        ["train", "--store", "/s", "--out", "/o", "--set", "train.x=1"],
        ["prepare", "/s", "--database", "expw"],
    ],
)
def test_what_cannot_be_submitted_is_refused(arguments):
    with pytest.raises(ConfigurationError):
        parse(app, arguments)


@pytest.mark.parametrize("arguments", [["train", "--store", "/s"], ["train", "--colour", "red"]])
def test_wrong_use_is_found_here(arguments):
    with pytest.raises(typer._click.exceptions.UsageError):
        parse(app, arguments)


def refused(argument: PathArgument, *, shared: tuple[Path, ...] = (), here: bool = False) -> str:
    """What is said of a path; empty if it may be used."""
    try:
        check_paths([argument], {"recipes/own.yaml"}, shared, here)
    except ConfigurationError as error:
        return str(error)
    return ""


def test_paths_that_only_this_machine_has_are_refused(tmp_path):
    store, out = PathArgument("--store", tmp_path), PathArgument("--out", tmp_path / "new")
    for argument in (store, out, PathArgument("--out", tmp_path / "several" / "new", is_written=True)):
        assert f"--shared {tmp_path}" in refused(argument)
        assert not refused(argument, shared=(tmp_path.parent,))
        assert not refused(argument, here=True)


def test_what_is_not_here_may_be_there(tmp_path):
    top = Path(*tmp_path.parts[:2])
    assert top.is_dir(), "as /mnt or /home, which all machines have"
    assert not refused(PathArgument("--store", tmp_path / "no" / "store"))
    assert not refused(PathArgument("--out", top / "no-such-folder" / "run", is_written=True))
    assert not refused(PathArgument("--out", Path("/no-such-folder/run"), is_written=True))


def test_a_shared_folder_is_not_left_by_its_parent(tmp_path):
    (tmp_path / "private").mkdir()
    outside = PathArgument("--store", tmp_path / "shared" / ".." / "private")
    assert f"--shared {tmp_path / 'private'}" in refused(outside, shared=(tmp_path / "shared",))


@pytest.mark.parametrize("here", [False, True])
def test_relative_paths_are_for_what_travels(here):
    assert "thrown away" in refused(PathArgument("--out", Path("runs/new")), here=here)
    assert "homes of their own" in refused(PathArgument("model.weights", Path("~/w.safetensors")), here=here)
    assert not refused(PathArgument("--recipe", Path("recipes/own.yaml"), travels=True), here=here)
    assert ".gitignore" in refused(PathArgument("--recipe", Path("other.yaml"), travels=True), here=here)


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(ConfigurationError, match=r"(?s)--store.*--out"):
        check_paths([PathArgument("--store", Path("s")), PathArgument("--out", Path("o"))], set(), (), False)


def test_the_package_is_what_ray_sends(tmp_path):
    for name in ("recipe.yaml", ".git/objects/1", "data/big.bin", "__pycache__/x.pyc", "code/a.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"12345")
    (tmp_path / ".gitignore").write_text("data/\n")
    package = measure(tmp_path)
    assert set(package.sizes) == {"recipe.yaml", "code/a.py", ".gitignore"}
    target = tmp_path.parent / "package.zip"
    packaging.create_package(str(tmp_path), target, True, excludes=[".git", "__pycache__"])
    with packaging.ZipFile(target) as sent:
        assert set(sent.namelist()) == set(package.sizes)
        assert sum(entry.file_size for entry in sent.infolist()) == package.size


def test_gitignore_is_followed_as_ray_is_told(tmp_path, monkeypatch):
    (tmp_path / ".gitignore").write_text("data.bin\n")
    (tmp_path / "data.bin").write_bytes(b"1")
    monkeypatch.setenv("RAY_RUNTIME_ENV_IGNORE_GITIGNORE", "1")
    assert set(measure(tmp_path).sizes) == {".gitignore", "data.bin"}


@pytest.mark.parametrize(
    ("module", "limit"), [(packaging, "GCS_STORAGE_MAX_SIZE"), (ray_constants, "DASHBOARD_CLIENT_MAX_SIZE")]
)
def test_a_package_that_ray_would_refuse_is_refused_first(tmp_path, monkeypatch, module, limit):
    (tmp_path / "small.py").write_bytes(b"1")
    (tmp_path / "large.bin").write_bytes(bytes(2**20))
    measure(tmp_path).check()
    monkeypatch.setattr(module, limit, 2**20)
    with pytest.raises(ConfigurationError, match=r"(?s)2 files, 1\.0 MiB; expected less.*large\.bin: 1\.0"):
        measure(tmp_path).check()


def test_the_printed_command_is_the_job(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    verb = parse(app, DISTILL)
    submission_id = make_id(verb, now=0)
    assert submission_id.startswith("distill-s-1-1970")
    words = shlex.split(plain_command(verb, NOBODY, submission_id, tmp_path / "my code"))
    assert words[:4] == ["RAY_AUTH_MODE=token", "ray", "job", "submit"]
    assert words[words.index("--") + 1 :] == ["python", "-m", "abaw_ray", *DISTILL]
    assert words[words.index("--working-dir") + 1] == str(tmp_path / "my code")
    assert shlex.split(entrypoint(verb)) == words[words.index("--") + 1 :]


@pytest.mark.parametrize(
    ("environment", "variables"),
    [
        ({}, []),
        ({"RAY_AUTH_MODE": "token"}, ["RAY_AUTH_MODE=token"]),
        ({"RAY_AUTH_MODE": "disabled"}, ["RAY_AUTH_MODE=disabled"]),
        ({"RAY_API_SERVER_ADDRESS": "http://b:1"}, [f"RAY_API_SERVER_ADDRESS={NOBODY}"]),
        ({"RAY_ADDRESS": "10.0.0.1:6379"}, [f"RAY_API_SERVER_ADDRESS={NOBODY}"]),
    ],
)
def test_printed_lines_go_to_the_address_with_the_token(monkeypatch, environment, variables):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert shlex.split(ray_job("stop", NOBODY, "id")) == [*variables, "ray", "job", "stop", "--address", NOBODY, "id"]


@pytest.mark.parametrize(
    ("option", "environment", "expected"),
    [
        ("http://a:1/", {"RAY_API_SERVER_ADDRESS": "http://b:1"}, "http://a:1"),
        (None, {"RAY_API_SERVER_ADDRESS": "http://b:1", "RAY_ADDRESS": "http://c:1"}, "http://b:1"),
        (None, {"RAY_ADDRESS": "http://c:1"}, "http://c:1"),
        (None, {"RAY_ADDRESS": "10.0.0.1:6379"}, "http://127.0.0.1:8265"),
    ],
)
def test_the_dashboard_is_found(monkeypatch, option, environment, expected):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert find_address(option) == expected


@pytest.mark.parametrize(("option", "variable"), [("10.0.0.1:6379", "http://b:1"), (None, "10.0.0.1:8265")])
def test_an_address_that_is_no_dashboard_is_refused(monkeypatch, option, variable):
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", variable)
    with pytest.raises(UserError, match=r"10\.0\.0\.1:\d+: expected that of a dashboard"):
        find_address(option)


class Connection:
    """A job server whose answers are planned.

    Args:
        streams: one a call of `tail_job_logs`: parts of the output, an error among them breaks it.
        answers: one a call of `get_job_info`, a status or an error; the last one stays.
        logs: the whole output, or an error.
    """

    def __init__(self, streams: list[list[Any]], answers: list[Any], logs: Any) -> None:
        self.streams, self.answers, self.logs = streams, answers, logs

    async def tail_job_logs(self, submission_id: str) -> AsyncIterator[str]:
        for part in self.streams.pop(0):
            yield given_or_raised(part)

    def get_job_info(self, submission_id: str) -> Any:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return SimpleNamespace(status=given_or_raised(answer))

    def get_job_logs(self, submission_id: str) -> str:
        return str(given_or_raised(self.logs))


def given_or_raised(value: Any) -> Any:
    if isinstance(value, Exception):
        raise value
    return value


CUT = RuntimeError("closed unexpectedly")
GONE = ConnectionError("refused")


@pytest.mark.parametrize(
    ("streams", "answers"),
    [
        ([["one\ntwo\n", "three\n"]], [JobStatus.SUCCEEDED]),
        ([["one\n"], ["one\ntwo\n", "three\n"]], [GONE, JobStatus.RUNNING, JobStatus.SUCCEEDED]),
        ([["one\n", CUT], ["one\ntw", "o\nthree\n"]], [GONE, JobStatus.RUNNING, JobStatus.SUCCEEDED]),
        ([["one\ntwo\n", CUT], ["one\n", CUT]], [JobStatus.RUNNING, JobStatus.SUCCEEDED]),
        ([[CUT], [GONE]], [JobStatus.PENDING, JobStatus.SUCCEEDED]),
    ],
)
def test_output_is_shown_once_over_a_broken_connection(monkeypatch, capsys, streams, answers):
    monkeypatch.setattr(following, "POLL_SECONDS", 0)
    whole = "one\ntwo\nthree\n"
    client: Any = Connection(streams, answers, whole)
    assert Following(client, "id").to_the_end().status == "SUCCEEDED"
    assert capsys.readouterr().out == whole


def test_an_end_is_an_end_without_the_rest_of_the_output(capsys):
    client: Any = Connection([["one\n", CUT]], [JobStatus.FAILED], GONE)
    assert Following(client, "id").to_the_end().status == "FAILED"
    assert capsys.readouterr().out == "one\n"


def test_a_cluster_that_is_gone_is_not_waited_for_forever(monkeypatch):
    monkeypatch.setattr(following, "POLL_SECONDS", 0)
    monkeypatch.setattr(following, "LOST_SECONDS", 0.1)
    client: Any = Connection([[CUT]], [GONE], GONE)
    with pytest.raises(LostJob, match=r"no answer .*refused") as lost:
        Following(client, "id").to_the_end()
    assert lost.value.status == 1


def submit(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "abaw_ray", "submit", "--address", NOBODY, *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **variables}
    return subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False)


def test_nothing_is_sent_where_nobody_answers(tmp_path):
    done = submit(tmp_path, "--", *DISTILL)
    assert done.returncode == 2
    assert f"no Ray dashboard answers at {NOBODY}" in done.stderr
    assert "Traceback" not in done.stderr
    printed = submit(tmp_path, "--print", "--", *DISTILL)
    assert printed.returncode == 0, printed.stderr
    assert shlex.split(printed.stdout)[-len(DISTILL) :] == DISTILL
    relative = submit(tmp_path, "--print", "--", "train", "--store", "/mnt/abaw/store", "--out", "runs/new")
    assert relative.returncode == 2
    assert "--out runs/new: relative" in relative.stderr
    assert MissingInputError.status == 2


def test_shared_folders_are_named_in_the_environment(tmp_path):
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    line = ["--print", "--", "inspect", "expw", str(folders[1])]
    one = submit(tmp_path, *line, ABAW_RAY_SHARED=str(folders[0]))
    assert one.returncode == 2
    assert f"--shared {folders[1]}" in one.stderr
    both = submit(tmp_path, *line, ABAW_RAY_SHARED=os.pathsep.join(map(str, folders)))
    assert both.returncode == 0, both.stderr
