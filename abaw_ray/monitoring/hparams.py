"""Records of TensorBoard's HParams tab: its columns, a row's parameters, and how it ended."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata, summary_v2
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo

Value = float | int | str | bool | None

SUCCESS: int = api_pb2.STATUS_SUCCESS
FAILURE: int = api_pb2.STATUS_FAILURE
UNKNOWN: int = api_pb2.STATUS_UNKNOWN


def columns(types: Mapping[str, int], metrics: Iterable[str], shown: Container[str] = ()) -> Summary:
    """The tab's columns; of several in one folder TensorBoard takes any.

    Args:
        types: parameter -> type, by `type_of`.
        metrics: tags of scalars, whose last values are shown.
        shown: parameters that stand before the others.
    """
    experiment = api_pb2.Experiment(
        hparam_infos=[api_pb2.HParamInfo(name=name, type=kind, differs=name in shown) for name, kind in types.items()],
        metric_infos=[api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag)) for tag in metrics],
    )
    return _record(metadata.EXPERIMENT_TAG, HParamsPluginData(experiment=experiment))


def row_start(parameters: Mapping[str, Value], types: Mapping[str, int], name: str) -> Summary:
    """Begins a row of its own, also if another one has the same parameters."""
    typed = {key: _typed(parameters.get(key), kind) for key, kind in types.items()}
    return summary_v2.hparams_pb(typed, trial_id=name, start_time_secs=0)


def row_end(status: int) -> Summary:
    """Ends a row with `SUCCESS`, `FAILURE` or `UNKNOWN`."""
    return _record(metadata.SESSION_END_INFO_TAG, HParamsPluginData(session_end_info=SessionEndInfo(status=status)))


def type_of(values: Iterable[Value]) -> int:
    """Of a column: a text unless all are truth values or all are numbers."""
    values = list(values)
    if all(isinstance(value, bool) for value in values):
        return api_pb2.DATA_TYPE_BOOL
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    return api_pb2.DATA_TYPE_FLOAT64 if numbers else api_pb2.DATA_TYPE_STRING


def _record(tag: str, data: HParamsPluginData) -> Summary:
    value = Summary.Value(tag=tag, metadata=metadata.create_summary_metadata(data), tensor=metadata.NULL_TENSOR)
    return Summary(value=[value])


def _typed(value: Value, kind: int) -> bool | float | str:
    return str(value) if kind == api_pb2.DATA_TYPE_STRING or value is None else value
