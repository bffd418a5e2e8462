"""Which settings on the command line are warned of, because the command does not use them."""

from __future__ import annotations

import pytest

from abaw_ray.cli.unused import USED, keys_of, unused_by
from abaw_ray.config import Recipe


@pytest.mark.parametrize(
    ("command", "unused"),
    [
        ("prepare", ["train.learning_rate", "train", "augment.zoom"]),
        ("evaluate", ["train.learning_rate", "seed", "prepare.image_size"]),
        ("teacher-outputs", ["train.learning_rate", "seed", "prepare.image_size"]),
        ("inspect", ["train.learning_rate", "train", "seed", "augment.zoom", "prepare.image_size"]),
    ],
)
def test_settings_that_a_command_does_not_use(command, unused):
    given = [
        "train.learning_rate=1",
        "train={precision: float32}",
        "seed=3",
        "augment.zoom = 1.1",
        "prepare.image_size=64",
        "plugins=[my_parts]",
    ]
    assert sorted(unused_by(command, keys_of(given))) == sorted(unused)


def test_every_setting_that_a_command_uses_is_one_of_recipes():
    for names in USED.values():
        for name in names:
            value = Recipe().model_dump()
            for part in name.split("."):
                value = value[part]
