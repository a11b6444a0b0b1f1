"""Ends a rank that hangs, with its stack traces and a clear error. Imports no torch.

It starts before anything that can wait (rendezvous, loading, compilation). SIGUSR1 prints the stack traces of a running rank.
"""

import faulthandler
import os
import signal
import sys
import threading
import time

from evoltune.errors import TrainingError
from evoltune.run.paths import HEARTBEAT
from evoltune.train.job import Job, write_error

HUNG = 75  # exit code of a rank that its own watchdog ended (EX_TEMPFAIL)


class Watchdog(threading.Thread):
    """Ends this rank if it makes no progress for `compute.hang_timeout_s`."""

    def __init__(self, job: Job) -> None:
        super().__init__(daemon=True, name="watchdog")
        self._job, self._limit = job, job.recipe.compute.hang_timeout_s
        self._rank = int(os.environ.get("RANK", "0"))
        self._last, self._event = time.monotonic(), "start"
        faulthandler.register(signal.SIGUSR1, all_threads=True)

    def beat(self, event: str) -> None:
        """Reports progress; `event` says what was done, such as `step 4`."""
        self._last, self._event = time.monotonic(), event
        if self._rank == 0:
            (self._job.folder / HEARTBEAT).write_text(f"{event}\n", encoding="utf-8")

    def run(self) -> None:
        while time.monotonic() - self._last <= self._limit:
            time.sleep(min(1.0, self._limit / 4))
        faulthandler.dump_traceback(file=sys.stderr)
        error = TrainingError(
            f"rank {self._rank} made no progress for {self._limit:g} s after {self._event!r}: another rank is lost or a collective "
            "hangs; see its stack traces above; run the same command again to continue from the last checkpoint "
            "(compute.hang_timeout_s sets the limit)"
        )
        write_error(self._job, self._rank, error)
        os._exit(HUNG)
