"""Sends a sub-command to a Ray cluster, shows its output, and ends as it ends."""

from __future__ import annotations

import os
import re
import shlex
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from abaw_ray.credentials import has_secrets, without_secrets
from abaw_ray.errors import ConfigurationError, Interrupted, MissingInputError
from abaw_ray.jobs.arguments import Verb
from abaw_ray.jobs.following import Following, LostJob
from abaw_ray.jobs.paths import check_paths
from abaw_ray.ray_token import TOKEN_FILE

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

DEFAULT_ADDRESS = "http://127.0.0.1:8265"
AUTH_MODE = "RAY_AUTH_MODE"
ADDRESS_VARIABLES = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")


class Cluster:
    """A cluster's job server.

    Args:
        address: of the dashboard, as http://127.0.0.1:8265.

    Raises:
        MissingInputError: nothing answers there.
        ConfigurationError: it wants a token, and there is none or another; or it is no dashboard.
    """

    def __init__(self, address: str) -> None:
        use_token()
        from ray.exceptions import AuthenticationError
        from ray.job_submission import JobSubmissionClient

        self.address = address
        try:
            with _ray_takes(address):
                self.client: JobSubmissionClient = JobSubmissionClient(address)
        except ConnectionError:
            raise MissingInputError(
                f"no Ray dashboard answers at {address}; give --address, or forward its port with `ray dashboard` or"
                " `kubectl port-forward`"
            ) from None
        except AuthenticationError:
            mode = os.environ.get(AUTH_MODE, "token")
            raise ConfigurationError(
                f"{address} wants a token: copy the cluster's to ~/.ray/auth_token, or name its file in"
                f" RAY_AUTH_TOKEN_PATH{'' if mode == 'token' else f', and unset {AUTH_MODE}, which is {mode}'}"
            ) from None
        except (RuntimeError, OSError) as error:
            raise ConfigurationError(f"{address}: expected a Ray dashboard; {error}") from None

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
            ConfigurationError: the cluster does not take it.
            LostJob: the cluster does not answer any more.
            Interrupted: by Ctrl-C; the job goes on.
        """
        try:
            self.client.submit_job(
                entrypoint=entrypoint(verb), submission_id=submission_id, runtime_env={"working_dir": str(folder)}
            )
        except (RuntimeError, OSError) as error:
            raise ConfigurationError(f"{self.address} does not take the job: {error}") from None
        stop = f"to stop it: {ray_job('stop', self.address, submission_id)}"
        follow = f"to follow it: {ray_job('logs', self.address, '--follow', submission_id)}"
        print(f"job {submission_id}; {stop}", file=sys.stderr)
        try:
            details = Following(self.client, submission_id).to_the_end()
        except KeyboardInterrupt:
            raise Interrupted(f"the job goes on\n  {follow}\n  {stop}") from None
        except LostJob as error:
            raise LostJob(f"{self.address}: {error}; job {submission_id} may go on\n  {follow}\n  {stop}") from None
        print(f"job {submission_id}: {details.status}", file=sys.stderr)
        if details.status == "SUCCEEDED":
            return 0
        if details.driver_exit_code is None:
            print(details.message, file=sys.stderr)
        # a job that was stopped has a negative status, or none
        return max(details.driver_exit_code or 1, 1)


@contextmanager
def _ray_takes(address: str) -> Iterator[None]:
    """Ray's client prefers the address in the environment to the one that it is given."""
    name = ADDRESS_VARIABLES[0]
    before = os.environ.get(name)
    os.environ[name] = address
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def use_token() -> None:
    """Has Ray send its token, as clusters want from 2.59 on. Must run before Ray is imported."""
    file = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or TOKEN_FILE).expanduser()
    if AUTH_MODE not in os.environ and ("RAY_AUTH_TOKEN" in os.environ or file.is_file()):
        os.environ[AUTH_MODE] = "token"


def find_address(given: str | None) -> str:
    """Address of the dashboard: the option's, the environment's, or this machine's."""
    api_server, ray_address = ADDRESS_VARIABLES
    of_ray = os.environ.get(ray_address) or ""
    ray_dashboard = of_ray if of_ray.startswith("http") else None
    named = (("--address", given), (api_server, os.environ.get(api_server)), (ray_address, ray_dashboard))
    for source, address in named:
        if address and not address.startswith(("http://", "https://")):
            raise ConfigurationError(f"{source} {address}: expected that of a dashboard, as {DEFAULT_ADDRESS}")
        if address and has_secrets(address):
            raise ConfigurationError(
                f"{source} {without_secrets(address)}: found a password or a key, which would be shown; give it as a"
                " header in RAY_JOB_HEADERS, or Ray's own token"
            )
        if address:
            return address.rstrip("/")
    return DEFAULT_ADDRESS


def make_id(verb: Verb, now: float) -> str:
    """A readable id that is new each second."""
    title = re.sub(r"[^A-Za-z0-9_.-]+", "-", verb.title)
    return f"{title}-{time.strftime('%Y%m%d-%H%M%S', time.localtime(now))}"


def entrypoint(verb: Verb) -> str:
    """What the job runs."""
    return shlex.join(["python", "-m", "abaw_ray", *verb.arguments])


def ray_job(action: str, address: str, *arguments: str) -> str:
    """A line of `ray job` for this shell: with the token, and to this address whatever the environment says."""
    variables = {AUTH_MODE: os.environ.get(AUTH_MODE)}
    if any(os.environ.get(name) for name in ADDRESS_VARIABLES):
        variables[ADDRESS_VARIABLES[0]] = address
    words = [f"{name}={shlex.quote(value)}" for name, value in variables.items() if value]
    return " ".join([*words, shlex.join(["ray", "job", action, "--address", address, *arguments])])


def plain_command(verb: Verb, address: str, submission_id: str, folder: Path) -> str:
    """The same by `ray job submit`."""
    options = ["--working-dir", str(folder), "--submission-id", submission_id]
    return f"{ray_job('submit', address, *options)} -- {entrypoint(verb)}"


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
        LostJob: the cluster does not answer any more.
        Interrupted: by Ctrl-C; the job goes on.
    """
    use_token()
    from abaw_ray.jobs.package import measure

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
