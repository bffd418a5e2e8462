"""The working directory as Ray sends it with a job."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ray._private import ray_constants
from ray._private.runtime_env import packaging

from abaw_ray.errors import ConfigurationError

NUM_NAMED = 5


@dataclass(frozen=True)
class Package:
    """`sizes`: file, relative to the folder -> bytes. Ray stores them without compression."""

    folder: Path
    sizes: dict[str, int]

    @property
    def size(self) -> int:
        return sum(self.sizes.values())

    def __str__(self) -> str:
        return f"{self.folder}: {len(self.sizes)} files, {_megabytes(self.size)}"

    def check(self) -> None:
        """Refuses what Ray would not take.

        Raises:
            ConfigurationError: it is too large; the message names the largest files.
        """
        # what Ray stores, and what its job server lets in
        limit = min(packaging.GCS_STORAGE_MAX_SIZE, ray_constants.DASHBOARD_CLIENT_MAX_SIZE)
        if self.size < limit:
            return
        largest = sorted(self.sizes.items(), key=lambda item: -item[1])[:NUM_NAMED]
        raise ConfigurationError(
            "\n".join(
                [
                    f"{self}; expected less than {_megabytes(limit)}. Submit from a folder of code and recipes, or"
                    " leave files out by .gitignore. The largest:",
                    *(f"  {name}: {_megabytes(size)}" for name, size in largest),
                ]
            )
        )


def measure(folder: Path) -> Package:
    """What Ray would send of a folder: all but its default exclusions and what .gitignore and .rayignore name.

    Raises:
        ConfigurationError: a folder in it cannot be read.
    """
    sizes: dict[str, int] = {}

    def add(path: Path) -> None:
        if path.is_file():
            sizes[path.relative_to(folder).as_posix()] = path.stat().st_size

    excludes = [packaging._get_excludes(folder, ray_constants.get_runtime_env_default_excludes())]
    include_gitignore = os.environ.get(ray_constants.RAY_RUNTIME_ENV_IGNORE_GITIGNORE, "0") != "1"
    try:
        packaging._dir_travel(folder, excludes, add, include_gitignore=include_gitignore)
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be sent: {error}") from None
    return Package(folder, sizes)


def _megabytes(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"
