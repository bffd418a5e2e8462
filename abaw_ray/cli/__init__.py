"""The command `abaw-ray`: one sub-command a stage."""

from __future__ import annotations

import os
import signal
import sys

import typer

from abaw_ray.cli import data, evaluation, export, generations, labels, predict, probe, report, submit, training, whole
from abaw_ray.credentials import without_secrets
from abaw_ray.errors import UserError
from abaw_ray.interruption import SIGNALS, stoppable
from abaw_ray.jobs.submit import use_token

app = typer.Typer(
    help="Multi-task emotion recognition from several face databases with missing labels, on Ray.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for part in (data, training, generations, evaluation, labels, probe, report, export, predict, whole, submit):
    app.add_typer(part.app)


def main() -> None:
    """Runs a command: status 0 done, 2 wrong use or bad data (a message), 130 or 143 stopped, 1 a fault."""
    if "RAY_ADDRESS" in os.environ:
        use_token()
    try:
        with stoppable(lambda: "nothing that was finished before is lost"):
            app(prog_name="abaw-ray")
    except UserError as error:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # it ends already
        print(f"abaw-ray: {without_secrets(str(error))}", file=sys.stderr)
        sys.exit(error.status)
