"""Tables for people of what `evaluate` gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from abaw_ray.evaluation.clips import CLIPS
from abaw_ray.evaluation.evaluator import HEADLINE
from abaw_ray.evaluation.predictions import POOLED

LOSSES = {"nll": "NLL", "brier": "Brier", "crps": "CRPS", "ece": "ECE"}


def score_rows(result: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of a table of the scores, one row a protocol and database; intervals stand below scores."""
    scores = result["scores"]
    pooled = scores[HEADLINE][POOLED]
    columns = {
        (name, key): heading
        for name, of_task in result["columns"].items()
        if name in pooled
        for heading, key in of_task.items()
    }
    rows = []
    for protocol, by_database in scores.items():
        intervals = result["intervals"] if protocol == HEADLINE else {}
        for database, part in by_database.items():
            around = intervals.get(database, {})
            cells = [_cell(part["criterion"], around.get("criterion"))]
            cells += [_cell(part.get(name, {}).get(key), around.get(name, {}).get(key)) for name, key in columns]
            rows.append([f"{database}, {_words(protocol)}", *cells])
    return ["database, protocol", "criterion", *columns.values()], rows


def calibration_rows(result: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of a table of the calibration before and after, one row a task."""
    rows = []
    shown = {
        k: heading for k, heading in LOSSES.items() if any(k in v["before"] for v in result["calibration"].values())
    }
    for name, of_task in result["calibration"].items():
        fitted = [f"{key.replace('_', ' ')} {_numbers(values)}" for key, values in of_task["parameters"].items()]
        losses = {heading: (of_task["before"].get(key), of_task["after"].get(key)) for key, heading in shown.items()}
        changes = ["-" if None in both else "{:.3f} → {:.3f}".format(*both) for both in losses.values()]
        rows.append([name, fitted[0] if fitted else "none", f"{of_task['num_scored']:,}", *changes])
    return ["calibration of", "parameter", "frames", *shown.values()], rows


def group_rows(result: Mapping[str, Any], by: str) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of a table of the scores of the groups `by` a space or by streams, one row a group."""
    columns = {
        (name, key): heading
        for name, of_task in result["columns"].items()
        if name in result["scores"][HEADLINE][POOLED]
        for heading, key in of_task.items()
    }
    section, rows = result["by"][by], []
    for group, found in section["groups"].items():
        for protocol, scores in found["scores"].items():
            count = found["num_clips" if protocol == CLIPS else "num_frames"]
            cells = [_cell(scores.get(name, {}).get(key), None) for name, key in columns]
            rows.append([f"{group}, {_words(protocol)}", f"{count:,}", _cell(scores["criterion"], None), *cells])
    if section["num_unknown"]:
        rows.append(["not known", f"{section['num_unknown']:,}", *["" for _ in columns], ""])
    return [f"by {by}", "number", "criterion", *columns.values()], rows


def ensemble_rows(result: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of a table of an ensemble: each member's criterion and weights, then the ensemble's criterion.

    Where weights were fitted on a part of the frames, the criteria of the other part stand beside them, task by task;
    then also those of the ensemble with equal weights.
    """
    ensemble = result["ensemble"]
    weights, fitted = ensemble["weights"], ensemble["fitted"]
    rows = []
    for place, member in enumerate(ensemble["members"]):
        cells = [f"{of_task[place]:.2f}" for of_task in weights.values()]
        cells += [f"{of_task['members'][place]:.3f}" for of_task in fitted.values()]
        rows.append([member["checkpoint"], f"{member['criterion']:.3f}", *cells])
    of_all = [f"{result['scores'][HEADLINE][POOLED]['criterion']:.3f}", *["" for _ in weights]]
    rows.append(["ensemble", *of_all, *[f"{of_task['fitted']:.3f}" for of_task in fitted.values()]])
    if fitted:
        equal = [f"{of_task['equal']:.3f}" for of_task in fitted.values()]
        rows.append(["ensemble, equal weights", "", *["" for _ in weights], *equal])
    headings = [f"weights, {name}" for name in weights] + [f"{name}, other part" for name in fitted]
    return ["member", "criterion", *headings], rows


def uncertainty_rows(result: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of a table of an evaluation's `uncertainty`, one row a task and measure."""
    section = result["uncertainty"]
    rows = []
    for task, means in section["mean"].items():
        of_task = section["risk_coverage"].get(task, {})
        for measure, mean in means.items():
            found = [of_set[measure] for of_set in section["auroc"][task].values()]
            areas = [of_task.get(name, {}).get("area") for name in (measure, "best")]
            rows.append([f"{task}, {measure}", *(_cell(v, None) for v in (mean, *found, *areas, of_task.get("risk")))])
    sets = [f"AUROC {name.replace('_', ' ')}" for name in next(iter(section["auroc"].values()))]
    return ["uncertainty of", "mean", *sets, "AURC", "least", "risk"], rows


def _words(protocol: str) -> str:
    return protocol.replace("_", " ")


def _cell(score: float | None, interval: Sequence[float] | None) -> str:
    if score is None:
        return "-"
    return f"{score:.3f}" if interval is None else "{:.3f}\n{:.2f}\u2013{:.2f}".format(score, *interval)


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in values)
