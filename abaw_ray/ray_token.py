"""The token by which a user's commands and the Ray that they start know each other."""

from __future__ import annotations

import os
import secrets
import uuid
from contextlib import suppress
from pathlib import Path

from abaw_ray.disk import TEMPORARY

TOKEN_FILE = "~/.ray/auth_token"


def ensure_private_token() -> None:
    """Makes the user's token if there is none.

    Ray (2.60) makes one, too, for every Ray that it starts, but anyone on the machine may read its file, and of two
    commands that start at the same moment the second takes the token of the first away.
    """
    if os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH"):
        return
    if os.environ.get("RAY_AUTH_MODE", "token") != "token":
        return
    file = Path(TOKEN_FILE).expanduser()
    with suppress(OSError):  # another command was first; or Ray says what it misses
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.exists():
            return
        temporary = file.with_name(f"{TEMPORARY}{uuid.uuid4().hex}")
        try:
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
                stream.write(secrets.token_hex(32))
            os.link(temporary, file)
        finally:
            temporary.unlink(missing_ok=True)
