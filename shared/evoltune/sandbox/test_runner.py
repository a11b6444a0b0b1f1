"""J, the judge: init of the job's own pid namespace; runs the tests, asks the candidate, sends the verdict.

J forks K before it reads a single byte of the job, and wears the candidate's isolation itself: tests that a model
wrote are untrusted too. A judge may stay for more jobs whose tests leave nothing behind: then each program runs in a child
of K's, forked before it is told anything, without processes of its own, and killed after it. Invariant: a candidate that is dead or silent when the tests end has not passed, whatever the
tests said; a verdict carries the checker's nonce over a descriptor that K never held.
"""

from __future__ import annotations

import _socket
import gc
import os
import select
import signal
import socket
import time
from typing import Any

from evoltune.sandbox import forms, kernel, languages, limits, remote, wire
from evoltune.sandbox import solution_process as candidate

LANGUAGES = languages.LANGUAGES  # imported here: later, our own sources are out of sight
Row = tuple[str, str, dict[str, Any]]
"""Status, reason, evidence."""


def main(checker: int, box: limits.Box) -> None:
    """One job, or jobs one after the other as long as the checker sends them. Never returns."""
    mine, theirs = _pair()
    reading, writing = os.pipe()
    pid = kernel.fork()
    if pid == 0:
        candidate.main(theirs, writing, box)
    os.close(theirs)
    os.close(writing)
    try:
        job = wire.receive(checker)
        link = remote.Link(mine, reading, checker)
        if job["stay"]:
            _stay(link, job, box)
        wire.send(checker, [job["nonce"], _single(link, pid, job, box), False])
    except (EOFError, BrokenPipeError):
        pass
    except MemoryError:
        os._exit(limits.EXIT_MEMORY)
    os._exit(0)


def _pair() -> tuple[int, int]:
    a, b = _socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    return a.detach(), b.detach()


def _single(link: remote.Link, pid: int, job: dict[str, Any], box: limits.Box) -> Row:
    status, reason, evidence = _judged(link, job)
    silent = link.dead
    link.dead = True  # from here on nothing asks the candidate any more
    output = link.drain()
    exited = _ended(pid, 2000 if silent else 0)
    if not exited:
        os.kill(pid, signal.SIGKILL)
    _, state, usage = exited or os.wait4(pid, 0)
    cpu_s, peak = usage.ru_utime + usage.ru_stime, usage.ru_maxrss
    if status == "pass" and not silent and exited and not evidence.pop("ended", False):
        silent = True
    if silent:
        status, reason = _cause(state if exited else 0, cpu_s, box)
    evidence.pop("ended", None)
    cpu_s, peak = max(cpu_s, evidence.pop("cpu_s", 0.0)), max(peak, evidence.pop("peak_kb", 0))
    return _row(status, reason, evidence, output, cpu_s, peak)


def _row(
    status: str, reason: str, evidence: dict[str, Any], output: bytes, cpu_s: float, peak_kb: int
) -> Row:
    if output and status != "pass" and "stdout" not in evidence:
        evidence["stdout"] = output[-2000:].decode("utf-8", "replace")
    evidence["cpu_s"], evidence["memory_mb"] = round(cpu_s, 4), round(peak_kb / 1024, 1)
    return status, reason[:2000], evidence


def _ended(pid: int, grace_ms: int) -> Any:
    """wait4's answer if the process is gone already; its channel closes a moment before it is."""
    if grace_ms:
        pidfd = os.pidfd_open(pid)
        gone = select.poll()
        gone.register(pidfd, select.POLLIN)
        gone.poll(grace_ms)
        os.close(pidfd)
    done = os.wait4(pid, os.WNOHANG)
    return done if done[0] else None


def _cause(state: int, cpu_s: float, box: limits.Box) -> tuple[str, str]:
    """Status and reason of a candidate that died or fell silent before its verdict."""
    if os.WIFSIGNALED(state):
        number = os.WTERMSIG(state)
        if number in (signal.SIGPROF, signal.SIGXCPU) or (
            number == signal.SIGKILL and cpu_s >= 0.9 * box.cpu_s
        ):
            return "timeout", f"more than {box.cpu_s:g} s of CPU"
        if number == signal.SIGKILL:
            return "fail", "the program was killed (SIGKILL) before the tests ended"
        return "fail", f"the program crashed ({signal.Signals(number).name})"
    if os.WIFEXITED(state) and os.WEXITSTATUS(state) == limits.EXIT_MEMORY:
        return "memory", f"more than {box.memory_mb} MB"
    if os.WIFEXITED(state):
        return "fail", f"the program ended (status {os.WEXITSTATUS(state)}) before the tests did"
    return "fail", "the program closed its channel before the tests ended"


def _judged(link: remote.Link, job: dict[str, Any]) -> Row:
    try:
        status, reason, evidence = forms.judge(link, job["tests"], job, job["language"])
    except remote.Dead:
        status, reason, evidence = "fail", "the program ended before the tests did", {}
    except MemoryError:
        status, reason, evidence = "fail", "the tests ran out of memory over what the program returned", {}
    except Exception as error:  # noqa: BLE001 - the checker saw to the tests' shape; what else broke, K said
        status, reason, evidence = "fail", f"the program broke its channel ({type(error).__name__})", {}
    if link.calls:
        evidence["calls"] = link.calls
    return status, reason, evidence


def _stay(link: remote.Link, job: dict[str, Any], box: limits.Box) -> None:
    """Judges jobs until the checker closes its line (EOFError). Ends the process without a word when a program took K
    down with it, or holds it up: the checker then has it judged alone."""
    control, stays, link.shared = link.channel, True, True

    def late(*_: object) -> None:
        link.dead = True
        raise remote.Dead("time")

    signal.signal(signal.SIGALRM, late)
    gc.enable()
    pinned = len(os.sched_getaffinity(0)) == 1
    while stays:
        link.attend(control)
        link.out, link.dropped, link.calls, link.dead = bytearray(), 0, 0, False
        link.callbacks, link.exceptions, link.last = [], {}, ("", "")
        remote.Remote.named = frozenset()
        cpu_s, here = float(job["cpu_s"]), kernel.current_cpu()
        os.sched_setaffinity(
            0, {here}
        )  # as the zygote does for the first job; it frees whoever runs for long
        mine, theirs = _pair()
        signal.setitimer(signal.ITIMER_REAL, 2 * cpu_s + 1, 1.0)
        try:
            wire.send(control, ["fork", cpu_s, here if pinned else -1])
            with socket.socket(fileno=os.dup(control)) as line:
                socket.send_fds(line, [b"c"], [theirs])
            os.close(theirs)
            link.wait()
            member = wire.receive(control)[1]
            link.attend(mine)
            status, reason, evidence = _judged(link, job)
            if link.refused:
                os._exit(0)
            output, silent, link.dead = link.drain(), link.dead, False
            os.kill(member, signal.SIGKILL)
            link.attend(control)
            os.close(mine)
            link.wait()
            _, state, used_s, peak = wire.receive(control)
        except (EOFError, OSError, remote.Dead):
            os._exit(0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        if silent:
            killed = os.WIFSIGNALED(state) and os.WTERMSIG(state) == signal.SIGKILL and used_s < 0.9 * cpu_s
            status, reason = (
                ("timeout", "did not answer in time")
                if killed
                else _cause(state, used_s, box._replace(cpu_s=cpu_s))
            )
        stays = time.process_time() < box.cpu_s
        row = _row(status, reason, evidence, output, used_s, peak)
        wire.send(link.checker, [job["nonce"], row, stays])
        if stays:
            job = wire.receive(link.checker)
    os._exit(0)
