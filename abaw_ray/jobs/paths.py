"""Which paths a job on a cluster can use, found out before anything is sent."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path

from abaw_ray.errors import ConfigurationError
from abaw_ray.jobs.arguments import PathArgument


def check_paths(
    paths: Sequence[PathArgument], packed: Collection[str], shared: Sequence[Path], cluster_is_here: bool
) -> None:
    """Refuses paths that the job would not find, or whose contents would be lost with it.

    Args:
        paths: of the sub-command.
        packed: files that are sent, relative to the working directory.
        shared: folders that all nodes of the cluster see as this machine does.
        cluster_is_here: whether the cluster is this very machine.

    Raises:
        ConfigurationError: the message names every such path, and what to do.
    """
    found = [f"{p.option} {p.path}: {reason}" for p in paths if (reason := _reason(p, packed, shared, cluster_is_here))]
    if found:
        raise ConfigurationError("\n".join(["the job could not use these paths:", *(f"  {line}" for line in found)]))


def _reason(argument: PathArgument, packed: Collection[str], shared: Sequence[Path], cluster_is_here: bool) -> str:
    """What is wrong with a path; empty if nothing is."""
    path = _normal(argument.path)
    if path.parts[:1] == ("~",):
        return "the nodes have homes of their own: give the absolute path that all nodes see"
    if not path.is_absolute():
        if not argument.travels:
            return (
                "relative; the job runs in a copy of this folder that is thrown away after it:"
                " give the absolute path that all nodes see"
            )
        return "" if path.as_posix() in packed else "not among the files that are sent: see .gitignore"
    if cluster_is_here or any(path.is_relative_to(_normal(folder)) for folder in shared):
        return ""
    if here := _on_this_machine(path, argument.is_written):
        return f"{here} exists on this machine; if all nodes see the same there, add --shared {here}"
    return ""


def _normal(path: Path) -> Path:
    """Without `..`, which could lead out of a shared folder."""
    return Path(os.path.normpath(path))


def _on_this_machine(path: Path, is_written: bool) -> Path | None:
    """The path, or the folder in which it would be made here; None if nothing says that it belongs to this machine."""
    if path.exists():
        return path
    parents = [parent for parent in path.parents if parent.parent != parent]
    if parents and parents[0].exists():
        return parents[0]
    # what is written may be in several new folders; but /mnt or /home is on all machines
    return next((p for p in parents if is_written and len(p.parts) > 2 and p.exists()), None)
