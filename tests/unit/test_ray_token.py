"""The token of a Ray that a command starts is the user's alone, and one for all commands."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from abaw_ray.ray_token import ensure_private_token


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / ".ray" / "auth_token"


def test_nobody_else_can_read_it(token: Path) -> None:
    ensure_private_token()
    assert len(token.read_text()) == 64
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert list(token.parent.iterdir()) == [token]


def test_commands_that_start_together_have_one(token: Path) -> None:
    def made(_: int) -> str:
        ensure_private_token()
        return token.read_text()

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(made, range(64)))) == 1


def test_that_of_a_user_is_kept(token: Path) -> None:
    token.parent.mkdir()
    token.write_text("mine")
    ensure_private_token()
    assert token.read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "value"), [("RAY_AUTH_TOKEN", "mine"), ("RAY_AUTH_TOKEN_PATH", "file"), ("RAY_AUTH_MODE", "disabled")]
)
def test_a_user_who_says_which_or_none_gets_no_other(token: Path, monkeypatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    ensure_private_token()
    assert not token.parent.exists()


def test_a_home_that_cannot_be_written_is_left_to_ray(token: Path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", "/dev/null")
    ensure_private_token()
