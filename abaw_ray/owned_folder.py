"""Folders that a command writes: whether one is ours, that no other process writes to it, and what was left in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from abaw_ray.disk import TEMPORARY, require_renames, write_errors_named
from abaw_ray.errors import ConfigurationError
from abaw_ray.storage import AnyPath, remove_tree
from abaw_ray.writer_lock import WRITER, read_writer, writer_lock


@dataclass(frozen=True)
class OwnedFolder:
    """A folder of one kind.

    Args:
        path: of the folder.
        what: its kind, as `a run`.
        markers: files of which every such folder has one from its beginning on.
    """

    path: AnyPath
    what: str
    markers: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether it is not there, or nothing was finished in it."""
        return not self._contents()

    def check(self) -> None:
        """Nothing else is in the folder.

        Raises:
            ConfigurationError: something is.
        """
        if self.path.exists() and not self.path.is_dir():
            raise ConfigurationError(f"{self.path} is not a folder")
        if self.is_empty or any((self.path / name).is_file() for name in self.markers):
            return
        writer = read_writer(self.path)
        if writer is None or writer.what != self.what:
            raise ConfigurationError(f"{self.path} is not empty and not {self.what}; choose another folder")

    @contextmanager
    def held(self, fresh: bool = False, whole: bool = False) -> Iterator[None]:
        """In the block, this process alone writes to the folder, which is made if it is not there.

        Args:
            fresh: what is in it is removed first.
            whole: what was written is removed if the block ends with an error.

        Raises:
            ConfigurationError: something else is in it, or another process writes to it.
            StorageError: its disk is full, or cannot be written, or renames no files.
        """
        self.check()
        is_new = not self.path.exists()
        with write_errors_named(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            try:
                if isinstance(self.path, Path):
                    require_renames(self.path)
                with writer_lock(self.path, self.what):
                    self.check()
                    self._remove_leftovers()
                    if fresh:
                        self._remove_contents()
                    try:
                        yield
                    except BaseException:
                        if whole:
                            self._remove_leftovers()
                            self._remove_contents()
                        raise
            finally:
                if is_new and isinstance(self.path, Path):
                    with suppress(OSError):
                        self.path.rmdir()

    def _contents(self) -> list[AnyPath]:
        """Files and folders in it but those of writers that live or died."""
        if not self.path.is_dir():
            return []
        found: list[AnyPath] = list(self.path.iterdir())
        return [path for path in found if path.name != WRITER and not path.name.startswith(TEMPORARY)]

    def _remove_contents(self) -> None:
        # the markers last: it is ours for as long as anything is in it
        for path in sorted(self._contents(), key=lambda path: path.name in self.markers):
            remove_tree(path)

    def _remove_leftovers(self) -> None:
        """Removes what writers that died have left."""
        found: list[AnyPath] = list(self.path.rglob(f"{TEMPORARY}*"))
        for path in found:
            remove_tree(path)
