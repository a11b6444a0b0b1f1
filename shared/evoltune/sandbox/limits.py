"""What one job may use, how it ended, and the calls that put limits on a process.

Invariant: limits are only ever lowered.

    set_job_limits(ResourceLimits(number=1, memory_mb=512, cpu_s=5.0, wall_s=9.5, processes=64))
    of_exit_status(0)    # Outcome("pass", "", {})
"""

import math
import os
import resource
import signal
import struct
from typing import Any, NamedTuple

from evoltune.sandbox import kernel

EXIT_MEMORY = 86
"""Exit status of a process of ours that ran out of memory."""
BUILD_MB = 1536
"""Resident memory that a compiler may use, whatever the program may: `bits/stdc++.h` with -O2 takes 500 MB."""
SPARE_MB = 256
"""Resident memory that all processes of a job may use together beyond the limit of one."""
OUT_OF_CPU = (-signal.SIGPROF, -signal.SIGXCPU)
LIMITS, REPORT = struct.Struct("<IIddIid"), struct.Struct("<IiiQdd")
"""How `ResourceLimits` and `JobReport` travel between the verifier process and the zygote."""


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

    @property
    def resident_mb(self) -> int:
        """Resident memory that all processes of a job may use together; a compiler gets its own."""
        return max(self.memory_mb, BUILD_MB if self.build_s else 0) + SPARE_MB


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


class Outcome(NamedTuple):
    """How a job ended, as the test runner sends it: one of `evoltune.record.STATUSES`, a reason (empty for a pass), evidence."""

    status: Any
    reason: str
    evidence: dict[str, Any]


def of_exit_status(code: int) -> Outcome:
    """The outcome of a process that ended with this exit status, or minus the signal."""
    if code == 0:
        return Outcome("pass", "", {})
    if code == EXIT_MEMORY:
        return Outcome("memory", "the program ran out of memory", {})
    if code in OUT_OF_CPU:
        return Outcome("timeout", "out of CPU time", {})
    return Outcome("fail", f"exit status {code}" if code > 0 else f"ended by signal {-code}", {})


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
    if limits.address_space and not limits.build_s:
        _limit(resource.RLIMIT_AS, limits.memory_mb << 20)


def confine_solution(limits: ResourceLimits) -> None:
    """On the solution process."""
    _limit(resource.RLIMIT_NPROC, limits.processes)
    _limit_cpu(max(limits.cpu_s, limits.build_s))
    global _own
    _own = limits
    if not _has_pid_namespace:
        if _no_signals:
            kernel.install_filter(_no_signals)
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)


def confine_shared_solution(cpu_s: float, whole_s: int) -> None:
    """On a solution process of a shared test runner: it may start no process, so that nothing outlives its verdict. `whole_s` is
    `allowed_seconds(cpu_s)`, reckoned before the fork."""
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (whole_s, whole_s))
    signal.setitimer(signal.ITIMER_PROF, cpu_s)


def allowed_seconds(cpu_s: float) -> int:
    """`whole_seconds`, or the limit of this process where that is lower."""
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    wanted = whole_seconds(cpu_s)
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)


def whole_seconds(cpu_s: float) -> int:
    """RLIMIT_CPU counts whole seconds; the timer ends an honest loop in time."""
    return math.ceil(cpu_s) + (cpu_s == int(cpu_s))


def _limit_cpu(seconds: float) -> None:
    _limit(resource.RLIMIT_CPU, whole_seconds(seconds))
    signal.setitimer(signal.ITIMER_PROF, seconds)


def confine_program(building: bool) -> None:
    """On a child of the solution process that becomes a program or a compiler: limits survive a fork, timers do not."""
    _limit_cpu(_own.build_s if building else _own.cpu_s)
    if _own.address_space and not building:
        _limit(resource.RLIMIT_AS, _own.memory_mb << 20)


def exit_code(status: int, cpu_s: float, building: bool) -> int:
    """A child's exit status, or minus the signal that ended it. A run time that ignores the timer (Go's) is killed by the kernel when its
    CPU time is over: that is the signal of a time limit too."""
    code = os.waitstatus_to_exitcode(status)
    is_over = cpu_s >= (_own.build_s if building else _own.cpu_s)
    return -signal.SIGXCPU if code == -signal.SIGKILL and is_over else code


_own: ResourceLimits
"""Set on the solution process."""
_has_pid_namespace = True
_no_signals = b""


def is_below_init() -> bool:
    """Whether this process and its parent, the init, are alone in a namespace with what they started."""
    return _has_pid_namespace and os.getppid() == 1


def without_pid_namespace(with_seccomp: bool) -> None:
    """Called in a test runner on a host without namespaces: solution processes get a filter for signals, if they can."""
    global _has_pid_namespace, _no_signals
    _has_pid_namespace = False
    _no_signals = kernel.no_signals_filter(os.uname().machine) if with_seccomp else b""
