"""Damaged files of what commands read: each is refused by its name, or was not read, so that all numbers are the same.

Without Ray, on small generated (synthetic) stores: what refuses is what every command does first.
"""

from __future__ import annotations

import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from base import FAULTS, MESSAGE, RIGHT, Fault, Inputs, Try, in_short
from commands import ROOT

sys.path.insert(0, str(ROOT / "tests"))
from checkpoints import make_checkpoint
from learners import last_checkpoint, training_recipe
from serial import workers_here
from stores import draw_labels, make_store

from abaw_ray.config import Recipe
from abaw_ray.errors import UserError
from abaw_ray.inference.extract import extract_features
from abaw_ray.inference.teach import compute_teacher_outputs
from abaw_ray.training.job import Job, inherit_settings
from abaw_ray.training.stage import Stage

DAMAGES: dict[str, Callable[[Path, random.Random], None]] = {}


def damage(change: Callable[[bytes, random.Random], bytes | None]) -> None:
    """Adds a way in which files are damaged: what becomes of their content; None: they are removed."""

    def spoil(file: Path, rng: random.Random) -> None:
        content = change(file.read_bytes(), rng)
        if content is None:
            file.unlink()
        else:
            file.write_bytes(content)

    DAMAGES[change.__name__] = spoil


@damage
def flipped(content: bytes, rng: random.Random) -> bytes:
    """One bit."""
    changed, place = bytearray(content), rng.randrange(len(content))
    changed[place] ^= 1 << rng.randrange(8)
    return bytes(changed)


@damage
def truncated(content: bytes, rng: random.Random) -> bytes:
    """At any place."""
    return content[: rng.randrange(len(content))]


@damage
def zeroed(content: bytes, rng: random.Random) -> bytes:
    """From any place on, as where a machine died before its disk had all."""
    place = rng.randrange(len(content))
    return content[:place] + bytes(len(content) - place)


@damage
def removed(content: bytes, rng: random.Random) -> None:
    """Not there any more."""


def trained(job: Job) -> dict[str, torch.Tensor]:
    """The weights that a job's training ends with, which begins as every command does."""
    from safetensors.torch import load_file

    Stage(job, torch.device("cpu")).check(1)
    with tempfile.TemporaryDirectory() as folder:
        own = Job(**{**job.__dict__, "run": folder})
        return load_file(last_checkpoint(own) / "model.safetensors")


def short_recipe(*more: str) -> Recipe:
    return training_recipe("train.epochs=1", "augment.views=2", *more)


class Folders:
    """A store, a teacher, what it says, and features of a CNN; `inputs` names the job that reads each of them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        make_store(root / "store")
        draw_labels(root / "store")
        recipe = short_recipe()
        make_checkpoint(root / "teacher", recipe=recipe)
        with workers_here():
            compute_teacher_outputs([root / "teacher"], root / "store", root / "outputs", recipe)
            extract_features(root / "teacher", root / "store", root / "features", 1)

    def job(self, root: Path, name: str) -> Job:
        """That reads `name`, in a copy of all folders."""
        store, teacher = str(root / "store"), (str(root / "teacher"),)
        if name == "features":
            recipe = short_recipe("temporal.batch_size=2")
            return inherit_settings(Job(recipe, store, "", features=(str(root / "features"),)))
        if name == "store":
            return Job(short_recipe(), store, "")
        outputs = str(root / "outputs") if name == "outputs" else None
        return inherit_settings(Job(short_recipe(), store, "", teacher, teacher_outputs=outputs))


def attempts(folders: Folders, name: str, rng: random.Random, times: int) -> Iterator[Try]:
    """Every file of one of the folders, damaged in every way, so often."""
    whole = trained(folders.job(folders.root, name))
    files = sorted(path.relative_to(folders.root) for path in (folders.root / name).rglob("*") if path.is_file())
    for file in files:
        for how, spoil in DAMAGES.items():
            for _ in range(times if how in ("flipped", "truncated") else 1):
                yield attempt(folders, name, file, how, lambda path, spoil=spoil: spoil(path, rng), whole)


def attempt(
    folders: Folders, name: str, file: Path, how: str, spoil: Callable[[Path], None], whole: dict[str, torch.Tensor]
) -> Try:
    what = f"{file} {how}"
    with tempfile.TemporaryDirectory(dir=folders.root.parent) as copy:
        root = Path(copy) / "all"
        shutil.copytree(folders.root, root)
        before = (root / file).read_bytes()
        spoil(root / file)
        if (root / file).is_file() and (root / file).read_bytes() == before:
            return Try(f"{what} (to what it was)", RIGHT)
        try:
            found = trained(folders.job(root, name))
        except UserError as error:
            named = file.name in str(error) or (how == "removed" and str(root / file.parent) in str(error))
            return Try(what, MESSAGE if named else "stopped, without the file's name", said=in_short(str(error)))
        except Exception as error:
            return Try(what, f"a traceback: {type(error).__name__}", said=in_short(str(error)))
        same = found.keys() == whole.keys() and all(torch.equal(found[key], whole[key]) for key in whole)
        return Try(f"{what} (not read)", RIGHT, "" if same else "other weights, without a word")


def of_folder(name: str, inputs: Inputs, rng: random.Random, times: int) -> Iterator[Try]:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=inputs.folder) as place:
        yield from attempts(Folders(Path(place) / "all"), name, rng, times)


READ = {
    "store": ("the store of a training (each file: bits flipped, cut, zeroed, removed)", 2),
    "checkpoint": ("a teacher's checkpoint", 3),
    "outputs": ("a teacher's outputs", 3),
    "features": ("features", 2),
}
"""What is read -> what it is, and how often each of its files is damaged."""

for name, (what, times) in READ.items():
    folder = "teacher" if name == "checkpoint" else name
    FAULTS[f"{name}-damaged"] = Fault(f"a damaged file of {what}", times, partial(of_folder, folder))
