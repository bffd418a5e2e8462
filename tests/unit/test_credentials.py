"""Passwords and keys that were typed: refused, or hidden wherever they would be written."""

from __future__ import annotations

import pytest
from checkpoints import make_checkpoint

from abaw_ray import cli
from abaw_ray.credentials import without_secrets
from abaw_ray.errors import ConfigurationError, MissingInputError
from abaw_ray.inference.inputs import find_inputs
from abaw_ray.jobs.arguments import parse
from abaw_ray.jobs.submit import find_address
from abaw_ray.storage import as_path

SECRET = "s3cr3t"
URIS = [
    f"s3://KEY:{SECRET}@bucket/run",
    f"s3://KEY:{SECRET}/with/slashes@bucket/run",
    f"s3://bucket/run?region=us-east-1&secret_key={SECRET}",
    f"s3://bucket/run?X-Amz-Signature={SECRET}",
    f"s3://bucket/run?aws_session_token={SECRET}&scheme=http",
    f"abfs://:{SECRET}@account/container/run",
    f"abfs://container@account/run?client_secret={SECRET}",
    f"https://storage/run?sp=r&sig={SECRET}",
    f"hdfs://user:{SECRET}@host:9000/run",
]
PLAIN = [
    "s3://bucket/run",
    "s3://bucket/run@2/a:b?endpoint_override=localhost:9000&scheme=http&region=us-east-1",
    "gs://anonymous@bucket/run",
    "hdfs://host:9000/run@2",
    "/data/my:file@home",
    "abfs://container@account/run",
    "no such task; expected one of key: value, a@b",
]


@pytest.mark.parametrize("uri", URIS)
def test_a_store_s_uri_holds_no_secret_and_the_message_does_not_repeat_it(uri):
    with pytest.raises(ConfigurationError, match=r"\*\*\*.*found a password or a key") as error:
        as_path(uri)
    assert SECRET not in str(error.value)
    assert SECRET not in without_secrets(f"cannot read {uri}: refused ('{uri}')")


@pytest.mark.parametrize("text", PLAIN)
def test_other_texts_stay_as_they_are(text):
    assert without_secrets(text) == text


@pytest.mark.parametrize("variable", [None, "RAY_API_SERVER_ADDRESS", "RAY_ADDRESS"])
def test_a_dashboard_s_address_holds_no_secret(monkeypatch, variable):
    for name in ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    address = f"https://user:{SECRET}@proxy/ray"
    if variable:
        monkeypatch.setenv(variable, address)
    with pytest.raises(ConfigurationError, match="RAY_JOB_HEADERS") as error:
        find_address(None if variable else address)
    assert SECRET not in str(error.value)


def test_a_camera_is_opened_with_its_password_which_nothing_shows():
    address = f"rtsp://user:{SECRET}@192.0.2.1/stream?token={SECRET}"
    (camera,), _ = find_inputs([f"camera:{address}"])
    assert camera.device == address
    assert camera.source == "camera:rtsp://user:***@192.0.2.1/stream?token=***"
    assert SECRET not in camera.name
    assert SECRET not in repr(camera)


def test_a_job_s_arguments_hold_no_secret():
    line = ["predict", f"camera:rtsp://user:{SECRET}@192.0.2.1/stream", "--model", "/runs/a", "--out", "/out"]
    with pytest.raises(ConfigurationError, match=r"submit: camera:rtsp://user:\*\*\*@192") as error:
        parse(cli.app, line)
    assert SECRET not in str(error.value)


def test_the_command_s_messages_hide_them(monkeypatch, capsys):
    def failing(**options: object) -> None:
        raise MissingInputError(f"no camera rtsp://user:{SECRET}@192.0.2.1/stream")

    monkeypatch.setattr(cli, "app", failing)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == "abaw-ray: no camera rtsp://user:***@192.0.2.1/stream\n"


def test_what_the_environment_holds_is_in_no_checkpoint(monkeypatch, tmp_path):
    for name in ("RAY_AUTH_TOKEN", "AWS_SECRET_ACCESS_KEY", "HF_TOKEN"):
        monkeypatch.setenv(name, SECRET)
    folder = make_checkpoint(tmp_path / "checkpoint")
    assert not any(SECRET.encode() in file.read_bytes() for file in folder.iterdir())
