"""The test runner: process 1 of the job's own pid namespace; runs the tests and sends the verdict.

It forks the solution process before it reads a single byte of the job, and runs under the same isolation: tests that a
model wrote are untrusted too. A *shared* test runner is reused for further jobs whose tests leave nothing behind; then each
program runs in a child of the first solution process, forked before it is told anything, unable to start processes, and
killed after its verdict.

Invariant: a program whose process is dead or silent when the tests end has not passed, whatever the tests found; a verdict
carries the verifier's random token over a descriptor that no solution process ever held.
"""

import _socket
import gc
import os
import select
import signal
import time
from typing import Any

from evoltune.sandbox import forms, kernel, solution_process, wire
from evoltune.sandbox.limits import EXIT_MEMORY, Outcome, ResourceLimits, allowed_seconds
from evoltune.sandbox.proxies import NeedsSameProcess, SolutionConnection, SolutionExited
from evoltune.sandbox.reading import NEEDS_SAME_PROCESS
from evoltune.sandbox.solution_process import ENDED, FORKED, NEXT

GRACE_S = 2.0
"""How long a solution process may take to end after its channel closed."""


def main(verifier: int, resources: ResourceLimits) -> None:
    """One job, or several one after the other while the verifier process sends them. Never returns."""
    ours, theirs = _pair()
    reading, writing = os.pipe()
    replies, answers = os.pipe()
    pid = kernel.fork()
    if pid == 0:
        solution_process.main(theirs, writing, answers, resources)
    for fd in (theirs, writing, answers):
        os.close(fd)
    try:
        token, shared, job = wire.receive(verifier)
        connection = SolutionConnection(ours, reading, verifier, replies)
        if shared:
            _run_shared(connection, token, job, resources)
        wire.send(verifier, [token, _run_alone(connection, pid, job, resources), False])
    except (EOFError, BrokenPipeError):
        pass
    except MemoryError:
        os._exit(EXIT_MEMORY)
    os._exit(0)


def _pair() -> tuple[int, int]:
    a, b = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM)
    return a.detach(), b.detach()


def _run_tests(connection: SolutionConnection, job: dict[str, Any]) -> Outcome:
    try:
        outcome = forms.run(connection, job)
    except SolutionExited:
        outcome = Outcome("fail", "the program ended before the tests did", {})
    except NeedsSameProcess as reason:
        outcome = Outcome("error", str(reason), {NEEDS_SAME_PROCESS: True})
    except MemoryError:
        outcome = Outcome("fail", "the tests ran out of memory over what the program returned", {})
    except Exception as error:  # noqa: BLE001 - the tests' shape is valid, so this is what the solution process sent
        outcome = Outcome("fail", f"the program broke its channel ({type(error).__name__})", {})
    if connection.calls:
        outcome.evidence["calls"] = connection.calls
    return outcome


def _run_alone(connection: SolutionConnection, pid: int, job: dict[str, Any], resources: ResourceLimits) -> Outcome:
    """The outcome of the only job of this test runner, whose solution process `pid` it ends."""
    outcome = _run_tests(connection, job)
    evidence, silent = outcome.evidence, connection.dead
    connection.dead = True  # from here on nothing may ask the solution process
    output = connection.drain()
    exited = _wait_if_ended(pid, grace_s=GRACE_S if silent else 0)
    if not exited:
        os.kill(pid, signal.SIGKILL)
    _, state, usage = exited or os.wait4(pid, 0)
    cpu_s, peak_kb = usage.ru_utime + usage.ru_stime, usage.ru_maxrss
    ended_on_purpose = evidence.pop("ended", False)
    if silent or (outcome.status == "pass" and exited and not ended_on_purpose):
        outcome = _cause_of_death(state if exited else 0, cpu_s, resources)._replace(evidence=evidence)
    cpu_s, peak_kb = max(cpu_s, evidence.pop("cpu_s", 0.0)), max(peak_kb, evidence.pop("peak_kb", 0))
    return _measured(outcome, output, cpu_s, peak_kb)


def _wait_if_ended(pid: int, grace_s: float) -> Any:
    """wait4's answer if the process has ended; its channel closes a moment before it does."""
    if grace_s:
        pidfd = os.pidfd_open(pid)
        ended = select.poll()
        ended.register(pidfd, select.POLLIN)
        ended.poll(grace_s * 1000)
        os.close(pidfd)
    answer = os.wait4(pid, os.WNOHANG)
    return answer if answer[0] else None


def _cause_of_death(state: int, cpu_s: float, resources: ResourceLimits) -> Outcome:
    """The outcome of a solution process that died or fell silent before its verdict, by its wait status."""
    if os.WIFSIGNALED(state):
        number = os.WTERMSIG(state)
        out_of_cpu = number == signal.SIGKILL and cpu_s >= 0.9 * resources.cpu_s
        if number in (signal.SIGPROF, signal.SIGXCPU) or out_of_cpu:
            return Outcome("timeout", f"more than {resources.cpu_s:g} s of CPU", {})
        if number == signal.SIGKILL:
            return Outcome("fail", "the program was killed (SIGKILL) before the tests ended", {})
        return Outcome("fail", f"the program crashed ({signal.Signals(number).name})", {})
    if not os.WIFEXITED(state):
        return Outcome("fail", "the program closed its channel before the tests ended", {})
    if os.WEXITSTATUS(state) == EXIT_MEMORY:
        return Outcome("memory", f"more than {resources.memory_mb} MB", {})
    return Outcome("fail", f"the program ended (status {os.WEXITSTATUS(state)}) before the tests did", {})


def _measured(outcome: Outcome, output: bytes, cpu_s: float, peak_kb: int) -> Outcome:
    """The outcome with what was measured, and the end of the program's output where it did not pass."""
    status, reason, evidence = outcome
    if output and status != "pass" and "stdout" not in evidence:
        evidence["stdout"] = output[-2000:].decode("utf-8", "replace")
    evidence["cpu_s"], evidence["memory_mb"] = round(cpu_s, 4), round(peak_kb / 1024, 1)
    return Outcome(status, reason[:2000], evidence)


# ---- a shared test runner


def _run_shared(connection: SolutionConnection, token: str, job: dict[str, Any], resources: ResourceLimits) -> None:
    """Runs jobs until the verifier process closes its line (EOFError). Exits without a word when a program took the solution
    process down or holds it up, or when tests ask for an object of this process: then the job runs again, alone."""
    goes_on = True

    def out_of_time(*_: object) -> None:
        connection.dead = True
        raise SolutionExited("out of time")

    signal.signal(signal.SIGALRM, out_of_time)
    gc.enable()
    pinned = len(os.sched_getaffinity(0)) == 1
    first = True
    while goes_on:
        outcome = _run_in_child(connection, job, resources, pinned, first=first)
        first = False
        goes_on = time.process_time() < resources.cpu_s
        wire.send(connection.verifier, [token, outcome, goes_on])
        if goes_on:
            token, _, job = wire.receive(connection.verifier)
    os._exit(0)


def _run_in_child(
    connection: SolutionConnection, job: dict[str, Any], resources: ResourceLimits, pinned: bool, *, first: bool
) -> Outcome:
    """The outcome of one job in a child of the solution process, at whose channel the connection is before and after."""
    control, no_replies = connection.channel, connection.replies_pipe
    connection.reset()
    cpu_s, core = float(job["cpu_s"]), kernel.current_cpu()
    whole_s = allowed_seconds(cpu_s)
    os.sched_setaffinity(0, (core,))  # as the zygote does for the first job; it frees a job that runs for long
    ours, theirs = _pair()
    replies, answers = os.pipe()
    signal.setitimer(signal.ITIMER_REAL, 2 * cpu_s + 1, 1.0)
    try:
        _fork_solution(connection, (theirs, answers), (cpu_s, whole_s, core if pinned else -1), first)
        connection.use_channel(ours, replies)
        outcome = _run_tests(connection, job)
        output, silent, connection.dead = connection.drain(), connection.dead, False
        connection.use_channel(control, no_replies)
        connection.wait()
        os.kill(FORKED.unpack(wire.read_exactly(control, FORKED.size))[0], signal.SIGKILL)
        os.close(ours)
        os.close(replies)
        connection.wait()
        state, used_s, peak_kb = ENDED.unpack(wire.read_exactly(control, ENDED.size))
    except (EOFError, OSError, SolutionExited):
        os._exit(0)
    signal.setitimer(signal.ITIMER_REAL, 0)
    if silent:
        killed = os.WIFSIGNALED(state) and os.WTERMSIG(state) == signal.SIGKILL and used_s < 0.9 * cpu_s
        died = Outcome("timeout", "did not answer in time", {})
        died = died if killed else _cause_of_death(state, used_s, resources._replace(cpu_s=cpu_s))
        outcome = died._replace(evidence=outcome.evidence)
    return _measured(outcome, output, used_s, peak_kb)


def _fork_solution(
    connection: SolutionConnection, ends: tuple[int, int], limits_of_job: tuple[float, int, int], first: bool
) -> None:
    """Has the solution process fork a child that serves the channel and the pipe of replies whose ends these are. It will tell the
    child's number on its own channel."""
    control = connection.channel
    if first:
        wire.send_request(control, ["fork"])
        wire.read_exactly(control, 1)  # it reads requests in another way from now on
    line = _socket.socket(fileno=control)
    wire.send_with_descriptors(line, NEXT.pack(*limits_of_job), *ends)
    line.detach()
    for fd in ends:
        os.close(fd)
