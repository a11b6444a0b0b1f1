"""Resource limits of one job: the numbers, and the calls that put them on a process.

Invariant: limits are only ever lowered.

    set_job_limits(ResourceLimits(number=1, memory_mb=512, cpu_s=5.0, wall_s=9.5, processes=64))
"""

from __future__ import annotations

import math
import os
import resource
import signal
import struct
from typing import NamedTuple

from evoltune.sandbox import kernel, seccomp

EXIT_MEMORY = 86
"""Exit status of a process of ours that ran out of memory."""
_LIMITS = struct.Struct("<IIddIid")
_REPORT = struct.Struct("<IiiQdd")


class ResourceLimits(NamedTuple):
    """What one job may use, as the zygote receives it: numbers, and nothing of the task."""

    number: int
    """The job's number, which its report repeats."""
    memory_mb: int
    cpu_s: float
    wall_s: float
    processes: int
    address_space: int = 1
    """0: a run time that reserves far more than it uses (node), so only its resident memory counts."""
    build_s: float = 0.0
    """CPU seconds of a compiler, where there is one."""

    def pack(self) -> bytes:
        return _LIMITS.pack(*self)

    @classmethod
    def unpack(cls, body: bytes) -> ResourceLimits:
        return cls(*_LIMITS.unpack(body))


class JobReport(NamedTuple):
    """How a job ended, as the zygote saw it."""

    number: int
    status: int
    """Wait status of the test runner."""
    killed: int
    """1: killed for wall time; 2: for memory; 0: not killed."""
    peak_kb: int
    wall_s: float
    waited_s: float
    """Of the wall time, what it waited for a core."""

    def pack(self) -> bytes:
        return _REPORT.pack(*self)

    @classmethod
    def unpack(cls, body: bytes) -> JobReport:
        return cls(*_REPORT.unpack(body))


def _limit(kind: int, value: int) -> None:
    try:
        resource.setrlimit(kind, (value, value))
    except ValueError:  # the host's own limit is lower still
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (hard, hard))


def set_common_limits(scratch_mb: int) -> None:
    """On the zygote, once: what is the same for every job."""
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, scratch_mb << 20)
    _limit(resource.RLIMIT_NOFILE, 256)
    _limit(resource.RLIMIT_MEMLOCK, 0)
    _limit(resource.RLIMIT_MSGQUEUE, 0)


def set_job_limits(limits: ResourceLimits) -> None:
    """On the test runner; the solution process inherits them."""
    _limit(resource.RLIMIT_CPU, math.ceil(max(2 * limits.cpu_s, limits.build_s)) + 2)
    if limits.address_space:
        _limit(resource.RLIMIT_AS, limits.memory_mb << 20)


def confine_solution(limits: ResourceLimits) -> None:
    """On the solution process."""
    _limit(resource.RLIMIT_NPROC, limits.processes)
    _limit_cpu(max(limits.cpu_s, limits.build_s))
    global _timer_s, _build_s
    _timer_s, _build_s = limits.cpu_s, limits.build_s
    if not _has_pid_namespace:
        if _no_signals:
            seccomp.install(_no_signals)
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)


def confine_shared_solution(cpu_s: float) -> None:
    """On a solution process of a shared test runner: it may start no process, so that nothing outlives its verdict."""
    _limit(resource.RLIMIT_NPROC, 0)
    _limit_cpu(cpu_s)


def _limit_cpu(seconds: float) -> None:
    """RLIMIT_CPU counts whole seconds; the timer ends an honest loop in time."""
    _limit(resource.RLIMIT_CPU, math.ceil(seconds) + (seconds == int(seconds)))
    signal.setitimer(signal.ITIMER_PROF, seconds)


def restart_timer(building: bool = False) -> None:
    """On a child of the solution process: limits survive a fork, timers do not."""
    _limit_cpu(_build_s if building else _timer_s)


_build_s = 0.0
_timer_s = 0.0
_has_pid_namespace = True
_no_signals = b""


def without_pid_namespace(with_seccomp: bool) -> None:
    """Called in a test runner on a host without namespaces: solution processes get a filter for signals, if they can."""
    global _has_pid_namespace, _no_signals
    _has_pid_namespace = False
    _no_signals = seccomp.no_signals_filter(os.uname().machine) if with_seccomp else b""
