"""Inputs dealt to the workers of a Ray cluster by Ray Data, each with a model of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import ray
import ray.data
from ray.data import ActorPoolStrategy

from abaw_ray.errors import ConfigurationError, UserError
from abaw_ray.inference.footage import estimated_length
from abaw_ray.inference.inputs import Input
from abaw_ray.inference.predict_inputs import Outcome, Progress, Settings, predict_inputs
from abaw_ray.ray_session import data_context, ray_session
from abaw_ray.storage import AnyPath, local_folder

if TYPE_CHECKING:
    from abaw_ray.inference.predict_job import Asked


class InputWorker:
    """A model, and what finds whom it is asked about, in an actor; a call writes a part of the table and the files of
    its inputs.

    Args:
        asked: both.
        out: folder that every worker can write to.
        settings: which frames and faces, and what is written.
    """

    def __init__(self, asked: Asked, out: AnyPath, settings: Settings) -> None:
        from abaw_ray.inference.looking import look_for
        from abaw_ray.inference.opening import open_model

        self._out, self._settings, self._error = out, settings, ""
        try:
            self._model = open_model(asked.model, asked.decisions)
            self._look = look_for(self._model.info, asked.detector, asked.people)
        except UserError as raised:
            self._error = str(raised)  # an actor that cannot start would be started again and again

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[Any]]:
        outcomes: list[Outcome] = []
        error = self._error
        inputs = [Input(**values) for values in json.loads(batch["inputs"][0])]
        if not error:
            try:
                with local_folder(self._out) as folder:
                    part = folder / batch["part"][0]
                    outcomes = predict_inputs(inputs, self._model, self._look, folder, part, self._settings)
            except UserError as raised:
                error = str(raised)  # of an error that is raised, Ray Data gives a text of its own
        described = json.dumps([outcome.to_dict() for outcome in outcomes])
        return {"outcomes": [described], "part": [batch["part"][0]], "error": [error]}


def predict_on_workers(
    jobs: Sequence[tuple[str, Sequence[Input]]],
    asked: Asked,
    out: AnyPath,
    settings: Settings,
    num_workers: int,
    progress: Progress | None = None,
) -> list[Outcome]:
    """What a model says of the inputs of all jobs.

    Args:
        jobs: file of the table's part in `out`, and the inputs that it is about.
        asked: model, detector and boxes of people, which every node can open.
        out: folder, for the same reason one that all nodes share.
        settings: which frames and faces, and what is written.
        num_workers: models at a time; each takes a GPU where the cluster has so many, or else a CPU.
        progress: called with the frames done and in all, as far as it is known.

    Returns:
        Outcomes in the order of the jobs.

    Raises:
        ConfigurationError: a camera among the inputs.
        UserError: of a worker.
    """
    cameras = [given.source for _, inputs in jobs for given in inputs if given.kind == "camera"]
    if cameras:
        raise ConfigurationError(f"{cameras[0]}: a camera is of this machine; use --workers 1")
    to_come = {part: sum(estimated_length(given, settings.every) for given in inputs) for part, inputs in jobs}
    num_done = 0
    outcomes: dict[str, Outcome] = {}
    with ray_session(), data_context():
        for result in _results(jobs, asked, out, settings, num_workers):
            if result["error"]:
                raise UserError(result["error"])
            of_job = [Outcome(**values) for values in json.loads(result["outcomes"])]
            outcomes |= {outcome.source: outcome for outcome in of_job}
            del to_come[result["part"]]
            num_done += sum(outcome.num_frames for outcome in of_job)
            if progress is not None:
                progress(num_done, num_done + sum(to_come.values()))
    return [outcomes[given.source] for _, inputs in jobs for given in inputs]


def _results(
    jobs: Sequence[tuple[str, Sequence[Input]]], asked: Asked, out: AnyPath, settings: Settings, num_workers: int
) -> Iterator[dict[str, Any]]:
    """Results of the jobs, as they are done."""
    num_gpus = int(ray.cluster_resources().get("GPU", 0))
    items = [{"part": part, "inputs": json.dumps([asdict(given) for given in inputs])} for part, inputs in jobs]
    dataset = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
        InputWorker,
        batch_size=1,
        compute=ActorPoolStrategy(size=min(num_workers, len(jobs))),
        num_cpus=1,
        num_gpus=1 if num_gpus >= num_workers else 0,
        fn_constructor_args=(asked, out, settings),
    )
    yield from dataset.iter_rows()
