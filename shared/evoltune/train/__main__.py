"""A trainer rank: `python -m evoltune.train JOB.json` (alone, or under torchrun or deepspeed)."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from evoltune.errors import EvoltuneError
from evoltune.rows.files import write_json
from evoltune.train.job import read_job
from evoltune.train.watchdog import Watchdog


def main() -> int:
    path = Path(next(a for a in sys.argv[1:] if not a.startswith("--")))  # deepspeed adds --local_rank=N
    job = read_job(path)
    watchdog = Watchdog(job)
    watchdog.start()
    try:
        from evoltune.train.sft.trainer import run

        run(job, watchdog)
    except EvoltuneError as error:
        report = {"kind": type(error).__name__, "message": str(error), "exit_code": error.exit_code}
        write_json(job.folder / f"error-{os.environ.get('RANK', '0')}.json", report)
        print(f"evoltune train: {error}", file=sys.stderr)
        # All ranks raise these alike; an agent that saw a failure would restart them only to fail again.
        return 0 if "TORCHELASTIC_RUN_ID" in os.environ else error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
