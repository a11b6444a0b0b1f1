"""A trainer rank: `python -m evoltune.train JOB.json` (alone, or under torchrun or deepspeed)."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from evoltune.errors import EvoltuneError
from evoltune.train.job import read_job, write_file
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
        write_file(job.folder / f"error-{os.environ.get('RANK', '0')}.json", json.dumps(report).encode())
        print(f"evoltune train: {error}", file=sys.stderr)
        # All ranks raise these alike; an agent that saw a failure would restart them only to fail again.
        return 0 if "TORCHELASTIC_RUN_ID" in os.environ else error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
