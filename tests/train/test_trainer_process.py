"""The driver ends a trainer that shows no progress."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from evoltune.errors import TrainingError
from evoltune.train.trainer_process import run_trainer


def test_the_driver_ends_a_silent_job_and_its_children(tmp_path):
    script = "(trap '' TERM; exec sleep 99) & echo $! > child; wait"
    with pytest.raises(TrainingError, match=r"the trainer showed no progress for . s \(last: start\)"):
        run_trainer(["sh", "-c", f"cd {tmp_path}; {script}"], os.environ, tmp_path, hang_timeout_s=-29.5)  # limit: 1 s
    child = Path(f"/proc/{int((tmp_path / 'child').read_text())}/status")
    deadline = time.monotonic() + 20
    while running := child.exists() and "(zombie)" not in child.read_text():
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    assert not running
