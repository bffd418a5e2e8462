"""What Ray Train leaves of a training whose controller failed: a placement group that holds its CPUs and GPUs."""

from __future__ import annotations

from typing import Any

import ray
from ray._private.state import state
from ray.core.generated import gcs_pb2
from ray.util.placement_group import PlacementGroup, remove_placement_group


def free_resources() -> None:
    """Frees what trainings that this process has started, and that have ended, still hold of the cluster; also those
    whose controller is dead, of a process of this job that is gone.

    When a worker dies while a group of workers starts, Ray Train (2.60) forgets the group without freeing its place;
    Ray itself frees it only when the whole job ends. It has no public way to say whose a placement group is.
    """
    context = ray.get_runtime_context()
    me, job = context.get_worker_id(), context.get_job_id()
    messages: Any = gcs_pb2  # which mypy cannot read
    accessor = state._connect_and_get_accessor()
    for content in accessor.get_placement_group_table():
        group = messages.PlacementGroupTableData.FromString(content)
        if group.state == messages.PlacementGroupTableData.REMOVED or not group.creator_actor_id:
            continue
        found = accessor.get_actor_info(ray.ActorID(group.creator_actor_id))
        if found is None:
            continue
        creator = messages.ActorTableData.FromString(found)
        is_dead = creator.state == messages.ActorTableData.DEAD and creator.job_id.hex() == job
        is_ours = is_dead or creator.owner_address.worker_id.hex() == me
        if creator.class_name.startswith("TrainController") and is_ours:
            remove_placement_group(PlacementGroup(ray.PlacementGroupID(group.placement_group_id)))
