"""A rank that hangs ends itself."""

from __future__ import annotations

import json
import subprocess
import sys

from evoltune.train.job import write_job


def test_a_rank_that_hangs_ends_itself_with_stacks_and_a_reason(job_in, tmp_path):
    write_job(job_in(tmp_path, "compute.hang_timeout_s=0.5"))
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom evoltune.train.job import read_job\n"
        "from evoltune.train.job import Watchdog\n"
        "dog = Watchdog(read_job(Path(sys.argv[1]))); dog.start(); dog.beat('step 4'); time.sleep(60)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "job.json")], capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 75
    assert "most recent call first" in done.stderr
    assert "no progress for 0.5 s after 'step 4'" in json.loads((tmp_path / "error-0.json").read_text())["message"]
