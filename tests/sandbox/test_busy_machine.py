"""What is believed of a job that ran out of time: its CPU time at once, the clock on a busy machine only after a second try."""

import socket
import threading

import pytest

from evoltune.domain import Job
from evoltune.sandbox import wire
from evoltune.sandbox.dispatch import Dispatcher, is_starved
from evoltune.sandbox.limits import LIMITS, REPORT, JobReport, ResourceLimits

KILLED_BY_THE_CLOCK, KILLED_FOR_MEMORY = 1, 2
CASES = {
    "out of CPU time, on a busy machine": (["timeout"], 0.9, "timeout", False),
    "asleep": ([KILLED_BY_THE_CLOCK], 0.1, "timeout", False),
    "too large, on a busy machine": ([KILLED_FOR_MEMORY], 0.9, "memory", False),
    "starved, then done": ([KILLED_BY_THE_CLOCK, "pass"], 0.9, "pass", True),
    "starved, then out of CPU time": ([KILLED_BY_THE_CLOCK, "timeout"], 0.9, "timeout", True),
    "starved twice": ([KILLED_BY_THE_CLOCK, KILLED_BY_THE_CLOCK], 0.9, "timeout", True),
}
"""How the job's tries end, the share of its time that it waits for a core, its verdict, and whether it was tried again."""


def play_zygote(requests, tries, waits, given):
    """Answers for a test runner with a verdict, or closes its line and reports that it was killed."""
    for end in tries:
        body, (line,), *_ = socket.recv_fds(requests, 256, 1)
        given.append(ResourceLimits(*LIMITS.unpack(body)))
        with socket.socket(fileno=line) as runner:
            token, *_ = wire.receive(runner)
            if isinstance(end, str):
                wire.send(runner, [token, [end, "", {"cpu_s": 1.0}], False])
        wall_s = given[-1].wall_s
        killed = end if isinstance(end, int) else 0
        requests.send(
            REPORT.pack(*JobReport(given[-1].number, 9 if killed else 0, killed, 1000, wall_s, waits * wall_s))
        )


@pytest.mark.parametrize("name", CASES)
def test_only_a_timeout_by_the_clock_on_a_busy_machine_is_tried_again_and_once(name):
    tries, waits, status, again = CASES[name]
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    given = []
    with ours, theirs:
        zygote = threading.Thread(target=play_zygote, args=(theirs, tries, waits, given))
        zygote.start()
        dispatcher = Dispatcher(ours, {"program_s": 1.0, "memory_mb": 512}, "L2")
        verdict = dispatcher.run(Job(program="f = abs", tests={"cases": [[[1], 1]]}, entry_point="f"))
        zygote.join()
    assert (verdict.status, verdict.evidence.get("retried", False)) == (status, again)
    assert len(given) == len(tries)
    assert [limits.wall_s > given[0].wall_s for limits in given[1:]] == [True] * (len(tries) - 1)
    assert {limits.cpu_s for limits in given} == {1.0}


@pytest.mark.parametrize(
    ("cpu_s", "wall_s", "starved"),
    [(1.0, 1.0, False), (1.0, 9.0, False), (0.95, 3.0, True), (0.95, 1.1, False), (0.1, 3.0, True), (0.9, 1.15, False)],
)
def test_a_job_of_a_shared_test_runner_is_tried_again_only_while_it_has_cpu_time_left(cpu_s, wall_s, starved):
    assert is_starved(cpu_s, wall_s, 1.0) == starved
