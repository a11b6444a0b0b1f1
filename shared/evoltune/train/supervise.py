"""Waits for the trainer process(es): hands on a wish to stop, and ends what hangs.

A stop (SIGTERM, Ctrl-C) becomes the file `OUT/stop`, which works for every launcher and across nodes: the trainer saves a
checkpoint after the step in hand and ends. A second signal kills. Invariant: no process of ours outlives `supervise`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from evoltune.errors import TrainingError

HEARTBEAT = "heartbeat"
STOP = "stop"
POLL_S = 0.2


def supervise(command: Sequence[str], env: Mapping[str, str], folder: Path, hang_timeout_s: float) -> int:
    """Exit code of the command. Raises TrainingError if `folder/heartbeat` stands still for longer than it may."""
    (folder / STOP).unlink(missing_ok=True)
    (folder / HEARTBEAT).write_text("start\n", encoding="utf-8")
    process = subprocess.Popen(command, env=dict(env), start_new_session=True)
    # Ranks end themselves at `hang_timeout_s`, so that an elastic job restarts; this is the net below that.
    limit = 2 * hang_timeout_s + 60
    try:
        with _stop_by_file(folder, process):
            while (code := _poll(process)) is None:
                silent = time.time() - (folder / HEARTBEAT).stat().st_mtime
                if silent > limit:
                    raise TrainingError(
                        f"no sign of life from the trainer for {silent:.0f} s (last: {_last_word(folder)}): it was ended; "
                        "the same command goes on from the last checkpoint; compute.hang_timeout_s sets the limit"
                    )
    finally:
        end_group(process)
    return code


def _poll(process: subprocess.Popen[bytes]) -> int | None:
    try:
        return process.wait(POLL_S)
    except subprocess.TimeoutExpired:
        return None


def _last_word(folder: Path) -> str:
    return (folder / HEARTBEAT).read_text(encoding="utf-8").strip()


@contextmanager
def _stop_by_file(folder: Path, process: subprocess.Popen[bytes]) -> Iterator[None]:
    def on_signal(number: int, frame: FrameType | None) -> None:
        if (folder / STOP).exists():
            end_group(process)
        (folder / STOP).touch()

    try:
        old = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    except ValueError:  # not in the main thread: signals go to whoever called us
        yield
        return
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Ends the command and its children: politely, then not."""
    if process.poll() is None:
        _signal_group(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            pass
    _signal_group(process.pid, signal.SIGKILL)
    process.wait()


def _signal_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        pass
