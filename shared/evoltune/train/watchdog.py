"""Ends a rank that hangs: a clear error with its stacks, instead of a job that waits for ever. Imports no torch.

Started before anything that can wait (rendezvous, loading, compilation). SIGUSR1 prints the stacks of a living rank.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
import time

from evoltune.rows.files import write_json
from evoltune.train.job import Job
from evoltune.train.supervise import HEARTBEAT

HUNG = 75  # exit code of a rank that its own watchdog ended (EX_TEMPFAIL)


class Watchdog(threading.Thread):
    """Ends this rank if no step ends for `compute.hang_timeout_s`: a clear error instead of a job that waits for ever."""

    def __init__(self, job: Job) -> None:
        super().__init__(daemon=True, name="watchdog")
        self._job, self._limit = job, job.recipe.compute.hang_timeout_s
        self._rank = int(os.environ.get("RANK", "0"))
        self._last, self._word = time.monotonic(), "start"
        faulthandler.register(signal.SIGUSR1, all_threads=True)

    def beat(self, word: str) -> None:
        self._last, self._word = time.monotonic(), word
        if self._rank == 0:
            (self._job.folder / HEARTBEAT).write_text(f"{word}\n", encoding="utf-8")

    def run(self) -> None:
        while time.monotonic() - self._last <= self._limit:
            time.sleep(min(1.0, self._limit / 4))
        message = (
            f"rank {self._rank} made no progress for {self._limit:.0f} s after {self._word!r}: a peer is lost or a collective hangs; "
            "its stacks stand above; the same command goes on from the last checkpoint (compute.hang_timeout_s sets the limit)"
        )
        faulthandler.dump_traceback(file=sys.stderr)
        report = {"kind": "TrainingError", "message": message, "exit_code": 1}
        write_json(self._job.folder / f"error-{self._rank}.json", report)
        os._exit(HUNG)
