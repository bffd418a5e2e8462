"""Readers of recipes, of notes of runs, sweeps and evaluations in JSON, of lists, boxes, and competition entries."""

from __future__ import annotations

import json
from pathlib import Path

from fuzz.engine import Harness, Target
from fuzz.of_databases import write


def _recipe(root: Path) -> Target:
    from abaw_ray.config import dump_recipe, load_recipe

    file = write(root / "recipe.yaml", dump_recipe(load_recipe()))
    more = (b"seed: 3\ntrain: {epochs: 2}\n", b"tasks: {expression: {}}\nplugins: []\n")
    return Target(file, lambda: load_recipe(str(file)), more=more)


def _override(root: Path) -> Target:
    from abaw_ray.config import load_recipe

    file = write(root / "override", "train.epochs=5")

    def read() -> None:
        load_recipe(None, [file.read_bytes().decode(errors="surrogateescape")])

    return Target(file, read, more=(b"tasks.expression={a: [1, 2]}", b"seed=0x70"), named="override")


def _decisions(root: Path) -> Target:
    from checkpoints import make_checkpoint  # of the tests

    from abaw_ray.evaluation.decisions import read_decisions
    from abaw_ray.models import checkpoint

    trained = checkpoint.load(make_checkpoint(root / "checkpoint"))
    decided = {"action_units": {"thresholds": [0.25] * 12}, "expression": {"temperature": [1.5]}}
    values = {"weights_sha256": trained.weights_sha256(), "smoothing": "median:5", "decisions": decided}
    file = write(root / "decisions.json", json.dumps(values))
    return Target(file, lambda: read_decisions(file, trained))


def _trial(root: Path) -> Target:
    from abaw_ray.tuning.record import read_trials

    values = {"parameters": {"optim.rate": 0.1}, "first_started": 1.0, "started": 2.0, "status": "finished"}
    file = write(root / "trials" / "a.json", json.dumps(values | {"seconds": 3.5, "error": None}))
    return Target(file, lambda: read_trials(root))


def _sweep(root: Path) -> Target:
    from abaw_ray.tuning.record import num_trials

    file = write(root / "sweep.json", json.dumps({"trials": 3, "space": {"optim.rate": "uniform"}}))
    return Target(file, lambda: num_trials(root))


def _clock(root: Path) -> Target:
    from abaw_ray.tuning.record import Clock

    return Target(write(root / "clock.json", '{"seconds": 2.5}'), lambda: Clock.read(root))


def _metrics(root: Path) -> Target:
    from abaw_ray.tuning.record import criteria

    lines = [json.dumps({"epoch": epoch, "criterion": 0.5, "scores": {"a": [1, None]}}) for epoch in range(3)]
    return Target(write(root / "metrics.jsonl", "\n".join(lines) + "\n"), lambda: criteria(root))


def _run(root: Path) -> Target:
    from abaw_ray.models.checkpoint import best_of
    from abaw_ray.reports.run_data import run_summary

    values = {"best": "epoch-0001", "last": "epoch-0002", "store": "/store", "seconds": 3.5, "best_criterion": 0.5}
    file = write(root / "run.json", json.dumps(values))
    return Target(file, lambda: (best_of(root), run_summary(root)))


def _inputs(root: Path) -> Target:
    from abaw_ray.inference.inputs import find_inputs

    write(root / "a.jpg")
    file = write(root / "list.txt", "# mine\na.jpg\n*.jpg\ncamera:0\n")
    return Target(file, lambda: find_inputs([str(file)]))


def _people(root: Path) -> Target:
    from abaw_ray.inference.bodies import GivenBodies

    write(root / "a.mp4")
    rows = "a.mp4,3,1,2,30,40.5,.9\nhttps://b/c.jpg,0,-1,0,1e2,7,1\n"
    file = write(root / "people.csv", f"picture,frame,left,top,right,bottom,confidence\n{rows}")
    return Target(file, lambda: GivenBodies.read(file))


def _entry(task: str, content: str) -> Harness:
    """An entry with a file a track: what is wrong in it is listed, nothing raised."""

    def make(root: Path) -> Target:
        from films import film, picture  # of the tests

        from abaw_ray.competition.check_submission import check_submission

        film(root / "videos" / "a.mp4", [picture(number) for number in range(3)])
        file = write(root / "entry" / task / "a.txt", content)
        write(root / "videos" / "expr_test_file.txt", "a\n")
        return Target(file, lambda: check_submission(root / "entry", root / "videos").render())

    return make


def _image_entry(root: Path) -> Target:
    from abaw_ray.competition.check_submission import check_submission

    lines = [f"a/{number:05d}.jpg,0.5,-0.25,3{',0' * 12}" for number in range(1, 4)]
    write(root / "lists" / "MTL_Challenge_test_set_release.txt", "image\n" + "\n".join(line[:11] for line in lines))
    file = write(root / "entry" / "MTL.txt", "\n".join(["image,valence,arousal,expression,aus", *lines]))
    return Target(file, lambda: check_submission(root / "entry", None, "mtl", root / "lists").render())


HARNESSES: dict[str, Harness] = {
    "recipe": _recipe,
    "override": _override,
    "decisions": _decisions,
    "sweep-trial": _trial,
    "sweep": _sweep,
    "sweep-clock": _clock,
    "metrics": _metrics,
    "run": _run,
    "inputs": _inputs,
    "people": _people,
    "entry-expression": _entry("EXPR_Set", "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise\n0\n6\n3\n"),
    "entry-values": _entry("VA_Set", "valence,arousal\n0.5,-1\n+.5,1e-3\n0,0\n"),
    "entry-images": _image_entry,
}
