"""The driver ends a trainer that shows no progress."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from evoltune.errors import TrainingError
from evoltune.train.trainer_process import run_trainer


def test_the_driver_ends_a_silent_job_and_its_children(tmp_path):
    script = "sleep 99 & echo $! > child; wait"
    with pytest.raises(TrainingError, match=r"the trainer showed no progress for . s \(last: start\)"):
        run_trainer(
            ["sh", "-c", f"cd {tmp_path}; {script}"], os.environ, tmp_path, hang_timeout_s=-29.5
        )  # limit: 1 s
    child = Path(f"/proc/{int((tmp_path / 'child').read_text())}")
    assert not child.exists() or "(zombie)" in (child / "status").read_text()
