"""Generated (synthetic) databases: drawn faces in the native layouts of the real, licensed databases.

They stand in for data that cannot be passed on, with the warts of the real label files and a sidecar of the truth.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import pyarrow.parquet as pq

from abaw_ray.databases.reading.generated import GENERATED
from abaw_ray.disk import TEMPORARY, move_contents
from abaw_ray.errors import ConfigurationError
from abaw_ray.owned_folder import OwnedFolder
from abaw_ray.synthetic.layouts import afew_va, affectnet, affwild2, expw
from abaw_ray.synthetic.markers import earlier_output, require_size, write_marker
from abaw_ray.synthetic.records import FaceTruth, Written, truth_table
from abaw_ray.threads import available_cpus

SIZES = ("tiny", "small", "medium")
MARKER = GENERATED
TRUTH = "truth.parquet"
_LAYOUTS: dict[str, Any] = {m.NAME: m for m in (affwild2, expw, afew_va, affectnet)}

README = f"""SYNTHETIC DATA

Every face in this folder is a drawing made by a program (abaw-ray, generated databases). Nobody is shown, and
no number measured on it says anything about real faces or about the real databases whose layouts it follows:

  affwild2/   Aff-Wild2 (ABAW2 2021): aligned crops, one label file a track and task (expression, valence and
              arousal, twelve action units); lists, crops and videos of test tracks, which have no label files
  expw/       ExpW: photos with several faces, label.lst
  afew_va/    AFEW-VA: clips with 68 landmarks
  affectnet/  AffectNet, manually annotated part: two lists, 68 landmarks

{TRUTH} has one row for every face with what was drawn (expression, intensity, valence, arousal, action units,
identity) and with what the label files leave out: which labels are missing, invalid or wrong on purpose.
{MARKER} has the counts.

Wrong on purpose:
  {expw.LABEL_NOISE:.0%} of the expressions in ExpW: another class, each as likely
  {affectnet.LABEL_NOISE:.0%} of the expressions in AffectNet: the same
  Aff-Wild2 training expressions: every change up to 3 frames late or early; action units: up to 1 frame
  valence and arousal for training: an annotator's bias and slow or random noise, deviation about 0.05 each
The validation labels of Aff-Wild2 are the truth, rounded to thousandths.

Left out on purpose in Aff-Wild2: a block of 3 or 4 pictures in a third of the tracks, a block of labels of each task
in another third, up to 5 pictures at the end; tracks without labels of one or two tasks; a test track in two of
the three lists only.
"""


def generate(
    out: Path,
    seed: int,
    size: str,
    num_workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Writes the four generated databases, the truth about them and their counts under `out`.

    The files depend on `seed` and `size` alone. A complete output of the same seed and size is left as it is. Nothing
    is in `out` before all is written, so that an interrupted run can simply be repeated.

    Args:
        out: folder to write; new or empty.
        seed: at least 0.
        size: one of `SIZES`: about 900, 11,100 or 33,500 pictures.
        num_workers: processes; None: one for each CPU that this process may use.
        progress: called with (pictures done, pictures in all).

    Returns:
        Database -> name of the count -> count, as also stored in generated.json.

    Raises:
        ConfigurationError: an unknown size, a negative seed, a folder with other contents, or one that another process
            writes to.
        StorageError: the disk is full, or cannot be written.
    """
    require_size(size, SIZES, "data")
    if seed < 0:
        raise ConfigurationError(f"seed {seed}: expected 0 or more")
    described = {"synthetic": True, "seed": seed, "size": size}
    if (found := earlier_output(out, described)) is not None:
        return dict(found["counts"])
    out = out.absolute()
    with OwnedFolder(out, "generated data", (MARKER,)).held(fresh=True, whole=True):
        partial = out / f"{TEMPORARY}data"
        counts = _draw(partial, seed, size, num_workers, progress)
        marker = (partial / MARKER).rename(out / f"{TEMPORARY}{MARKER}")
        move_contents(partial, out)
        marker.rename(out / MARKER)
    return counts


def _draw(
    out: Path, seed: int, size: str, num_workers: int | None, progress: Callable[[int, int], None] | None
) -> dict[str, Any]:
    out.mkdir(parents=True)
    (out / "README.txt").write_text(README, newline="\n")
    parts = [(out, name, part) for name, layout in _LAYOUTS.items() for part in layout.plan(seed, size)]
    total = sum(part.num_images for _, _, part in parts)
    written: defaultdict[str, list[Written]] = defaultdict(list)
    done = 0
    for (_, name, part), result in zip(parts, _write_all(parts, num_workers), strict=True):
        written[name].append(result)
        done += part.num_images
        if progress:
            progress(done, total)
    for name, results in written.items():
        _write_shared_files(out / name, name, results)
    truth = [face for results in written.values() for result in results for face in result.truth]
    pq.write_table(truth_table(truth), out / TRUTH)
    counts = {name: _count(results) for name, results in written.items()}
    content = {"synthetic": True, "seed": seed, "size": size, "counts": counts}
    write_marker(out, content)
    return counts


def _write_all(parts: list[tuple[Path, str, Any]], num_workers: int | None) -> Iterator[Written]:
    """Results in the order of `parts`."""
    workers = num_workers if num_workers is not None else available_cpus()
    if workers <= 1:
        yield from map(_write_part, parts)
        return
    # spawn: a fork of a process with threads (OpenCV, Ray) can hang
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_use_one_thread) as pool:
        yield from pool.map(_write_part, parts)


def _use_one_thread() -> None:
    cv2.setNumThreads(1)


def _write_part(part: tuple[Path, str, Any]) -> Written:
    out, name, item = part
    written: Written = _LAYOUTS[name].write(out / name, item)
    return written


def _write_shared_files(root: Path, name: str, results: list[Written]) -> None:
    lines: defaultdict[str, list[str]] = defaultdict(list)
    for result in results:
        for file, some in result.lines.items():
            lines[file].extend(some)
    for file, every in lines.items():
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        header = affectnet.header(file) if name == affectnet.NAME else []
        path.write_text("\n".join([*header, *every]) + "\n", newline="\n")


def _count(results: list[Written]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for result in results:
        counts.update(result.counts)
        faces: list[FaceTruth] = result.truth
        counts["num_faces"] += len(faces)
        counts["num_images"] += len({f.image for f in faces if not f.image_missing})
        counts["num_missing_images"] += len({f.image for f in faces if f.image_missing})
        counts["num_expression_labels"] += sum(f.has_expression_label for f in faces)
        counts["num_va_labels"] += sum(f.has_va_label for f in faces)
        counts["num_au_labels"] += sum(f.has_au_label for f in faces)
        counts["num_expression_invalid"] += sum(f.expression_invalid for f in faces)
        counts["num_va_invalid"] += sum(f.va_invalid for f in faces)
        counts["num_au_invalid"] += sum(f.au_invalid for f in faces)
        counts["num_expression_noisy"] += sum(f.expression_noisy for f in faces)
        counts["num_va_noisy"] += sum(f.va_noisy for f in faces)
        counts["num_au_noisy"] += sum(f.au_noisy for f in faces)
    return dict(sorted(counts.items()))
