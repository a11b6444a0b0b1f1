"""Workers for all tests that only run programs."""

import pytest

from evoltune.domain import Job
from evoltune.sandbox.pool import Pool
from evoltune.sandbox.worker_protocol import WorkerConfig, verdict_from_row


@pytest.fixture(scope="session")
def run():
    """The verdicts on jobs, run as one batch."""
    pool = Pool(WorkerConfig(domain="", require="L0", program_s=1.0, memory_mb=512), workers=8)
    yield lambda *jobs: [verdict_from_row(r) for r in pool.submit("jobs", [list(jobs)]).result(120)[0]]
    pool.close()


@pytest.fixture(scope="session")
def one(run):
    """The verdict on one program whose function is called f."""

    def verdict(program, tests, **more):
        return run(Job(program=program, tests=tests, entry_point="f", **more))[0]

    return verdict
