"""Kinds of streams, one file each: how samples are cut out, kept and read. A module here that defines `KIND` is one."""

from __future__ import annotations

from abaw_ray.errors import ConfigurationError
from abaw_ray.plugins import Registry
from abaw_ray.streams.base import Stream
from abaw_ray.streams.kind import Kind

KINDS: Registry[Kind] = Registry(__name__, "KIND", "kind of stream")


def kind_of(stream: Stream) -> Kind:
    """The kind of a stream.

    Raises:
        ConfigurationError: there is no such kind, or it has no such encoding.
    """
    kind = KINDS.get(stream.kind, f"stream {stream.name}")
    if stream.encoding not in kind.encodings:
        raise ConfigurationError(
            f"stream {stream.name}: found the encoding {stream.encoding!r}, expected one of {', '.join(kind.encodings)}"
        )
    return kind
