"""What a job may use: the box's numbers, and the calls that put them on a process.

Invariant: limits are only ever lowered; a process that left `confine` has no capability and cannot get one.
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
"""Status with which a candidate says that it ran out of memory."""
_FORMAT = struct.Struct("<IIddIid")


class Box(NamedTuple):
    """One job's limits, as they travel to the zygote: numbers, nothing of the task."""

    number: int
    memory_mb: int
    cpu_s: float
    wall_s: float
    processes: int
    address_space: int = 1
    """0: a run time that reserves more than it uses (node): then only what is resident counts."""
    build_s: float = 0.0
    """CPU seconds for a compiler, where there is one."""

    def pack(self) -> bytes:
        return _FORMAT.pack(*self)

    @classmethod
    def unpack(cls, body: bytes) -> Box:
        return cls(*_FORMAT.unpack(body))


class Report(NamedTuple):
    """What the zygote saw of a job: how the judge ended, and whether it was killed for time (1) or memory (2)."""

    number: int
    status: int
    killed: int
    peak_kb: int
    wall_s: float
    waited_s: float

    def pack(self) -> bytes:
        return struct.pack("<IiiQdd", *self)

    @classmethod
    def unpack(cls, body: bytes) -> Report:
        return cls(*struct.unpack("<IiiQdd", body))


def _limit(kind: int, value: int) -> None:
    try:
        resource.setrlimit(kind, (value, value))
    except ValueError:  # the host's own limit is lower still
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (hard, hard))


def lasting(scratch_mb: int) -> None:
    """On the zygote, once: what is the same for every job."""
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, scratch_mb << 20)
    _limit(resource.RLIMIT_NOFILE, 256)
    _limit(resource.RLIMIT_MEMLOCK, 0)
    _limit(resource.RLIMIT_MSGQUEUE, 0)


def common(box: Box) -> None:
    """On the judge, inherited by the candidate."""
    _limit(resource.RLIMIT_CPU, math.ceil(max(2 * box.cpu_s, box.build_s)) + 2)
    if box.address_space:
        _limit(resource.RLIMIT_AS, box.memory_mb << 20)


def confine(box: Box) -> None:
    """On the candidate."""
    _limit(resource.RLIMIT_NPROC, box.processes)
    _cpu(max(box.cpu_s, box.build_s))
    global _timer_s, _build_s
    _timer_s, _build_s = box.cpu_s, box.build_s
    if not _namespaced:
        if seccomp_ready:
            seccomp.install(_strict)
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)


def confine_member(cpu_s: float) -> None:
    """On one candidate of a batch: no process of its own, so that nothing outlives its turn."""
    _limit(resource.RLIMIT_NPROC, 0)
    _cpu(cpu_s)


def _cpu(seconds: float) -> None:
    """RLIMIT_CPU counts whole seconds; the timer ends an honest loop in time."""
    _limit(resource.RLIMIT_CPU, math.ceil(seconds) + (seconds == int(seconds)))
    signal.setitimer(signal.ITIMER_PROF, seconds)


def restart_timer(building: bool = False) -> None:
    """On a child of the candidate's: timers do not survive a fork, limits do."""
    _cpu(_build_s if building else _timer_s)


_build_s = 0.0
_timer_s = 0.0
_namespaced = True
seccomp_ready = True
_strict = b""


def without_namespaces(with_seccomp: bool) -> None:
    """Told by the zygote, before its first job, that signals need a filter of their own here."""
    global _namespaced, seccomp_ready, _strict
    _namespaced, seccomp_ready = False, with_seccomp
    _strict = seccomp.strict_program(os.uname().machine) if with_seccomp else b""
