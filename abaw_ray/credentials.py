"""Passwords and keys in URIs: what is typed is written into runs, logs and messages, so that none may be in it."""

from __future__ import annotations

import re

HIDDEN = "***"

_USER = re.compile(r"(?<=://)([^/\s@:]*):(?!\d+(?:[/?]|$))[^\s]*@")
"""`user:password@`; keys of AWS may hold slashes. `host:9000/a@b` is none."""

_QUERY = re.compile(
    r"([?&][^=&#\s]*(?:secret|passw|token|key|credential|signature)[^=&#\s]*=|[?&]sig=)[^&#\s'\"]+", re.IGNORECASE
)


def without_secrets(text: str) -> str:
    """A text whose URIs have `***` for passwords, and for values of queries that are called secret, token or key."""
    return _QUERY.sub(rf"\g<1>{HIDDEN}", _USER.sub(rf"\g<1>:{HIDDEN}@", text))


def has_secrets(uri: str) -> bool:
    """Whether there is any of these in a URI."""
    return without_secrets(uri) != uri
