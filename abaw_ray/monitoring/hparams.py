"""Records of TensorBoard's HParams tab: a row's parameters, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata, summary_v2
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo

SUCCESS: int = api_pb2.STATUS_SUCCESS
FAILURE: int = api_pb2.STATUS_FAILURE
UNKNOWN: int = api_pb2.STATUS_UNKNOWN


def row_start(parameters: Mapping[str, bool | float | str], name: str | None = None) -> Summary:
    """Begins a row; without a name it is one with those of the same parameters."""
    return summary_v2.hparams_pb(dict(parameters), trial_id=name, start_time_secs=0)


def row_end(status: int) -> Summary:
    """Ends a row with `SUCCESS`, `FAILURE` or `UNKNOWN`."""
    end = HParamsPluginData(session_end_info=SessionEndInfo(status=status))
    return record(metadata.SESSION_END_INFO_TAG, end)


def record(tag: str, data: HParamsPluginData) -> Summary:
    """What the tab's charts of a tag are about, without a chart."""
    value = Summary.Value(tag=tag, metadata=metadata.create_summary_metadata(data), tensor=metadata.NULL_TENSOR)
    return Summary(value=[value])
