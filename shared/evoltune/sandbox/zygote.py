"""The job zygote Z: forks a judge per job, watches it from outside, leaves nothing behind; it never reads a task.

What reaches Z is a descriptor (the judge's line to the checker) and numbers (`limits.Box`). Z entered its namespaces
once; a job gets a pid namespace of its own, so that killing its init kills all of it.
Invariant: when Z reports a job's end, no process of that job is alive and the scratch is empty.
"""

# Descriptors and forked processes: os, not pathlib.
from __future__ import annotations

import gc
import importlib
import os
import select
import signal
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evoltune.errors import IsolationError
from evoltune.sandbox import isolation, kernel, limits, warm_up
from evoltune.sandbox import test_runner as judge

TICK_MS = 50
PRELOAD = (  # what programs import most; a heavy one (hashlib brings OpenSSL) would cost every fork more than it saves
    "bisect", "collections", "copy", "dataclasses", "datetime", "enum", "functools", "heapq", "itertools", "json", "math", "operator",
    "random", "re", "string", "struct", "threading", "time", "typing",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Zygote:
    """The supervisor's handle on Z."""

    requests: socket.socket
    pid: int
    pidfd: int
    level: str
    scratch: str

    def close(self) -> None:
        """Ends Z and everything below it, and removes a scratch folder that lives on the host."""
        self.requests.close()
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        isolation.remove_scratch(self.scratch)


def start_zygote(spec: dict[str, Any]) -> Zygote:
    """Forks Z. Raises IsolationError when the host cannot give `spec["require"]`."""
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        mine.close()
        with suppress(KeyboardInterrupt):
            _outer(theirs, spec)
        os._exit(1)
    theirs.close()
    hello = mine.recv(1 << 15).decode()
    level, scratch, lacks = (*hello.split("\n"), "", "")[:3]
    if not level or level < spec["require"]:
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        isolation.remove_scratch(scratch)
        raise IsolationError(isolation.refusal(level, spec["require"], lacks))
    return Zygote(requests=mine, pid=pid, pidfd=os.pidfd_open(pid), level=level, scratch=scratch)


def _outer(requests: socket.socket, spec: dict[str, Any]) -> None:
    """Enters the namespaces and stays outside of Z's pid namespace: the one who may mount a fresh scratch."""
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    cell = isolation.enter(spec["at_most"])
    near, far = socket.socketpair()
    pid = os.fork() if cell.namespaces else 0
    if pid:
        requests.close()
        far.close()
        with suppress(OSError):
            while near.recv(1):
                isolation.fresh_scratch()
                near.send(b"1")
        os.waitpid(pid, 0)
        os._exit(0)
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    for number, action in (
        (signal.SIGINT, signal.SIG_IGN),
        (signal.SIGPIPE, signal.SIG_IGN),
        (signal.SIGPROF, signal.SIG_DFL),
    ):
        signal.signal(number, action)  # once, for all judges and candidates
    own, proc = isolation.enclose(cell)
    if cell.namespaces:
        isolation.harden(cell, proc)
    requests.send(f"{cell.level}\n{cell.scratch}\n{'; '.join(cell.lacks)}".encode()[: 1 << 15])
    _serve(requests, far, cell, (own, proc), spec["preload"])
    os._exit(0)


def _serve(
    requests: socket.socket,
    mounter: socket.socket,
    cell: isolation.Cell,
    fds: tuple[int, int],
    preload: list[str],
) -> None:
    own, proc = fds
    os.chdir(cell.scratch)
    os.environ["TMPDIR"] = "/tmp" if cell.namespaces and Path("/tmp").is_symlink() else cell.scratch
    limits.lasting(isolation.SCRATCH_MB)
    cpus = os.sched_getaffinity(0) if proc >= 0 else set[int]()
    ready, processes, clean = 0, isolation.allowed_processes(cell, 0), -1
    with suppress(OSError):
        clean = os.statvfs(cell.scratch).f_ffree
    while True:
        try:
            body, lines, *_ = socket.recv_fds(requests, 256, 1)
        except ConnectionError:  # the checker left reports unread
            return
        if not body:
            return
        box = limits.Box.unpack(body)
        if ready < 1:
            _warm((*PRELOAD, *isolation.out_of_reach(cell)))
            warm_up.warm_up()
        if ready < min(
            box.number, 2
        ):  # the domain's modules may be large: not before the self-test, which is job 1
            _warm(preload if box.number > 1 else [])
            ready = min(box.number, 2)
        box = box._replace(processes=box.processes + processes)
        if cell.namespaces:
            kernel.unshare(kernel.NEWPID)
        if cpus:  # the job starts on our core, where its pages are; after a tick it may leave
            os.sched_setaffinity(0, {kernel.current_cpu()})
        pid = kernel.fork()
        if pid == 0:
            _become_judge(lines[0], box, cell)
        os.close(lines[0])
        if cell.namespaces:
            kernel.setns(own, kernel.NEWPID)
        if cpus:
            os.sched_setaffinity(0, cpus)
        report = _watch(pid, box, cell, proc, cpus)
        if not cell.namespaces:
            isolation.empty(cell.scratch)
        elif os.statvfs(cell.scratch).f_ffree != clean:
            mounter.send(b"1")
            mounter.recv(1)
            os.chdir(cell.scratch)
        with suppress(ConnectionError):
            requests.send(report.pack())


def _warm(modules: Sequence[str]) -> None:
    for name in modules:
        with suppress(Exception):  # a module that is not there is the program's to miss
            importlib.import_module(name)
    gc.disable()
    gc.collect()
    gc.freeze()


def _become_judge(fd: int, box: limits.Box, cell: isolation.Cell) -> None:
    try:
        os.dup2(fd, 3)
        os.closerange(4, 1 << 20)
        isolation.become_nobody(cell)
        limits.common(box)
        judge.main(3, box)
    finally:
        os._exit(71)


def _watch(pid: int, box: limits.Box, cell: isolation.Cell, proc: int, cpus: set[int]) -> limits.Report:
    """Waits for the judge; kills it for wall time (less the time it waited for a core) or for memory summed over all
    processes of the job."""
    pidfd = os.pidfd_open(pid)
    ended = select.poll()
    ended.register(pidfd, select.POLLIN)
    began, waited, killed, peak = time.monotonic(), 0.0, 0, 0
    while not ended.poll(TICK_MS):
        wall = time.monotonic() - began
        resident, waited = _usage(proc, waited, cell, pid, cpus)
        peak = max(peak, resident)
        if wall - waited > box.wall_s or wall > 10 * box.wall_s:
            killed = 1
        elif resident > (box.memory_mb + 256) << 10:
            killed = 2
        if killed:
            os.kill(pid, signal.SIGKILL)  # not yet waited for: the number is still its own
            break
    if not cell.namespaces:
        isolation.sweep(pid)
    _, status = os.waitpid(pid, 0)
    os.close(pidfd)
    return limits.Report(box.number, status, killed, peak, time.monotonic() - began, waited)


def _usage(
    proc: int, waited: float, cell: isolation.Cell, judge_pid: int, cpus: set[int]
) -> tuple[int, float]:
    """KiB resident in all processes of the job, and the longest time that one of them waited for a core. They may use
    any core from now on."""
    if proc < 0:
        return 0, waited
    total = 0
    for name in os.listdir(proc):
        if (
            not name.isdigit()
            or int(name) == os.getpid()
            or (not cell.namespaces and not _of_job(proc, name, judge_pid))
        ):
            continue
        with suppress(OSError, IndexError, ValueError):
            for line in _read(proc, f"{name}/status").splitlines():
                if line.startswith((b"RssAnon:", b"RssShmem:")):
                    total += int(line.split()[1])
            waited = max(waited, int(_read(proc, f"{name}/schedstat").split()[1]) / 1e9)
            os.sched_setaffinity(int(name), cpus)
    return total, waited


def _of_job(proc: int, name: str, judge_pid: int) -> bool:
    with suppress(OSError, IndexError, ValueError):
        return int(_read(proc, f"{name}/stat").rpartition(b")")[2].split()[2]) == judge_pid
    return False


def _read(proc: int, path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY, dir_fd=proc)
    try:
        return os.read(fd, 4096)
    finally:
        os.close(fd)
