"""Tests that share a process with the program: honest programs get the plain interpreter's verdict, cheats none that counts."""

import pytest
from same_process_cheats import CHEATS, RIGHT, TESTS

from evoltune.domain import Job
from evoltune.sandbox.pool import Pool
from evoltune.sandbox.worker_protocol import WorkerConfig, verdict_from_row


def verdicts(jobs, level="L3"):
    pool = Pool(WorkerConfig(domain="", require="L0", program_s=5.0, at_most=level), workers=1)
    try:
        return [verdict_from_row(rows[0]) for rows in pool.map("jobs", [[job] for job in jobs])]
    finally:
        pool.close()


def job(program, tests, **more):
    return Job(program=program, tests=tests, entry_point="f", **more)


def test_right_programs_pass_in_their_own_process():
    for name, verdict in zip(RIGHT, verdicts([job(p, TESTS[t]) for t, p in RIGHT.items()]), strict=True):
        assert (verdict.status, verdict.evidence["judge"]) == ("pass", "same process"), (name, verdict)


@pytest.mark.parametrize("part", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)])
def test_no_cheat_passes(part):
    chosen = dict([*CHEATS.items()][part::3])
    found = verdicts([job(program, tests) for tests, program in chosen.values()])
    assert {n: v for n, v in zip(chosen, found, strict=True) if v.status == "pass"} == {}
    assert {n for n, v in zip(chosen, found, strict=True) if v.evidence.get("judge") != "same process"} == set()
    assert len(CHEATS) > 200


def test_a_policy_that_allows_only_separate_processes_verifies_no_such_tests():
    own, other = verdicts(
        [job(RIGHT["identity"], TESTS["identity"], judge="separate"), job(RIGHT["script"], "assert f(1, 2) == 3", judge="separate")]
    )  # fmt: skip
    assert own.status == "unverifiable" and "verify.policy.judge" in own.reason
    assert (other.status, other.evidence["judge"]) == ("pass", "separate")
