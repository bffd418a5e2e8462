"""The model card of an exported file (Mitchell et al., "Model cards for model reporting", FAT* 2019), in Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from abaw_ray.blocks.files import read_json, write_text
from abaw_ray.databases import DATABASES
from abaw_ray.databases.reading.generated import is_synthetic
from abaw_ray.errors import ConfigurationError, MissingInputError
from abaw_ray.evaluation.decisions import FILE as DECISIONS
from abaw_ray.evaluation.evaluator import HEADLINE
from abaw_ray.evaluation.score_tables import LOSSES
from abaw_ray.inference.export.export import Exported
from abaw_ray.inference.export.parity import LIMIT
from abaw_ray.models.checkpoint import Checkpoint, DatabaseUse
from abaw_ray.reports.card_text import CODE, LAW, USE, inputs, limits, literal, outputs
from abaw_ray.reports.run_data import SCORES, labels_said
from abaw_ray.storage import AnyPath

TITLE = "# Model card: "


def card_path(file: AnyPath) -> AnyPath:
    """Where the card of a file is: beside it, as `student.onnx.md` of `student.onnx`.

    Raises:
        ConfigurationError: something else is there.
    """
    path = file.parent / f"{file.name}.md"
    if path.exists() and not (path.is_file() and path.read_bytes().startswith(TITLE.encode())):
        raise ConfigurationError(f"{path}: there is something that is no model card; choose another file or remove it")
    return path


def read_evaluation(folder: AnyPath, trained: Checkpoint) -> dict[str, Any]:
    """What `evaluate` wrote into a folder, of this checkpoint.

    Raises:
        MissingInputError, StoreError: no such folder, or it is damaged.
        ConfigurationError: of another network.
    """
    file = folder / SCORES
    if not file.is_file():
        raise MissingInputError(f"{file}: not there; expected a folder that `abaw-ray evaluate` wrote")
    found = read_json(file)
    if (folder / DECISIONS).is_file():
        is_same = read_json(folder / DECISIONS).get("weights_sha256") == trained.weights_sha256()
    else:
        is_same = str(found.get("checkpoint")) in (str(trained.path), str(trained.path.resolve()))
    if not is_same or "scores" not in found:
        raise ConfigurationError(
            f"{file}: of the network {found.get('checkpoint')}, expected an evaluation of {trained.path}"
        )
    return found


def write_card(exported: Exported, evaluation: Mapping[str, Any] | None) -> AnyPath:
    """Writes the card beside the file; see `model_card`.

    Raises:
        ConfigurationError: something else is there.
        StorageError: it cannot be written.
    """
    path = card_path(exported.path)
    write_text(path, model_card(exported, evaluation))
    return path


def model_card(exported: Exported, evaluation: Mapping[str, Any] | None) -> str:
    """The card of an exported file, in Markdown.

    Args:
        exported: the file.
        evaluation: what `evaluate` found of its run, as of `read_evaluation`; None: the scores are those of the run's
            own validation, without intervals.
    """
    info, name = exported.info, exported.path.name
    parts = [
        f"{TITLE}{exported.path.stem}",
        _about(exported),
        "## Input and output",
        inputs(info),
        outputs(info),
        "## How to run it",
        CODE[exported.format](info, name),
        "## Training data",
        _data(exported.trained),
        "## Scores",
        _scores(exported, evaluation),
        *(["## Precision", _precision(exported)] if exported.note.precision != "float32" else []),
        "## Calibration",
        _calibration(exported, evaluation),
        "## Limits",
        limits(info),
        "## Intended use, and misuse",
        USE,
        "## Law",
        LAW,
    ]
    return "\n\n".join(parts) + "\n"


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; its first column is text, the others are numbers."""
    lines = [headings, ["---", *["---:"] * (len(headings) - 1)], *rows]
    return "\n".join(
        "| " + " | ".join(re.sub(r"(?<!\\)\|", r"\|", str(cell)) for cell in line) + " |" for line in lines
    )


def _about(exported: Exported) -> str:
    info, note = exported.info, exported.note
    kind = "faces of consecutive frames" if info.window else "single faces"
    what = ", ".join(space.name for space in info.spaces)
    lines = [
        f"`{exported.path.name}` reads {what} from pictures of {kind}. It is the {info.role} that `abaw-ray`"
        f" {note.abaw_ray} trained (a {info.kind} network), as one {exported.format} file of"
        f" {exported.num_bytes / 1e6:.1f} MB in {note.precision}, with everything from pixels to calibrated numbers"
        " inside."
    ]
    differences = max(note.differences.values(), default=0.0)
    faces = " and ".join(f"{count} {name} faces" for name, count in note.faces_compared.items())
    limit = f" (more than {LIMIT:g} would have been refused)" if note.precision == "float32" else ""
    lines.append(f"On {faces} it differs from the trained network by at most {differences:.1e}{limit}.")
    lines.append(f"Checkpoint: {literal(info.source)}, weights sha256 `{info.weights_sha256[:16]}`.")
    return "\n\n".join(lines)


def _data(trained: Checkpoint) -> str:
    used = trained.description.databases
    if not used:
        return "The checkpoint was written before this was noted: not known."
    rows = [
        [
            literal(use.title),
            f"{use.num_images:,}",
            literal(labels_said(use.labels)),
            literal(use.crop),
            _terms(name, use),
        ]
        for name, use in used.items()
    ]
    table = markdown_table(["database", "faces", "labels", "crop", "terms of use"], rows)
    notes = ["What the store held that the network was trained from; labels by split. The file itself has no pictures."]
    synthetic = [use for use in used.values() if is_synthetic(use.title)]
    if synthetic:
        which = "All" if len(synthetic) == len(used) else f"{len(synthetic)} of {len(used)}"
        notes.append(
            f"**{which} of these databases are synthetic: drawn by a program. Nothing that was measured on them says"
            " anything about real faces.**"
        )
    notes.append(
        "Terms are given in short and may have changed: ask those who publish a database whether they cover what you"
        " do, also with a network that was trained on it."
    )
    return "\n\n".join([table, *notes])


def _terms(name: str, use: DatabaseUse) -> str:
    if is_synthetic(use.title):
        return "synthetic: nobody is shown"
    known = DATABASES.find(name)
    return known.terms if known is not None else "not known"


def _scores(exported: Exported, evaluation: Mapping[str, Any] | None) -> str:
    description = exported.trained.description
    tasks = exported.trained.tasks(exported.trained.recipe)
    columns = {(name, key): heading for name in tasks for heading, key in tasks[name].columns.items()}
    if evaluation is None:
        scores, intervals = description.scores, {}
        about = (
            "Of the run's own validation labels, which the checkpoint and its thresholds were chosen on; without"
            " intervals (`abaw-ray evaluate`, given as `export --evaluation`, has them)."
        )
    else:
        scores, intervals = evaluation["scores"], evaluation.get("intervals", {})
        about = f"Of {evaluation.get('num_frames', 0):,} frames with {evaluation.get('split')} labels."
        if intervals:
            about += " In brackets the middle 95 % of what resampling whole videos or photos gives."
        if evaluation.get("thresholds_fitted_on_these_frames"):
            about += " Thresholds were fitted on these frames."
        if evaluation.get("smoothing"):
            about += f" Predictions were smoothed over time ({evaluation['smoothing']})."
    by_database = scores.get(HEADLINE, {})
    if not by_database:
        return "None was measured."
    shown = {k: h for k, h in columns.items() if any(k[1] in part.get(k[0], {}) for part in by_database.values())}
    rows = [
        [database, *(_cell(part.get(t, {}).get(k), intervals.get(database, {}).get(t, {}).get(k)) for t, k in shown)]
        for database, part in by_database.items()
    ]
    synthetic = [name for name, use in description.databases.items() if is_synthetic(use.title)]
    if synthetic:
        about += f" **Synthetic data: {', '.join(synthetic)}.**"
    return "\n\n".join([about, markdown_table(["database", *shown.values()], rows)])


def _cell(score: float | None, interval: Sequence[float] | None) -> str:
    if score is None:
        return "-"
    return f"{score:.3f}" if interval is None else f"{score:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]"


def _precision(exported: Exported) -> str:
    note = exported.note
    about = (
        f"The network's numbers are {note.precision}; the scores of the same validation faces of a store, before and"
        " after (frame by frame, all databases together):"
    )
    rows = [
        [
            change.task,
            change.score,
            f"{change.before:.4f}",
            f"{change.after:.4f}",
            f"{change.after - change.before:+.4f}",
        ]
        for change in note.score_changes
    ]
    return "\n\n".join([about, markdown_table(["task", "score", "float32", note.precision, "change"], rows)])


def _calibration(exported: Exported, evaluation: Mapping[str, Any] | None) -> str:
    return "\n\n".join(_calibration_parts(exported, (evaluation or {}).get("calibration", {})))


def _calibration_parts(exported: Exported, measured: Mapping[str, Any]) -> Iterator[str]:
    info = exported.info
    fitted = [f"{name}: logits divided by {values[0]:.3g}" for name, values in info.temperatures.items()]
    fitted += [
        f"{name}: deviations times {', '.join(f'{v:.3g}' for v in values)}"
        for name, values in info.error_scales.items()
    ]
    if fitted:
        yield f"Inside the file, fitted on validation labels: {'; '.join(fitted)}."
    missing = [s.name for s in info.spaces if s.name not in {*info.temperatures, *info.error_scales}]
    if missing:
        yield (
            f"Not calibrated: {', '.join(missing)}. Take these probabilities and deviations as an order, not as"
            " frequencies."
        )
    rows = []
    for name, of_task in measured.items():
        changes = [(of_task["before"].get(key), of_task["after"].get(key)) for key in LOSSES]
        cells = ["-" if None in both else f"{both[0]:.3f} → {both[1]:.3f}" for both in changes]
        rows.append([name, f"{of_task.get('num_scored', 0):,}", *cells])
    if rows:
        yield markdown_table(["before → after", "frames", *LOSSES.values()], rows)
    else:
        yield "How far probabilities hold was not measured for this card (`export --evaluation`)."
