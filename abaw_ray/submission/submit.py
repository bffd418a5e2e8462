"""Sends a sub-command to a Ray cluster, shows its output, and ends as it ends."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abaw_ray.errors import ConfigurationError, Interrupted, MissingInputError
from abaw_ray.submission.arguments import Verb
from abaw_ray.submission.paths import check_paths

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

DEFAULT_ADDRESS = "http://127.0.0.1:8265"
AUTH_MODE = "RAY_AUTH_MODE"
POLL_SECONDS = 1.0


class Cluster:
    """A cluster's job server.

    Args:
        address: of the dashboard, as http://127.0.0.1:8265.

    Raises:
        MissingInputError: nothing answers there.
        ConfigurationError: it wants a token, and there is none or another.
    """

    def __init__(self, address: str) -> None:
        use_token()
        from ray.exceptions import AuthenticationError
        from ray.job_submission import JobSubmissionClient

        self.address = address
        try:
            self.client: JobSubmissionClient = JobSubmissionClient(address)
        except ConnectionError:
            raise MissingInputError(
                f"no Ray dashboard answers at {address}; give --address, or forward its port with `ray dashboard` or"
                " `kubectl port-forward`"
            ) from None
        except AuthenticationError:
            raise ConfigurationError(
                f"{address} wants a token: copy the cluster's to ~/.ray/auth_token, or name its file in"
                " RAY_AUTH_TOKEN_PATH"
            ) from None

    def is_here(self) -> bool:
        """Whether all its nodes are this machine."""
        answer = self.client._do_request("GET", "/nodes?view=summary").json()
        nodes = [n for n in answer["data"]["summary"] if n["raylet"].get("state") == "ALIVE"]
        return bool(nodes) and all(node["hostname"] == socket.gethostname() for node in nodes)

    def run(self, verb: Verb, submission_id: str, folder: Path) -> int:
        """Sends the job and waits for its end.

        Returns:
            Its exit status.

        Raises:
            Interrupted: by Ctrl-C; the job goes on.
        """
        self.client.submit_job(
            entrypoint=entrypoint(verb), submission_id=submission_id, runtime_env={"working_dir": str(folder)}
        )
        commands = f"ray job {{}} --address {self.address} {submission_id}"
        print(f"job {submission_id}; to stop it: {commands.format('stop')}", file=sys.stderr)
        try:
            asyncio.run(self._show_output(submission_id))
            return self._status(submission_id)
        except KeyboardInterrupt:
            raise Interrupted(
                f"the job goes on; to follow it: {commands.format('logs --follow')}, to stop it:"
                f" {commands.format('stop')}"
            ) from None

    async def _show_output(self, submission_id: str) -> None:
        try:
            async for text in self.client.tail_job_logs(submission_id):
                sys.stdout.write(text)
                sys.stdout.flush()
        except RuntimeError as error:
            print(f"its output is cut off ({error}); waiting for its end", file=sys.stderr)

    def _status(self, submission_id: str) -> int:
        while not (status := self.client.get_job_status(submission_id)).is_terminal():
            time.sleep(POLL_SECONDS)
        details: Any = self.client.get_job_info(submission_id)
        print(f"job {submission_id}: {status}", file=sys.stderr)
        if status == "SUCCEEDED":
            return 0
        if details.driver_exit_code is None:
            print(details.message, file=sys.stderr)
        # a job that was stopped has a negative status, or none
        return max(details.driver_exit_code or 1, 1)


def use_token() -> None:
    """Has Ray send its token, as clusters want from 2.59 on. Must run before Ray is imported."""
    file = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or "~/.ray/auth_token").expanduser()
    if AUTH_MODE not in os.environ and ("RAY_AUTH_TOKEN" in os.environ or file.is_file()):
        os.environ[AUTH_MODE] = "token"


def find_address(given: str | None) -> str:
    """Address of the dashboard: the option's, the environment's, or this machine's."""
    for address in (given, os.environ.get("RAY_API_SERVER_ADDRESS"), os.environ.get("RAY_ADDRESS")):
        if address is not None and address.startswith("http"):
            return address.rstrip("/")
    if given is not None:
        raise ConfigurationError(f"--address {given}: expected that of a dashboard, as {DEFAULT_ADDRESS}")
    return DEFAULT_ADDRESS


def make_id(verb: Verb, now: float) -> str:
    """A readable id that is new each second."""
    title = re.sub(r"[^A-Za-z0-9_.-]+", "-", verb.title)
    return f"{title}-{time.strftime('%Y%m%d-%H%M%S', time.localtime(now))}"


def entrypoint(verb: Verb) -> str:
    """What the job runs."""
    return shlex.join(["python", "-m", "abaw_ray", *verb.arguments])


def plain_command(verb: Verb, address: str, submission_id: str, folder: Path) -> str:
    """The same by `ray job submit`."""
    options = ["--address", address, "--working-dir", str(folder), "--submission-id", submission_id]
    return f"{AUTH_MODE}=token {shlex.join(['ray', 'job', 'submit', *options])} -- {entrypoint(verb)}"


def submit(verb: Verb, address: str, shared: Sequence[Path], folder: Path, only_print: bool) -> int:
    """Checks everything, then sends the job and waits for its end, or prints the plain command.

    Args:
        verb: the sub-command.
        address: of the dashboard; nobody need answer there if the command is only printed.
        shared: folders that all nodes see as this machine does.
        folder: the working directory.
        only_print: send nothing.

    Returns:
        The job's exit status.

    Raises:
        ConfigurationError: paths that the job could not use, too large a folder, a wrong token.
        MissingInputError: nothing answers at the address.
        Interrupted: by Ctrl-C; the job goes on.
    """
    use_token()
    from abaw_ray.submission.package import measure

    package = measure(folder)
    package.check()
    check_paths(verb.paths, package.sizes, shared, cluster_is_here=True)
    try:
        cluster = Cluster(address)
    except MissingInputError:
        if not only_print:
            raise
        here = False
    else:
        here = cluster.is_here()
    check_paths(verb.paths, package.sizes, shared, here)
    submission_id = make_id(verb, time.time())
    if only_print:
        print(plain_command(verb, address, submission_id, folder))
        return 0
    print(f"sending {package}", file=sys.stderr)
    return cluster.run(verb, submission_id, folder)
