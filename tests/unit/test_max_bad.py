"""A preparation of data that is mostly broken ends early, and what is finished stays."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from serial import prepare_here

from abaw_ray.cli.data import _share
from abaw_ray.config import PrepareConfig
from abaw_ray.databases.folder import DATABASE
from abaw_ray.errors import BadDataError, ConfigurationError
from abaw_ray.preprocess.plan import Source

CONFIG = PrepareConfig(image_size=16, block_rows=5)


def pictures(root: Path, num_broken: int) -> Source:
    """20 pictures of which the first so many cannot be read, in blocks of 5."""
    folder = root / "Anger"
    folder.mkdir(parents=True)
    for number in range(20):
        file = folder / f"{number:02d}.png"
        cv2.imwrite(str(file), np.full((20, 20, 3), 10 * number, np.uint8))
        if number < num_broken:
            file.write_bytes(b"no picture")
    options = DATABASE.options()
    return Source(DATABASE, root, options, DATABASE.read(root, options))


def test_more_broken_pictures_than_allowed_end_it_with_the_reason(tmp_path: Path) -> None:
    source = pictures(tmp_path / "data", num_broken=7)
    message = r"^5 samples could not be made so far, of 20 in all: more than 0\.2 .*unreadable_image 5 \(Anger/00\.png"
    with pytest.raises(BadDataError, match=message):
        prepare_here(CONFIG, tmp_path / "store", [source], max_bad=0.2)
    assert not (tmp_path / "store" / "manifest.json").exists()
    assert len(list((tmp_path / "store").rglob("*.arrow"))) == 1, "the others are not made"


def test_blocks_of_an_earlier_run_count(tmp_path: Path) -> None:
    source = pictures(tmp_path / "data", num_broken=7)
    prepare_here(CONFIG, tmp_path / "store", [source])
    with pytest.raises(BadDataError, match="samples could not be made so far, of 20"):
        prepare_here(CONFIG, tmp_path / "store", [source], max_bad=0.3)


@pytest.mark.parametrize("most", [None, 0.35, 1.0])
def test_as_many_as_allowed_are_left_out_and_counted(tmp_path: Path, most: float | None) -> None:
    manifest = prepare_here(CONFIG, tmp_path / "store", [pictures(tmp_path / "data", num_broken=7)], max_bad=most)
    assert manifest.num_images == 13
    assert manifest.databases[0].problems["unreadable_image"].count == 7


def test_one_is_too_many_where_none_is_allowed(tmp_path: Path) -> None:
    with pytest.raises(BadDataError, match=r"^1 samples"):
        prepare_here(CONFIG, tmp_path / "store", [pictures(tmp_path / "data", num_broken=1)], max_bad=0.0)


@pytest.mark.parametrize(("text", "share"), [("1%", 0.01), ("0.5 %", 0.005), ("0.25", 0.25), ("0", 0.0), ("100%", 1.0)])
def test_a_share_is_given_as_such_or_in_percent(text: str, share: float) -> None:
    assert _share(text, "--max-bad") == pytest.approx(share)


@pytest.mark.parametrize("text", ["101%", "-1%", "few", "", "nan", "2"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"--max-bad: found .*expected a share"):
        _share(text, "--max-bad")
