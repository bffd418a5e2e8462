"""What a single file that is read may be: files of a few bytes can state, and unpack to, any size."""

from __future__ import annotations

import os
import stat
from pathlib import Path

MOST_PIXELS = 1 << 27
"""Of a picture, or a frame: 134 million, which decoded are 400 MB."""

MOST_SECONDS, LEAST_RATE = 6 * 3600, 1000
"""Of a sound track, which at 16 kHz takes 1.4 GB; and its samples a second, which are resampled to thousands."""


def regular(path: Path) -> os.stat_result:
    """What the system says of a file that holds bytes; no other can be read to its end, as nobody may write to a pipe.

    Raises:
        FileNotFoundError: no such file.
        OSError: another kind of file, or one that cannot be looked at.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise OSError(0, "not a regular file", str(path))
    return found
