"""Several Ray nodes on this machine, to try jobs, sweeps and failures without a cloud.

    python cluster/local.py --nodes 3 -- abaw-ray prepare /tmp/store --database expw=/data/ExpW

runs the command on a cluster of a head without CPUs and two workers with one each, passes its exit status on, and stops
the nodes. Without a command it prints the addresses and waits for Ctrl-C. Each worker has a resource of its own,
`node-1`, `node-2`, ..., and its own object store; token authentication is on.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

OBJECT_STORE = 300 * 2**20
START_SECONDS = 120
STOP_SECONDS = 5


class LocalCluster:
    """A head and its workers, each a `ray start` of its own.

    Args:
        folder: for the token and Ray's files; its path must be short, it holds sockets.

    Attributes:
        address: of the head, for RAY_ADDRESS.
        dashboard: its URL.
        environment: variables for commands that use the cluster.
    """

    def __init__(self, folder: Path) -> None:
        token = folder / "token"
        token.touch(mode=0o600)
        token.write_text(secrets.token_hex(32))
        self._folder, self._token = folder, token
        self._nodes: list[psutil.Popen] = []
        port, dashboard = _free_ports(2)
        self.address = f"127.0.0.1:{port}"
        self.dashboard = f"http://127.0.0.1:{dashboard}"
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        authentication = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token), "PATH": path}
        self._node_environment = {**os.environ, **authentication}
        self.environment = {
            **self._node_environment,
            "RAY_ADDRESS": self.address,
            "RAY_API_SERVER_ADDRESS": self.dashboard,
        }

    def start_head(self, cpus: int) -> None:
        """Starts the head; with no CPUs, no work is placed on it."""
        port, dashboard = self.address.split(":")[1], self.dashboard.split(":")[2]
        (client,) = _free_ports(1)
        options = ["--head", "--port", port, "--dashboard-port", dashboard, "--include-dashboard", "true"]
        options += ["--ray-client-server-port", str(client), "--temp-dir", str(self._folder / "ray")]
        self._start(options, cpus)
        self._wait(lambda: self.num_alive() == 1)

    def add_worker(self, cpus: int) -> None:
        """Adds a node with a resource `node-<number>`."""
        number = len(self._nodes)
        self._start(["--address", self.address, "--resources", json.dumps({f"node-{number}": 1})], cpus)
        # the number of nodes alive would not tell: one that was killed counts for half a minute
        self._wait(lambda: "Ray runtime started" in self._log(number).read_text())

    def kill_worker(self, number: int) -> None:
        """Ends a worker as a power failure would; `number` as in its resource."""
        _kill(_tree(self._nodes[number]))

    def stop(self) -> None:
        """Stops all nodes."""
        trees = [process for node in self._nodes for process in _tree(node)]
        for node in self._nodes:
            with contextlib.suppress(psutil.NoSuchProcess):
                node.terminate()
        _, alive = psutil.wait_procs(trees, timeout=STOP_SECONDS)
        _kill(alive)

    def num_alive(self) -> int:
        """Nodes that the head takes for alive."""
        request = urllib.request.Request(
            f"{self.dashboard}/nodes?view=summary", headers={"Authorization": f"Bearer {self._token.read_text()}"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            nodes = json.load(answer)["data"]["summary"]
        return sum(node["raylet"].get("state") == "ALIVE" for node in nodes)

    def _start(self, options: list[str], cpus: int) -> None:
        # several nodes on one machine would all take the same ports for these
        agents = ("dashboard-agent-listen", "dashboard-agent-grpc", "runtime-env-agent", "metrics-export")
        ports = [f"--{n}-port={p}" for n, p in zip(agents, _free_ports(len(agents)), strict=True)]
        line = ["ray", "start", "--block", "--disable-usage-stats", "--node-ip-address", "127.0.0.1", *options, *ports]
        line += ["--num-cpus", str(cpus), "--object-store-memory", str(OBJECT_STORE)]
        line += ["--min-worker-port", "0", "--max-worker-port", "0"]
        with self._log(len(self._nodes)).open("w") as output:
            self._nodes.append(
                psutil.Popen(
                    line, env=self._node_environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
                )
            )

    def _log(self, number: int) -> Path:
        return self._folder / f"node-{number}.log"

    def _wait(self, ready: Callable[[], bool]) -> None:
        """Until the last node is ready."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._nodes[-1].poll() is not None:
                break
            with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
                if ready():
                    return
            time.sleep(0.3)
        number = len(self._nodes) - 1
        raise RuntimeError(f"node {number} did not start in {START_SECONDS} s:\n{self._log(number).read_text()}")


@contextlib.contextmanager
def local_cluster(num_nodes: int = 3, cpus: int = 1) -> Iterator[LocalCluster]:
    """A cluster for the time of the block: a head without CPUs, and `num_nodes` - 1 workers with `cpus` each.

    A single node is a head with CPUs.
    """
    # not the default folder for temporary files: sockets have paths of at most 107 characters
    folder = Path(tempfile.mkdtemp(prefix="abaw-", dir="/tmp"))
    cluster = LocalCluster(folder)
    try:
        cluster.start_head(cpus if num_nodes == 1 else 0)
        for _ in range(num_nodes - 1):
            cluster.add_worker(cpus)
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _free_ports(number: int) -> list[int]:
    """Ports that nothing listens on, all different."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _tree(process: Any) -> list[Any]:
    """A process that we started and all its descendants; empty if it has ended."""
    return [process, *process.children(recursive=True)] if process.poll() is None else []


def _kill(processes: list[Any]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=STOP_SECONDS)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=3, help="head included")
    parser.add_argument("--cpus", type=int, default=1, help="of each worker")
    parser.add_argument("command", nargs="*", help="after --; without, the cluster waits for Ctrl-C")
    arguments = parser.parse_args()
    # SIGTERM ends the block below as Ctrl-C does
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt), local_cluster(arguments.nodes, arguments.cpus) as cluster:
        if arguments.command:
            return subprocess.run(arguments.command, env=cluster.environment, check=False).returncode
        for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH"):
            print(f"export {name}={cluster.environment[name]}", flush=True)
        signal.pause()
    return 130


if __name__ == "__main__":
    sys.exit(main())
