"""A job's output and end, also over a connection that breaks."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from typing import TYPE_CHECKING, Any

from abaw_ray.errors import UserError

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

POLL_SECONDS = 1.0
LOST_SECONDS = 300.0


class LostJob(UserError):
    """The cluster does not answer any more, so that nobody knows how the job ended."""

    status = 1


class Following:
    """Shows what a job prints until it ends.

    Args:
        client: of its cluster.
        submission_id: the job's.
    """

    def __init__(self, client: JobSubmissionClient, submission_id: str) -> None:
        import aiohttp

        self._client, self._submission_id = client, submission_id
        self._num_shown = 0
        # requests' errors are OSError, Ray makes RuntimeError of bad answers
        self._broken = (RuntimeError, OSError, aiohttp.ClientError)

    def to_the_end(self) -> Any:
        """Writes the output to stdout, each part once.

        Returns:
            Ray's `JobDetails`.

        Raises:
            LostJob: nothing answered for LOST_SECONDS.
        """
        while True:
            is_whole = self._show()
            details = self._details()
            if details.status.is_terminal():
                if not is_whole:
                    with contextlib.suppress(*self._broken):
                        self._write(self._client.get_job_logs(self._submission_id), 0)
                return details
            time.sleep(POLL_SECONDS)

    def _show(self) -> bool:
        """Whether the output came without a break."""
        try:
            asyncio.run(self._stream())
        except BrokenPipeError:
            raise
        except self._broken as error:
            print(f"the job's output is cut off ({error}); waiting", file=sys.stderr)
            return False
        return True

    async def _stream(self) -> None:
        num_seen = 0
        async for text in self._client.tail_job_logs(self._submission_id):
            self._write(text, num_seen)
            num_seen += len(text)

    def _write(self, text: str, start: int) -> None:
        """Writes what is new of a part of the output that begins at a character; Ray always sends it from the first."""
        sys.stdout.write(text[max(self._num_shown - start, 0) :])
        sys.stdout.flush()
        self._num_shown = max(self._num_shown, start + len(text))

    def _details(self) -> Any:
        start = time.monotonic()
        while True:
            try:
                return self._client.get_job_info(self._submission_id)
            except self._broken as error:
                if time.monotonic() - start > LOST_SECONDS:
                    raise LostJob(f"no answer for {LOST_SECONDS:.0f} s ({error})") from None
            time.sleep(POLL_SECONDS)
