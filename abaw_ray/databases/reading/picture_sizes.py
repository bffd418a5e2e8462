"""How many pixels a picture says that it has, before any of them is decoded: a few kB can unpack to gigabytes."""

from __future__ import annotations

import io
import warnings

from abaw_ray.limits import MOST_PIXELS

PNG_START, PNG_HEADER = b"\x89PNG\r\n\x1a\n", b"IHDR"
FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""Of Pillow, which OpenCV reads, too."""


def stated_size(content: bytes) -> tuple[int, int] | None:
    """Width and height that the header of a picture states; None: it cannot be told.

    Args:
        content: of a file.
    """
    if content.startswith(PNG_START) and content[12:16] == PNG_HEADER:
        return int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")
    from PIL import Image  # takes its time, and most pictures are JPEG and PNG

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of large pictures
            with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
                return picture.size
    except Image.DecompressionBombError:
        return MOST_PIXELS + 1, 1
    except Exception:  # Pillow's readers of damaged files raise whatever comes
        return None
