#!/usr/bin/env bash
# One abaw-ray command on a Ray cluster of the allocated nodes:
#   sbatch --nodes=4 cluster/slurm.sh distill --store "$PWD/store" --teacher "$PWD/teacher" --out "$PWD/student" --workers 4 --gpu
# The environment with abaw-ray is active when the job is submitted, and on a file system that all nodes see, as are the
# store and the runs. The job's status is the command's.
#SBATCH --job-name=abaw-ray
#SBATCH --nodes=2
#SBATCH --exclusive
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --gpus-per-node=1
#SBATCH --time=24:00:00
#SBATCH --signal=B:TERM@60
set -euo pipefail

if [[ $# -eq 0 ]]; then
    echo "usage: sbatch cluster/slurm.sh VERB [ARGUMENT ...]" >&2
    exit 2
fi

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${nodes[0]}
workers=$((${#nodes[@]} - 1))
port=$((20000 + SLURM_JOB_ID % 10000))
files=/tmp/ray-$SLURM_JOB_ID

# known to this job alone: srun hands the environment on, and no file keeps it
RAY_AUTH_TOKEN=$(python -c "import secrets; print(secrets.token_hex(32))")
export RAY_AUTH_TOKEN RAY_AUTH_MODE=token
# nodes that stop do so because the job is over: nothing has to move
export RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S=0

steps=()
driver=
finish() {
    trap - EXIT TERM INT
    for process in $driver "${steps[@]}"; do
        kill -TERM "$process" 2>/dev/null || true
    done
    wait
    srun --overlap --nodes="${#nodes[@]}" --ntasks="${#nodes[@]}" rm -rf "$files" || true
}
trap finish EXIT
trap 'exit 143' TERM
trap 'exit 130' INT

address=$(srun --overlap --nodes=1 --ntasks=1 --nodelist="$head" hostname --ip-address)
address=${address%% *}
export RAY_ADDRESS=$address:$port

srun --overlap --nodes=1 --ntasks=1 --nodelist="$head" \
    ray start --head --block --node-ip-address="$address" --port="$port" --temp-dir="$files" \
    --num-cpus="$SLURM_CPUS_PER_TASK" &
steps+=($!)
if [[ $workers -gt 0 ]]; then
    # a worker gives up if the head is not there yet
    for _ in {1..60}; do
        ray health-check --address="$RAY_ADDRESS" >/dev/null 2>&1 && break
        kill -0 "${steps[0]}"
        sleep 2
    done
    srun --overlap --nodes="$workers" --ntasks="$workers" --exclude="$head" \
        ray start --block --address="$RAY_ADDRESS" --num-cpus="$SLURM_CPUS_PER_TASK" &
    steps+=($!)
fi

python - "${#nodes[@]}" <<'PYTHON'
import sys
import time

import ray

wanted, limit = int(sys.argv[1]), time.monotonic() + 600
ray.init(log_to_driver=False)
while (found := sum(node["Alive"] for node in ray.nodes())) < wanted:
    if time.monotonic() > limit:
        sys.exit(f"{found} of {wanted} nodes joined the cluster in ten minutes")
    time.sleep(2)
PYTHON

python -m abaw_ray "$@" &
driver=$!
wait "$driver"
