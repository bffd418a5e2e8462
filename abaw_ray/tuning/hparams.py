"""A sweep in TensorBoard's HParams tab: its columns once, and a session for each trial."""

from __future__ import annotations

from pathlib import Path

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from torch.utils.tensorboard import SummaryWriter

from abaw_ray.monitoring.hparams import FAILURE, SUCCESS, UNKNOWN, record, row_end, row_start
from abaw_ray.storage import AnyPath, local_folder, remove_tree
from abaw_ray.tuning.results import Status, Sweep, Value

BEST, NUM_EPOCHS = "sweep/best_criterion", "sweep/num_epochs"

ENDS: dict[Status, int] = {
    "finished": SUCCESS,
    "stopped": SUCCESS,
    "failed": FAILURE,
    "unfinished": UNKNOWN,
}


def write_hparams(sweep: Sweep, folder: AnyPath) -> None:
    """Writes the columns, and a folder for each trial: parameters, end, best criterion, epochs and learning curve.

    `folder` is this function's own: what an earlier call wrote is replaced.
    """
    remove_tree(folder)
    with local_folder(folder) as local:
        _write(sweep, local)


def _write(sweep: Sweep, folder: Path) -> None:
    types = {name: _type([trial.parameters.get(name) for trial in sweep.trials]) for name in sweep.names}
    with SummaryWriter(str(folder)) as writer:
        writer.file_writer.add_summary(_columns(types))
    for trial in sweep.trials:
        with SummaryWriter(str(folder / trial.name)) as writer:
            parameters = {name: _typed(trial.parameters.get(name), kind) for name, kind in types.items()}
            writer.file_writer.add_summary(row_start(parameters, trial.name))
            writer.file_writer.add_summary(row_end(ENDS[trial.status]))
            writer.add_scalar(NUM_EPOCHS, len(trial.criteria))
            if trial.best is not None:
                writer.add_scalar(BEST, trial.best)
            for epoch, criterion in enumerate(trial.criteria, 1):
                writer.add_scalar("sweep/criterion", criterion, epoch)


def _columns(types: dict[str, int]) -> Summary:
    experiment = api_pb2.Experiment(
        hparam_infos=[api_pb2.HParamInfo(name=name, type=kind) for name, kind in types.items()],
        metric_infos=[api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag)) for tag in (BEST, NUM_EPOCHS)],
    )
    return record(metadata.EXPERIMENT_TAG, HParamsPluginData(experiment=experiment))


def _type(values: list[Value]) -> int:
    """Of a column: a text unless all are truth values or all are numbers."""
    if all(isinstance(value, bool) for value in values):
        return api_pb2.DATA_TYPE_BOOL
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    return api_pb2.DATA_TYPE_FLOAT64 if numbers else api_pb2.DATA_TYPE_STRING


def _typed(value: Value, kind: int) -> bool | float | str:
    return str(value) if kind == api_pb2.DATA_TYPE_STRING or value is None else value
