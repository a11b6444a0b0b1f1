"""An object that a function returns is worth the built-in value that it is, whatever its class says that it equals."""

import pytest
from hedges import CHEATS, HONEST, RIGHT

from evoltune.domain import Job
from evoltune.sandbox.pool import Pool
from evoltune.sandbox.worker_protocol import WorkerConfig, verdict_from_row


def verdicts(pairs):
    """Name -> verdict of (program, tests)."""
    jobs = [Job(program=program, tests=tests, entry_point="f") for program, tests in pairs.values()]
    pool = Pool(WorkerConfig(domain="", require="L0", program_s=5.0), workers=1)
    try:
        rows = [row for some in pool.map("jobs", [jobs[n : n + 50] for n in range(0, len(jobs), 50)]) for row in some]
    finally:
        pool.close()
    return dict(zip(pairs, map(verdict_from_row, rows), strict=True))


def plainly(program, tests):
    """What the interpreter says when program and tests run together."""
    space = {"__name__": "candidate"}
    exec(program, space)
    exec(tests, space)


def test_honest_programs_pass_where_the_interpreter_passes_them():
    for program, tests in HONEST.values():
        plainly(program, tests)
    found = verdicts({**HONEST, **{name: (program, tests) for name, (tests, program) in RIGHT.items()}})
    assert {name: v for name, v in found.items() if v.status != "pass"} == {}
    assert {v.evidence["judge"] for v in found.values()} == {"same process"}
    assert len(HONEST) >= 100


@pytest.mark.parametrize("part", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2))])
def test_no_object_is_both_of_two_answers(part):
    found = verdicts({name: (program, tests) for name, (tests, program) in [*CHEATS.items()][part::3]})
    assert {name: v for name, v in found.items() if v.status != "fail"} == {}
    assert {v.evidence["judge"] for v in found.values()} == {"same process"}
    assert len(CHEATS) >= 150
