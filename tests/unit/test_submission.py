"""Submitting: what is checked before anything is sent."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from ray._private.runtime_env import packaging

from abaw_ray.cli import app
from abaw_ray.errors import ConfigurationError, MissingInputError, UserError
from abaw_ray.submission.arguments import PathArgument, parse
from abaw_ray.submission.package import measure
from abaw_ray.submission.paths import check_paths
from abaw_ray.submission.submit import entrypoint, find_address, make_id, plain_command

DISTILL = ["distill", "--store", "/mnt/abaw/store", "--teacher", "/mnt/abaw/teacher", "--out", "/mnt/abaw/runs/s 1"]
NOBODY = "http://127.0.0.1:1"


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
    prepare = given("prepare", "/s", "--database", "expw=/data/ExpW", "--recipe", "demo")
    assert prepare == {"STORE": ("/s", False), "--database": ("/data/ExpW", False)}
    tune = ["tune", "--store", "/s", "--out", "/o", "--space"]
    assert given(*tune, "my/space.py")["--space"] == ("my/space.py", True)
    assert "--space" not in given(*tune, "distillation")
    assert given("train", "--store", "/s", "--out", "/o", "--set", "model.weights=/w")["model.weights"] == ("/w", False)


@pytest.mark.parametrize(
    "arguments", [[], ["nothing"], ["submit", "train"], ["train", "--store", "/s", "--out", "/o", "--set", "train.x=1"]]
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
    elsewhere = PathArgument("--out", tmp_path / "no" / "folder")
    for argument in (store, out):
        assert f"--shared {tmp_path}" in refused(argument)
        assert not refused(argument, shared=(tmp_path.parent,))
        assert not refused(argument, here=True)
    assert not refused(elsewhere), "what is not here may be there"


@pytest.mark.parametrize("here", [False, True])
def test_relative_paths_are_for_what_travels(here):
    assert "thrown away" in refused(PathArgument("--out", Path("runs/new")), here=here)
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


def test_a_package_that_ray_would_refuse_is_refused_first(tmp_path, monkeypatch):
    (tmp_path / "small.py").write_bytes(b"1")
    (tmp_path / "large.bin").write_bytes(bytes(2**20))
    measure(tmp_path).check()
    monkeypatch.setattr(packaging, "GCS_STORAGE_MAX_SIZE", 2**20)
    with pytest.raises(ConfigurationError, match=r"(?s)2 files, 1\.0 MiB; expected less.*large\.bin: 1\.0"):
        measure(tmp_path).check()


def test_the_printed_command_is_the_job(tmp_path):
    verb = parse(app, DISTILL)
    submission_id = make_id(verb, now=0)
    assert submission_id.startswith("distill-s-1-1970")
    words = shlex.split(plain_command(verb, NOBODY, submission_id, tmp_path / "my code"))
    assert words[:4] == ["RAY_AUTH_MODE=token", "ray", "job", "submit"]
    assert words[words.index("--") + 1 :] == ["python", "-m", "abaw_ray", *DISTILL]
    assert words[words.index("--working-dir") + 1] == str(tmp_path / "my code")
    assert shlex.split(entrypoint(verb)) == words[words.index("--") + 1 :]


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
    for name in ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert find_address(option) == expected


def test_an_address_that_is_no_dashboard_is_refused():
    with pytest.raises(UserError, match="expected that of a dashboard"):
        find_address("10.0.0.1:6379")


def submit(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "abaw_ray", "submit", "--address", NOBODY, *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False)


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
