"""Runs the trainer process(es) and waits: passes on a request to stop, and ends what hangs.

A stop (SIGTERM, Ctrl-C) becomes the file `OUT/stop`, which works for every launcher and across nodes: the trainer saves a
checkpoint after the current step and ends. A second signal kills. Invariant: no process that it started outlives `run_trainer`.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from evoltune.errors import TrainingError
from evoltune.run.paths import HEARTBEAT, STOP

POLL_S = 0.2


def run_trainer(command: Sequence[str], env: Mapping[str, str], folder: Path, hang_timeout_s: float) -> int:
    """Returns the command's exit code.

    Raises:
        TrainingError: `folder/heartbeat` was not written for twice `hang_timeout_s` and a minute. The ranks end themselves
            at `hang_timeout_s`, so that an elastic job restarts; this limit is for ranks that cannot.
    """
    (folder / STOP).unlink(missing_ok=True)
    (folder / HEARTBEAT).write_text("start\n", encoding="utf-8")
    process = subprocess.Popen(command, env=dict(env), start_new_session=True)
    limit = 2 * hang_timeout_s + 60
    try:
        with _signals_as_stop_file(folder, process):
            while (code := _poll(process)) is None:
                silent = time.time() - (folder / HEARTBEAT).stat().st_mtime
                if silent > limit:
                    last = (folder / HEARTBEAT).read_text(encoding="utf-8").strip()
                    raise TrainingError(
                        f"the trainer showed no progress for {silent:.0f} s (last: {last}) and was ended: run the same command "
                        "again to continue from the last checkpoint; compute.hang_timeout_s sets the limit"
                    )
    finally:
        _end_group(process)
    return code


def _poll(process: subprocess.Popen[bytes]) -> int | None:
    try:
        return process.wait(POLL_S)
    except subprocess.TimeoutExpired:
        return None


@contextmanager
def _signals_as_stop_file(folder: Path, process: subprocess.Popen[bytes]) -> Iterator[None]:
    def on_signal(number: int, frame: FrameType | None) -> None:
        if (folder / STOP).exists():
            _end_group(process)
        (folder / STOP).touch()

    try:
        old = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    except ValueError:  # only the main thread gets signals, so our caller handles them
        yield
        return
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Ends the command and its children: SIGTERM, and SIGKILL after 10 s."""
    if process.poll() is None:
        _signal_group(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
    _signal_group(process.pid, signal.SIGKILL)
    process.wait()


def _signal_group(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
